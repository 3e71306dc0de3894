"""A finished run in a notebook."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pipeline import InputError, commands
from pipeline.commands import open_run
from pipeline.errors import Failed
from pipeline.runs.resolve import resolve
from pipeline.store.checked import read_json, write_json
from pipeline.store.manifest import files_in, write_manifest
from tests.helpers import tiny
from tests.helpers.tiny import STAGES, draw


def test_history_is_a_table(after_first: Path) -> None:
    table = pd.DataFrame(open_run("tiny").history)
    assert table.step.tolist() == [3, 6, 7]
    assert table.dtypes.map(lambda kind: kind.kind in "if").all()
    lines = (after_first / "runs/tiny/history.jsonl").read_text().splitlines()
    assert table.kid.tolist() == [json.loads(line)["kid"] for line in lines]


def test_scores_are_a_table(after_first: Path) -> None:
    table = pd.DataFrame(open_run(after_first / "runs/tiny").scores)
    (row,) = table.to_dict("records")
    kept = json.loads((after_first / "runs/tiny/scores.json").read_text())["kid"]
    assert row["metric"] == "kid"
    assert (row["value"], row["standard_error"]) == (kept["value"], kept["standard_error"])
    assert row["protocol.sampler.name"] == "ddim"
    assert row["protocol.resolution"] == "16×16"
    assert not any(isinstance(value, (dict, list)) for value in row.values())


def test_pictures_are_those_that_the_command_draws(after_first: Path) -> None:
    before = set((after_first / "runs/tiny").rglob("*"))
    made = open_run("tiny").sample(5, num_steps=2, seed=3, plugins=[STAGES], device="cpu")
    assert [(one.size, one.mode) for one in made] == [((16, 16), "RGB")] * 5
    assert set((after_first / "runs/tiny").rglob("*")) == before
    _, same = draw(num_images=5, num_steps=2, seed=3)
    assert [one.tobytes() for one in made] == [
        Image.fromarray(x.permute(1, 2, 0).numpy()).tobytes() for x in same
    ]


def test_what_a_notebook_shows(after_first: Path) -> None:
    file = after_first / "runs/tiny/run.json"
    evil = '"><script>alert(1)</script>'
    about = read_json(file)
    write_json(file, {**about, "name": evil})
    run = open_run("tiny")
    tags: list[str] = []
    words: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)  # type: ignore[method-assign]
    parser.handle_data = words.append  # type: ignore[method-assign]
    parser.feed(run._repr_html_())
    assert tags.count("img") == 1
    assert "script" not in tags
    assert evil in words
    assert any("8 samples drawn by ddim" in word for word in words)
    assert run.recipe["train"]["max_steps"] == 7
    assert run.folder == Path("runs/tiny")
    assert f"KID {about['scores']['kid']['value']:.4g}" in repr(run)


def test_without_scores_there_are_none(after_first: Path) -> None:
    file = after_first / "runs/tiny/run.json"
    write_json(file, {**read_json(file), "scores": {}})
    run = open_run("tiny")
    assert run.scores == []
    assert "<table" not in run._repr_html_()


def test_a_wrong_name(after_first: Path) -> None:
    with pytest.raises(InputError, match=r"tinny: there is no such run\. Finished runs: tiny"):
        open_run("tinny")


def test_a_path_comes_before_a_name_and_a_file_is_a_file(after_first: Path) -> None:
    file = Path("recipe.yaml")
    assert resolve("tiny") == Path("runs/tiny")
    assert resolve("runs/tiny", "nothing.json") is None
    assert resolve("tiny/run.json") is None
    assert resolve("runs/tiny/run.json") == Path("runs/tiny/run.json")
    assert resolve("tiny" * 1000) is None, "no file can have this name"
    Path("tiny").mkdir()
    assert resolve("tiny") == Path("runs/tiny"), "the folder here is no run"
    (Path("tiny") / file).write_text("seed: 1")
    assert resolve("tiny", file.name) == Path("tiny")
    with pytest.raises(InputError, match=r"tiny\.yaml: is a file; give the folder or the name of"):
        open_run("tiny.yaml")


def test_opening_imports_no_torch(after_first: Path) -> None:
    code = (
        "import sys\nfrom pipeline.runs.opened import open_run\n"
        "run = open_run('tiny')\n"
        "assert run.history and run.scores and run._repr_html_()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "kind", "file", "forged"),
    [
        ("kid", "score", "score.json", '{"value": "much"}'),
        ("kid", "score", "score.json", "[1]"),
        ("neighbours", "neighbours", "neighbours.json", '{"unit": "x", "items": [{"sample": 0}]}'),
        ("neighbours", "neighbours", "neighbours.json", "7"),
        ("model", "model", "best.json", '{"shape": 3}'),
        ("model", "model", "best.json", '{"stages": {}, "class_names": null, "record": {}}'),
    ],
)
def test_what_a_stranger_wrote_with_right_digests_is_told_in_a_line(
    after_first: Path, name: str, kind: str, file: str, forged: str
) -> None:
    artifact = open_run("tiny").artifact(name)
    path = artifact.path / file
    before = json.loads(path.read_text())
    new = json.loads(forged)
    if kind == "model":
        names = {key: before[key] for key in ("format", "file", "sha256")}
        write_json(path, {**names, **new})
    else:
        path.write_text(forged)
    write_manifest(
        artifact.path,
        kind,
        artifact.manifest["ingredients"],
        "forged",
        files_in(artifact.path),
    )
    for command in (tiny.draw, lambda: commands.report([Path("tiny")]), tiny.run):
        with suppress(InputError, Failed):
            command()


@pytest.mark.parametrize("text", [b"\xd0", b"[]", b"7", b'[{"what": 1}]'])
def test_a_damaged_diagnosis_of_an_unfinished_run_is_passed_over(here: Path, text: bytes) -> None:
    folder = here / "runs/tiny"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("seed: 1")
    (folder / "diagnosis.json").write_bytes(text)
    with pytest.raises(InputError, match="has not finished; run its recipe again"):
        open_run("tiny")
