"""What is said of two variants whose scores are given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from pipeline import Score
from pipeline.compare.verdicts import disagreements, judge


class Mean:
    """The mean feature of the samples."""

    higher_is_better, ideal, biased, needs, features = True, None, False, None, None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        return Score(float(fake.mean()), {})


def pair(first: list[float], second: list[float], images: int = 50) -> dict[str, Any]:
    """One number for a seed: all features of its images."""
    found: dict[str, Any] = {
        name: [
            SimpleNamespace(
                scores={"mean": Score(value, {})},
                features={"mean": (torch.zeros(50, 2), torch.full((images, 2), float(value)))},
            )
            for value in values
        ]
        for name, values in (("A", first), ("B", second))
    }
    [judged] = judge("mean", Mean(), found, None)  # type: ignore[arg-type]
    return judged


def test_scores_that_are_all_0_are_the_same() -> None:
    assert pair([0, 0, 0], [0, 0, 0])["verdict"] == "no difference: MEAN is the same for both"
    assert pair([0, 0], [0, 0], images=3)["verdict"] == "no difference: MEAN is the same for both"


def test_a_tenth_of_nothing_is_no_effect_to_look_for() -> None:
    said = pair([0, 0, 0], [-1, 0.5, 1])["verdict"]
    assert "no difference found" in said
    assert "would be needed" not in said


def test_a_difference_of_networks_of_which_nothing_is_known() -> None:
    judged = pair([0.5], [0.25], images=3)
    assert "nothing can be said of this difference" in judged["verdict"]
    assert judged["finite_samples"] is None
    assert judged["p_corrected"] is None


def test_metrics_that_do_not_say_the_same_are_told() -> None:
    def notes(**better: str | None) -> list[str]:
        return disagreements(
            [{"first": "A", "second": "B", "metric": m, "better": b} for m, b in better.items()]  # type: ignore[typeddict-item]
        )

    assert notes(kid="A", kid_2="A") == notes(kid=None, fid=None) == []
    assert notes(kid="A", kid_2="B") == [
        "metrics contradict each other on A and B: A is better by KID, B is better by KID 2."
    ]
    assert notes(kid="A", kid_2=None) == [
        "not all metrics see it: A is better by KID; by KID 2 nothing is."
    ]
