"""Exported runs: what is in them, and that everything takes them without the run and its store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline import InputError, Rates, commands
from pipeline.store.checked import read_json, write_json
from pipeline.store.fingerprints import sha256_of
from tests.helpers.tiny import CLASSES, STAGES, draw, main, run, shell


@pytest.fixture
def elsewhere(
    after_first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Exports the run, and goes where neither it nor its store is."""

    def go(name: str, **options: bool) -> Path:
        out = tmp_path / "out" / name
        commands.export("tiny", out, **options)
        (tmp_path / "away").mkdir()
        monkeypatch.chdir(tmp_path / "away")
        shutil.rmtree(after_first / "runs")
        shutil.rmtree(after_first / ".pipeline")
        return out

    return go


def pictures(**options: object) -> Tensor:
    return draw(num_images=3, num_steps=2, **options)[1]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["tiny.zip", "folder"])
def test_what_is_drawn_of_it_is_what_the_run_draws(
    name: str, elsewhere: Callable[..., Path]
) -> None:
    before = pictures()
    out = elsewhere(name)
    there = sorted(out.rglob("*"))
    found, again = draw(str(out), num_images=3, num_steps=2)
    assert torch.equal(again, before)
    assert Path(found["folder"]).parent == Path("runs/tiny")
    assert sorted(out.rglob("*")) == there  # it stays as it is


def test_half_and_raw_weights(elsewhere: Callable[..., Path]) -> None:
    before, raw = pictures(), pictures(weights="raw")
    out = elsewhere("half", half=True, raw=True)
    tensors = load_file(out / "model/best.safetensors")
    kinds = {n.split(".")[0]: t.dtype for n, t in tensors.items() if t.is_floating_point()}
    assert kinds == {"ema": torch.float16, "raw": torch.float16, "codec": torch.float32}
    for expected, options in ((before, {}), (raw, {"weights": "raw"})):
        _, found = draw(str(out), num_images=3, num_steps=2, **options)
        assert (found.int() - expected.int()).abs().max() <= 2


def test_what_was_not_exported_is_told(elsewhere: Callable[..., Path]) -> None:
    out = str(elsewhere("tiny.zip"))
    for options, told in (({"weights": "raw"}, "--raw"), ({"checkpoint": "last"}, "its best one")):
        with pytest.raises(InputError, match=f"exported with.*{told}"):
            draw(out, **options)
    with pytest.raises(InputError, match="without its images; export it with --images, or give"):
        commands.evaluate(Path(out), plugins=[STAGES], device="cpu")
    with pytest.raises(InputError, match=r"its page is report\.html in it"):
        commands.report([Path(out)])


def test_the_card_has_its_owners_words(after_first: Path) -> None:
    commands.export("tiny", Path("one"))
    assert "is for you to say" in Path("one/README.md").read_text()
    Path("about.md").write_text("Drawn by me, CC0 — take it.", encoding="utf-8")
    commands.export("tiny", Path("two"), about=Path("about.md"))
    card = Path("two/README.md").read_text(encoding="utf-8")
    assert "Drawn by me, CC0 — take it." in card
    assert "is for you to say" not in card
    assert "trained on cpu with torch" in card
    for wrong in ("nothing.md", "runs"):
        with pytest.raises(InputError, match=f"--about: {wrong}: cannot be read"):
            commands.export("tiny", Path("three"), about=Path(wrong))
    assert not Path("three").exists()


def test_it_is_scored_against_its_images_or_others(elsewhere: Callable[..., Path]) -> None:
    kept = commands.open_run("tiny").record["scores"]["kid"]["value"]
    out = elsewhere("tiny.zip", images=True)
    options = {"plugins": [STAGES], "device": "cpu"}
    scored = commands.evaluate(out, **options)
    assert scored["scores"]["kid"]["value"] == kept
    drawn = Path(commands.sample(out, num_images=8, **options)["folder"])
    other = commands.evaluate(out, against=drawn / "images", num_images=8, **options)
    assert other["scores"]["kid"]["protocol"]["num_real"] == 8


def test_a_training_begins_with_it(elsewhere: Callable[..., Path], after_first: Path) -> None:
    out = elsewhere("tiny.zip", half=True)
    shutil.copyfile(after_first / "tiny.yaml", "tiny.yaml")
    found = run(f"train.init={out}", "train.max_steps=2", "evaluate=null", name="warm")
    assert found["recipe"]["train"]["init"] == str(out)


def test_two_are_compared(elsewhere: Callable[..., Path], tmp_path: Path) -> None:
    out = elsewhere("first.zip", images=True)
    shutil.copyfile(out, tmp_path / "second.zip")
    sources = [str(out), str(tmp_path / "second.zip")]
    found = commands.compare(sources, plugins=[STAGES], device="cpu", metrics=["kid"])
    assert [variant["name"] for variant in found["variants"]] == ["first", "second"]
    assert Path(found["folder"]).name == "compare-first-second"


def test_plugin_files_are_code_and_wait_to_be_trusted(elsewhere: Callable[..., Path]) -> None:
    before = pictures()
    out = elsewhere("folder")
    with pytest.raises(InputError, match=r"are code: read .*tiny_stages\.py, then give --trust-"):
        commands.sample(out, num_images=3, num_steps=2, sampler="nap", device="cpu")
    found = commands.open_run(out, device="cpu", trust_plugins=True)
    assert found.stage("augmentation", "trip", "augment")
    assert torch.equal(before, pictures(name=str(out)))
    with (out / "plugins" / STAGES.name).open("a") as file:
        file.write("import os\n")
    with pytest.raises(InputError, match="is not the plugin file that tiny was made with"):
        commands.open_run(out, trust_plugins=True)


def test_the_card_tells_what_it_is(elsewhere: Callable[..., Path]) -> None:
    text = (elsewhere("folder", half=True) / "README.md").read_text()
    assert text.startswith("---\nlibrary_name: diffusion-pipeline\n")
    for told in (
        "float16",
        "| KID | ",
        "num_fake: 8",
        "--trust-plugins",
        "pipeline run",
        "torch 2",
    ):
        assert told in text


def test_nothing_is_overwritten(after_first: Path) -> None:
    Path("there.zip").write_text("mine")
    Path("folder").mkdir()
    for name in ("there.zip", "folder"):
        with pytest.raises(InputError, match="is there already"):
            commands.export("tiny", Path(name))
    assert Path("there.zip").read_text() == "mine"
    with pytest.raises(InputError, match="there is no such run"):
        commands.export("nothing", Path("new.zip"))
    assert not Path("new.zip").exists()


def changed(file: Path, to: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A zip with other contents."""
    with ZipFile(file) as source, ZipFile(to, "w") as made:
        for name in source.namelist():
            data = change(name, source.read(name))
            if data is not None:
                made.writestr(name, data)
    return to


WEIGHTS = "model/best.safetensors"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda n, d: d[:-3] + b"xyz" if n == WEIGHTS else d, f"{WEIGHTS}: is damaged"),
        (lambda n, d: None if n == WEIGHTS else d, f"{WEIGHTS} is missing; export it again"),
        (lambda n, d: None if n == "run.json" else d, "is no exported run, it has no run.json"),
        (lambda n, d: d.replace(b'"tiny"', b'"else"') if n == "run.json" else d, "digest differs"),
    ],
)
def test_damaged_zips_are_told(
    change: Callable[[str, bytes], bytes | None], told: str, after_first: Path
) -> None:
    commands.export("tiny", Path("good.zip"))
    bad = changed(Path("good.zip"), Path("bad.zip"), change)
    with pytest.raises(InputError, match=told):
        commands.open_run(bad)


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside", "c:x", "a\\b"])
def test_no_file_is_written_outside_of_the_store(name: str, after_first: Path) -> None:
    commands.export("tiny", Path("folder"))
    record = read_json(Path("folder/run.json"))
    Path("folder/run.json").unlink()
    write_json(Path("folder/run.json"), {**record, "files": {name: sha256_of(STAGES)}})
    with ZipFile("bad.zip", "w") as made:
        made.write("folder/run.json", "run.json")
        made.write(STAGES, name)
    with pytest.raises(InputError, match="would lie outside of its folder"):
        commands.open_run("bad.zip")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and nothing more"])
def test_files_that_are_no_zip_are_told(data: bytes, here: Path) -> None:
    Path("bad.zip").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read as an exported run"):
        commands.open_run("bad.zip")


def test_a_damaged_file_in_a_folder_is_told(elsewhere: Callable[..., Path]) -> None:
    out = elsewhere("folder")
    data = (out / WEIGHTS).read_bytes()
    (out / WEIGHTS).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(InputError, match=f"{WEIGHTS}: is damaged, its digest differs"):
        draw(str(out))


def test_the_shell_says_what_it_wrote(after_first: Path) -> None:
    told = json.loads(shell("export", "tiny", "new.zip", "--half", "--json", plugin=False).stdout)
    assert (told["dtype"], told["weights"], told["images"]) == ("float16", ["ema"], False)
    assert told["size"] == Path("new.zip").stat().st_size


@pytest.mark.parametrize("name", ["tiny", "classes"])
def test_onnx_computes_what_torch_does(name: str, here: Path, after_first: Path) -> None:
    if name == "classes":
        Path("classes.yaml").write_text(CLASSES.replace("name: tiny", "name: classes"))
        run("train.max_steps=2", "evaluate=null", recipe="classes.yaml")
    told = commands.export(name, Path("made.onnx"), to="onnx", plugins=[STAGES])
    assert told["size"] == Path("made.onnx").stat().st_size
    session = onnxruntime.InferenceSession("made.onnx", providers=["CPUExecutionProvider"])
    model = commands.open_run(name, plugins=[STAGES], device="cpu").model()
    x, noise = torch.randn(5, 3, 16, 16), torch.rand(5) * 0.9
    signal = (1 - noise**2).sqrt()
    given = {"x": x, "signal": signal, "noise": noise}
    label = torch.tensor([0, 1, 2, 3, -1]) if name == "classes" else None
    given |= {} if label is None else {"label": label}
    assert [one.name for one in session.get_inputs()] == list(given)
    [said] = session.run(None, {key: value.numpy() for key, value in given.items()})
    with torch.no_grad():
        expected = model.network(x, Rates(signal, noise), label)
    torch.testing.assert_close(torch.from_numpy(said), expected, rtol=0, atol=1e-4)
    facts = json.loads(session.get_modelmeta().custom_metadata_map["pipeline"])
    assert facts["stages"]["objective"]["prediction"] == "eps"
    assert facts["codec_state"].keys() == model.codec_state.keys()


def test_onnx_refuses_what_has_no_effect(after_first: Path) -> None:
    with pytest.raises(InputError, match="have no effect with --to onnx"):
        commands.export("tiny", Path("new.onnx"), to="onnx", half=True)
    with pytest.raises(InputError, match=r"should end in \.onnx"):
        commands.export("tiny", Path("new"), to="onnx")


def test_a_package_ships_a_model(elsewhere, tmp_path, monkeypatch, capfd) -> None:
    before = pictures()
    package = tmp_path / "site/my_models"
    shutil.copytree(elsewhere("folder", half=True), package / "roses")
    (package / "__init__.py").touch()
    about = tmp_path / "site/my_models-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my_models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[pipeline.models]\nroses = my_models\nthorns = my_models\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    told = {model["name"]: model for model in commands.models()}["roses"]
    assert "thorns: its package has no " in capfd.readouterr().err
    assert (told["name"], told["dataset"]) == ("roses", "procedural_flowers")
    assert list(told["scores"]) == ["kid"]
    assert Path(told["card"]).is_file()
    found, drawn = draw("roses", num_images=3, num_steps=2)
    assert (drawn.int() - before.int()).abs().max() <= 2
    assert Path(found["folder"]).parent == Path("runs/tiny")
    with pytest.raises(InputError, match=r"models that are shipped: .*roses"):
        commands.open_run("nothing")
    assert main("models", plugin=False) == 0
    assert "roses: procedural_flowers, " in capfd.readouterr().out
