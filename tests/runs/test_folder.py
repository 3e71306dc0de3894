"""What a run's folder and its store keep, and what may go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import commands
from pipeline.artifacts.embed import read_features
from pipeline.commands import evaluate, open_run
from pipeline.errors import Failed, InputError
from tests.helpers import tiny
from tests.helpers.tiny import STAGES, draw, run, shell


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_failing_rerun_leaves_the_finished_run(after_first: Path) -> None:
    before = content(Path("runs/tiny"))
    Path("weights").write_bytes(b"1")
    changes = ["features={name: projection, weights: weights}"]
    Path("projection.py").write_text(
        STAGES.read_text().replace("return _Projector(hash", "raise SystemError('none')  # ")
    )
    with pytest.raises(Exception, match="none"):
        commands.run(
            "tiny.yaml", changes, name="tiny", replace=True, plugins=[Path("projection.py")]
        )
    assert content(Path("runs/tiny")) == before


def test_another_recipe_in_the_same_folder_replaces_what_was_there(after_first: Path) -> None:
    with pytest.raises(Failed):
        run("train.optimizer.lr=1e30", name="tiny", replace=True)
    assert not Path("runs/tiny/run.json").exists()
    with pytest.raises(InputError, match="not finished"):
        draw()


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "-"])
def test_names_that_are_no_folders(here: Path, name: str) -> None:
    with pytest.raises(InputError, match="name"):
        run(name=name)
    assert {path.name for path in here.parent.iterdir()} == {"here"}


def test_gc_keeps_what_runs_anywhere_need(
    after_first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = after_first / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tiny.yaml").write_text(Path("tiny.yaml").read_text())
    store = after_first / ".pipeline"
    monkeypatch.chdir(elsewhere)
    run("seed=1", store=store)
    monkeypatch.chdir(after_first)
    assert commands.cache("gc") == []
    assert run("seed=1", store=store)["artifacts"]["model"]["reused"]


def test_gc_of_a_store_that_no_known_run_uses(here: Path, after_first: Path) -> None:
    Path("other").mkdir()
    Path(".pipeline").rename("other/.pipeline")
    for file in Path("other/.pipeline/needs").iterdir():
        file.unlink()
    Path("runs").rename("moved")
    with pytest.raises(InputError, match="no run that uses this store"):
        commands.cache("gc", store=Path("other/.pipeline"))


def test_what_was_drawn_can_be_scored_as_a_folder(after_first: Path) -> None:
    """The grid beside the images is not one of them."""
    drawn, images = draw(num_images=6)
    found = evaluate(
        Path(drawn["folder"]) / "images", against=Path("tiny"), plugins=[STAGES], device="cpu"
    )
    assert found["scores"]["kid"]["protocol"]["num_fake"] == len(images) == 6


def test_a_metric_twice_is_two_scores(here: Path) -> None:
    found = run("evaluate.metrics=[kid, {name: kid, estimator: batch_mean, batch_size: 4}]")
    estimators = {name: one["protocol"]["estimator"] for name, one in found["scores"].items()}
    assert estimators == {"kid": "full", "kid_2": "batch_mean"}


def test_a_metric_called_model_is_kept_beside_the_model(here: Path) -> None:
    found = run("evaluate.metrics=[model, kid]", "train.validate.metrics=[model]", name="tiny")
    kinds = {name: artifact["kind"] for name, artifact in found["artifacts"].items()}
    assert (kinds["model"], kinds["model (metric)"], kinds["kid"]) == ("model", "score", "score")
    finished = open_run("tiny", plugins=[STAGES], device="cpu")
    spread = read_features(finished.artifact("features of scored samples"))[:].std()
    assert found["scores"]["model"]["value"] == pytest.approx(float(spread))
    assert json.loads(Path("runs/tiny/scores.json").read_text()) == found["scores"]
    best = max(finished.validations, key=lambda record: record.scores["model"]["value"])
    assert found["selection"]["step"] == best.step

    assert finished.model().shape == (3, 16, 16)
    drawn, images = draw(num_images=3, num_steps=1)
    assert len(images) == drawn["images"] == 3
    again = evaluate(Path("tiny"), metrics=["model"], plugins=[STAGES], device="cpu")
    assert again["scores"]["model"] == found["scores"]["model"]
    assert tiny.reused(run("evaluate.metrics=[model, kid]", "train.validate.metrics=[model]")) == (
        set(kinds)
    )
    assert "Samples" in Path(commands.report([Path("tiny")])[0]["report"]).read_text()


def test_a_score_that_cannot_be_computed_is_told_before_training(here: Path) -> None:
    with pytest.raises(InputError, match="batch of 64 images on both sides, got 12 real and 8"):
        run("evaluate.metrics=[{name: kid, estimator: batch_mean}]")
    assert not Path("runs").exists()


def test_a_run_with_a_plugin_file_says_so(after_first: Path) -> None:
    run("sample.sampler=loud", name="loud")
    said = shell("sample", "loud", code=2, plugin=False).stderr
    assert "no sampler is called 'loud'" in said
    assert f"loud was made with --plugin {STAGES}" in said
    said = shell("evaluate", "loud", code=2, plugin=False).stderr
    assert f"loud was made with --plugin {STAGES}" in said


def test_the_grid_has_room_for_what_is_drawn(after_first: Path) -> None:
    commands.sample("tiny", num_images=5, grid=(3, 2), plugins=[STAGES], device="cpu")
    with pytest.raises(InputError, match="3x3 has more rows than 5 images fill"):
        commands.sample("tiny", num_images=5, grid=(3, 3), plugins=[STAGES], device="cpu")
