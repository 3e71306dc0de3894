"""Costs of variants: what is trained alike is measured once, by turns, with its spread."""

from __future__ import annotations

import pytest

from pipeline.cli.compared import comparison_summary
from tests.helpers.comparisons import comparison
from tests.helpers.trials import SWAP, compare


def test_trainings_are_measured_by_turns(asked: list[str]) -> None:
    made = compare("tiny.yaml", swaps=[SWAP], seeds=1)
    assert len(asked) == 4
    assert asked == [*asked[:2], *asked[1::-1]]
    costs = {variant["name"]: variant["cost"] for variant in made["variants"]}
    first, second = (costs[name] for name in asked[:2])
    assert first["seconds_a_step"] == second["seconds_a_step"] == pytest.approx(0.25)
    assert first["seconds_a_step_half"] == pytest.approx([0.1, 0.4])
    assert (first["peak_memory"], second["peak_memory"]) == (400, 300)


def test_variants_of_a_sampler_share_a_measurement(asked: list[str]) -> None:
    made = compare("tiny.yaml", swaps=["evaluate.num_steps=2,4"], seeds=1)
    assert asked == ["bilinear", "bilinear"]
    by_nfe = {v["cost"]["nfe"]: v["cost"]["images_per_second"] for v in made["variants"]}
    assert by_nfe[2] == pytest.approx(2 * by_nfe[4])
    assert len({v["cost"]["seconds_a_step"] for v in made["variants"]}) == 1
    compare("tiny.yaml", swaps=["evaluate.num_steps=2,4"], seeds=1, name="again")
    assert len(asked) == 2


def test_tables_come_before_sentences() -> None:
    data = {**comparison(), "folder": "runs/x", "page": "runs/x/compare.html", "trainings": 12}
    data["variants"][0]["cost"]["seconds_a_step_half"] = [0.2, 0.25]
    data["metrics"]["kid"]["anchors"] = {"real": {"value": 0.01, "protocol": {}}}
    lines = comparison_summary(data).splitlines()  # type: ignore[arg-type]
    places = [
        next(i for i, line in enumerate(lines) if words in line)
        for words in (
            "12 trainings of 1:30:00 in all",
            "KID, lower",
            "same scale",
            "cost",
            "against",
        )
    ]
    assert places == sorted(places)
    assert any("0.212 (0.200 to 0.250)" in line for line in lines)
