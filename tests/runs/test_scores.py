"""Metrics in runs: one embedding for all, logits where they are needed, the better checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import InputError
from pipeline.commands import evaluate, open_run
from pipeline.diffusion.model import model_facts
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load
from pipeline.records import HistoryRecord, ScoreRecord
from pipeline.training.validate import Measure, is_better
from pipeline_metrics.kid import KID
from pipeline_metrics.precision_recall import PrecisionRecall
from tests.helpers.tiny import STAGES, main, run

SEVERAL = "[kid, fid, {name: precision_recall, k: 2}]"
LOGITS = "{name: inception_score, splits: 2, features: {name: efficientnet_lite0, output: logits}}"


def test_several_metrics_share_one_embedding(here: Path, passes) -> None:
    found = run(f"train.validate.metrics={SEVERAL}", f"evaluate.metrics={SEVERAL}", name="several")
    real, scored = ("projection", 12), ("projection", 8)
    neighbours = [("projection", 4), ("projection", 48)]  # of the pictures and of training images
    untrained = scored  # as many here
    # Validated at steps 3, 6 and 7.
    assert passes == [real, *[scored] * 3, scored, *neighbours, untrained]
    assert list(found["scores"]) == ["kid", "fid", "precision_recall"]
    record = json.loads(Path(found["folder"], "history.jsonl").read_text().splitlines()[-1])
    assert {"kid", "kid_standard_error", "fid", "precision_recall"} <= set(record)
    assert {"precision_recall_precision", "precision_recall_recall"} <= set(record)
    kept = json.loads(Path(found["folder"], "scores.json").read_text())
    assert set(kept["precision_recall"]["parts"]) == {"precision", "recall"}
    passes.clear()
    named = [f"{{name: {name}, features: projection}}" for name in ("kid", "fid")]
    evaluate(
        Path(found["folder"]), metrics=[*named, "precision_recall"], seed=5,
        plugins=[STAGES], device="cpu",
    )  # fmt: skip
    assert passes == [scored]  # the real ones are in the store


def test_evaluate_takes_several_metrics_with_options(after_first: Path, passes, capsys) -> None:
    metrics = ["--metric", "{name: fid}", "--metric", "{name: precision_recall, k: 2}"]
    assert main("evaluate", "tiny", *metrics, "--metric", LOGITS, "--seed", "3") == 0
    assert passes == [("projection", 8), ("efficientnet_lite0", 12), ("efficientnet_lite0", 8)]
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    fid, recall, inception = (
        lines.index(next(line for line in lines if line.startswith(name)))
        for name in ("FID ", "precision recall ", "inception score ")
    )
    assert "(standard error)" not in lines[fid]
    assert lines[fid + 1] == "8 samples by ddim in 2 steps against 12 images (validation), 16×16"
    assert lines[fid + 2].startswith("features projection/")
    assert lines[fid + 3] == "biased: compare equal numbers of images only"
    assert "(precision 0." in lines[recall] or "(precision 1." in lines[recall]
    assert "(standard error)" in lines[inception]
    assert lines[inception + 1] == "8 samples by ddim in 2 steps, 16×16"
    assert lines[inception + 2].endswith("/logits")


@pytest.mark.parametrize("section", ["train.validate", "evaluate"])
def test_logits_are_demanded_when_the_recipe_is_read(section: str, here: Path) -> None:
    file = here / "tiny.yaml"
    file.write_text(file.read_text().replace("metrics: [kid]", "metrics: [kid, inception_score]"))
    lines = file.read_text().splitlines()
    rows = [row for row, line in enumerate(lines) if "inception_score" in line]
    row = rows[section == "evaluate"]
    place = f"tiny.yaml:{row + 1}:{lines[row].index('inception_score') + 1}"
    message = "inception_score needs features that give logits; "
    able = "write {name: inception_score, features: {name: NAME, output: logits}}"

    def told(*overrides: str) -> list[str]:
        with pytest.raises(InputError) as error:
            load("tiny.yaml", overrides, registry=Registry.load([STAGES]))
        return [line for line in str(error.value).splitlines() if f" {section}." in line]

    start = f"{place}: {section}.metrics.1: {message}"
    own, other = (able.replace("NAME", n) for n in ("inception_v3", "efficientnet_lite0"))
    assert told() == [f"{start}projection gives features; {other}"]
    assert told("features=inception_v3") == [f"{start}inception_v3 gives features; {own}"]
    missing, also = told("features=null")
    assert "needs features: name some" in missing  # kid's
    assert also == f"{start}{other}"
    one = f"{section}.metrics.inception_score.features"
    (wrong,) = told(f"{one}=inception_fid")
    ending = able.replace("NAME", "inception_fid")
    assert wrong.startswith(f"--set {one}=inception_fid: {section}.metrics.1: {message}")
    assert wrong.endswith(f"inception_fid gives features; {ending}")


def test_logits_that_are_given_are_taken_by_all_metrics(here: Path) -> None:
    file = here / "tiny.yaml"
    file.write_text(file.read_text().replace("metrics: [kid]", "metrics: [kid, inception_score]"))
    features = "{name: efficientnet_lite0, output: logits}"
    load("tiny.yaml", [f"features={features}"], registry=Registry.load([STAGES]))
    owns = [f"{part}.metrics.inception_score.features" for part in ("evaluate", "train.validate")]
    load("tiny.yaml", [f"{own}={features}" for own in owns], registry=Registry.load([STAGES]))


def test_evaluate_demands_logits_before_any_work(after_first: Path, passes, capsys) -> None:
    assert open_run("tiny").session  # notes in the store that the run is here now
    before = sorted(Path(".pipeline").rglob("*"))
    for words, parts in (
        (["--metric", "inception_score"], ["projection gives features", "efficientnet_lite0"]),
        (
            ["--metric", "inception_score", "--features", "inception_v3"],
            ["inception_v3 gives features", "features: {name: inception_v3, output: logits}}"],
        ),
        (["--metric", "kid", "--metric", "{name: inception_score, features: inception_fid}"],
         ["inception_fid gives features"]),
    ):  # fmt: skip
        assert main("evaluate", "tiny", *words, "--seed", "8") == 2
        said = capsys.readouterr().err
        assert "--metric inception_score needs features that give logits; " in said
        assert said.strip().count("\n") == 0
        for part in parts:
            assert part in said
    assert passes == []
    assert sorted(Path(".pipeline").rglob("*")) == before


def test_two_folders_of_images_are_told_too(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    with pytest.raises(InputError, match=r"needs features that give logits; write \{name: incep"):
        evaluate(folder, against=folder, metrics=["inception_score"], store=tmp_path / "store")
    assert not [file for file in (tmp_path / "store").rglob("*.h5") if file.is_file()]


def measure(metric: Any) -> list[Measure]:
    return [Measure("x", metric, None, torch.empty(0), None)]  # type: ignore[arg-type]


def test_the_best_checkpoint_is_the_better_one_in_the_metrics_direction() -> None:
    low, high = (
        HistoryRecord(
            step=1,
            epoch=1.0,
            seconds=1.0,
            validation={"loss": loss},
            scores={"x": ScoreRecord(value=value, protocol={})},
        )
        for value, loss in ((0.1, 1.0), (0.2, 0.5))
    )
    assert is_better(low, high, measure(KID()))
    assert not is_better(high, low, measure(KID()))
    assert is_better(high, low, measure(PrecisionRecall()))
    assert not is_better(low, high, measure(PrecisionRecall()))
    assert is_better(high, low, [])
    for measures in ([], measure(KID()), measure(PrecisionRecall())):
        assert is_better(low, None, measures)
        assert not is_better(low, low, measures)


def test_a_run_keeps_the_checkpoint_with_the_highest_score(here: Path) -> None:
    found = run(
        f"train.validate.metrics=[{LOGITS}]", "train.validate.every=1 steps", "evaluate=null"
    )
    lines = Path(found["folder"], "history.jsonl").read_text().splitlines()
    history = {record["step"]: record["inception_score"] for record in map(json.loads, lines)}
    assert len(set(history.values())) == len(history) == 7
    best = model_facts(open_run(found["folder"]).artifact("model").path).best["step"]
    assert history[best] == max(history.values())


def test_a_metric_of_generated_images_alone_needs_nothing_to_compare_with(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    features = "{name: efficientnet_lite0, output: logits}"
    spec = f"{{name: inception_score, splits: 2, features: {features}}}"
    found = evaluate(folder, metrics=[spec], store=tmp_path / "store", device="cpu")
    score = found["scores"]["inception_score"]
    assert 1 <= score["value"] <= 4
    assert score["protocol"]["num_fake"] == 4
    assert "num_real" not in score["protocol"]
    with pytest.raises(InputError, match="say with --against"):
        evaluate(folder, metrics=[spec, "kid"], store=tmp_path / "store", device="cpu")
