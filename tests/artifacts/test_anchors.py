"""Anchors of scores: real images against real ones, and an untrained network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.artifacts.embed import read_features
from pipeline.commands import open_run
from pipeline.store.checked import read_json
from pipeline.store.store import Store
from pipeline_metrics.kid import KID
from tests.helpers.tiny import STAGES, main, run


def kinds(*wanted: str) -> list[str]:
    return sorted(record.kind for record in Store(Path(".pipeline")).ls() if record.kind in wanted)


def test_a_run_holds_its_anchors(first: dict[str, Any]) -> None:
    record = read_json(Path(first["folder"]) / "run.json")
    assert record["anchors"] == first["anchors"]
    real, untrained = (record["anchors"]["kid"][end]["protocol"] for end in ("real", "untrained"))
    assert (real["anchor"], real["num_fake"], real["num_real"]) == ("train images", 8, 12)
    assert (untrained["anchor"], untrained["num_fake"]) == ("untrained network", 8)
    assert untrained["sampler"] == record["scores"]["kid"]["protocol"]["sampler"]
    assert real["extractor"] == record["scores"]["kid"]["protocol"]["extractor"]


def test_real_images_are_scored_in_place_of_samples(first: dict[str, Any]) -> None:
    run_ = open_run(first["folder"], plugins=[STAGES])
    validation = run_.artifact("features of validation images")
    store = run_.store
    [train] = [
        record.path
        for record in store.ls()
        if record.kind == "features" and record.key != validation.key
    ]
    real = read_features(validation)[:]
    rest = read_features(store.open("features", train.name))[:]
    chosen = np.sort(np.random.default_rng(0).permutation(48)[:8])
    value = KID()(real, rest[torch.from_numpy(chosen)]).value
    assert first["anchors"]["kid"]["real"]["value"] == pytest.approx(value)


def test_the_anchors_of_a_longer_training_are_the_same(after_first: Path) -> None:
    before = kinds("anchor", "untrained-samples")
    assert before == ["anchor", "anchor", "untrained-samples"]
    again = run("train.max_steps=9")
    assert kinds("anchor", "untrained-samples") == before
    short = read_json(Path("runs/tiny/run.json"))
    assert again["anchors"] == short["anchors"]


def test_as_many_real_images_as_there_are_and_few_of_an_untrained_network(here: Path) -> None:
    found = run("evaluate.num_images=130", "evaluate.split=train", "train.max_steps=1")
    ends = found["anchors"]["kid"]
    assert ends["real"]["protocol"]["num_fake"] == 12  # all validation images
    assert ends["untrained"]["protocol"]["num_fake"] == 128


def test_of_features_that_nothing_else_needs_no_more_images_are_extracted(here: Path) -> None:
    other = "evaluate.metrics=[{name: kid, features: efficientnet_lite0}]"
    found = run(other, "train.max_steps=1")
    # Projection: validation and, for neighbours, training images; EfficientNet: validation alone.
    assert kinds("features") == ["features"] * 3
    assert found["anchors"]["kid"]["real"]["protocol"]["num_fake"] == 8
    assert found["anchors"]["kid"]["real"]["protocol"]["extractor"].startswith("efficientnet")


def test_a_run_without_scores_has_no_anchors(here: Path) -> None:
    found = run("evaluate=null", "train.max_steps=1")
    assert "anchors" not in found
    assert not kinds("anchor", "untrained-samples")


def test_the_summary_says_between_what_a_score_lies(
    after_first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("run", "tiny.yaml", "--device", "cpu") == 0
    lines = capsys.readouterr().out.splitlines()
    [at] = [i for i, line in enumerate(lines) if "(standard error)" in line]
    assert lines[at + 3].startswith("    on the same scale: real images ")
    assert ", an untrained network " in lines[at + 3]


def test_the_page_has_them_and_real_images(first: dict[str, Any]) -> None:
    text = (Path(first["folder"]) / "report.html").read_text(encoding="utf-8")
    assert "On the same scale: real images " in text
    assert text.index('alt="Sample 4"') < text.index('alt="Real image 1"') < text.index("Scores")
    assert 'alt="Real image 12"' in text
    assert 'alt="Real image 13"' not in text
    assert "12 validation images as the network sees them" in text
    assert json.loads((Path(first["folder"]) / "scores.json").read_text()).keys() == {"kid"}
