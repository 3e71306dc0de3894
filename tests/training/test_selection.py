"""The best checkpoint is chosen on some samples and scored on others: noise, labels and numbers."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from pipeline.cli.summary import selection_summary
from pipeline.commands import evaluate
from pipeline.diffusion.labels import Labels, split_labels
from tests.helpers import tiny
from tests.helpers.tiny import STAGES, run

VALIDATED, SCORED, ASKED = 4, 5, 6
"""Sampling steps, which tell here what samples are for: of grids there are 2, of pictures 3."""


def shared(a: list[tuple[Tensor, list[int]]], b: list[tuple[Tensor, list[int]]]) -> int:
    """How many starting images of b are also in a."""
    rows = [torch.cat([noise for noise, _ in side]).flatten(1) for side in (a, b)]
    return sum(torch.allclose(one, other) for one, other in product(*rows))


def test_scores_are_of_other_noise_and_labels_than_the_choice(
    here: Path, drawn: dict[int, list]
) -> None:
    steps = [f"train.validate.num_steps={VALIDATED}", f"evaluate.num_steps={SCORED}"]
    run(*steps, "train.condition=class", name="tiny")
    evaluate(Path("runs/tiny"), num_steps=ASKED, plugins=[STAGES], device="cpu")
    first = drawn[VALIDATED][:1]
    assert len(first[0][0]) == len(drawn[SCORED][0][0]) == len(drawn[ASKED][0][0]) == 8
    assert shared(first, drawn[VALIDATED][1:2]) == 8, "each validation draws the same"
    scores, untrained = drawn[SCORED][:1], drawn[SCORED][1:]
    assert shared(scores, drawn[ASKED]) == 8, "as do the run's scores and later ones"
    assert shared(scores, untrained) == 8, "and the untrained network beside them"
    for scored in (SCORED, ASKED):
        assert shared(drawn[VALIDATED], drawn[scored]) == 0
        assert drawn[scored][0][1] != first[0][1], "labels come in another order"
        assert shared(drawn[3], drawn[scored]) == 0, "nor are they the pictures that people see"


def test_both_are_shown(here: Path) -> None:
    found = run()
    record = next(r for r in tiny.history(found) if r["step"] == found["selection"]["step"])
    assert record["kid"] == min(r["kid"] for r in tiny.history(found))
    assert found["selection"] == {
        "checkpoint": "best",
        "step": record["step"],
        "chosen_by": {
            "name": "kid",
            "value": record["kid"],
            "standard_error": record["kid_standard_error"],
            "protocol": record["protocol"]["kid"],
        },
        "fresh": {
            "kid": {k: found["scores"]["kid"][k] for k in ("value", "standard_error")},
        },
    }
    text = selection_summary(found["selection"])
    assert f"step {record['step']}, chosen by KID {record['kid']:.4f}" in text
    assert f"on fresh samples: KID {found['scores']['kid']['value']:.4f}" in text


def test_what_was_never_measured_is_absent(here: Path) -> None:
    found = run("train.validate.metrics=[]", "evaluate=null", "train.max_steps=3")
    chosen = found["selection"]["chosen_by"]
    [record] = tiny.history(found)
    assert chosen == {"name": "validation_loss", "value": record["validation_loss"]}
    assert found["selection"]["fresh"] == found["scores"] == {}
    assert "protocol" not in record
    assert not any("kid" in name for name in record)
    assert "fresh" not in selection_summary(found["selection"])
    folder = Path(found["folder"])
    assert json.loads((folder / "scores.json").read_text()) == {}


def test_labels_in_another_order_are_told_apart() -> None:
    """What is kept of samples is found again by these words."""
    images = type("Images", (), {})()
    images.labels = torch.arange(20).numpy()
    images.indices = lambda split: torch.arange(20).numpy()
    usual, fresh = (split_labels(images, "train", 0, fresh=fresh) for fresh in (False, True))
    assert isinstance(fresh, Labels)
    assert usual.values != fresh.values
    assert usual.words != fresh.words
    assert sorted(usual.values) == sorted(fresh.values)
