"""Every kind of stage has a contract, and what a stage lacks of it is named."""

from __future__ import annotations

from typing import ClassVar

import pytest

from pipeline import PairedMetric, Sampler, Score, stage
from pipeline.plugin.kinds import CONTRACTS, members, missing
from pipeline.plugin.registry import KINDS, Registry
from pipeline.recipe.build import build_stage
from pipeline_metrics.fid import FID
from pipeline_metrics.kid import KID


def test_every_kind_has_a_contract_in_the_same_order():
    assert list(CONTRACTS) == list(KINDS)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("schedule", ["__call__"]),
        ("codec", ["fit", "encode", "decode"]),
        ("objective", ["loss", "predict"]),
        ("sampler", ["order", "nfe", "__call__"]),
        ("metric", ["higher_is_better", "ideal", "biased", "needs", "features", "__call__"]),
    ],
)
def test_the_members_of_a_contract(kind, expected):
    assert members(CONTRACTS[kind]) == expected


@stage
class Half:
    """A sampler and a metric, and neither wholly."""

    higher_is_better: ClassVar[bool] = True
    order: ClassVar[None] = None

    def __call__(self, real, fake):
        return Score(0.0)


def test_what_a_stage_lacks_is_named_and_none_is_a_value():
    assert missing("sampler", Half()) == ["nfe"]
    assert missing("metric", Half()) == ["ideal", "biased", "needs", "features"]
    assert not isinstance(Half(), Sampler)


@pytest.mark.parametrize("entry", Registry.load().entries(), ids=lambda e: f"{e.kind}-{e.name}")
def test_no_shipped_stage_lacks_a_member(entry, tmp_path):
    cls = entry.load()
    places = {
        "hf": {"path": "x"},
        "image_folder": {"root": tmp_path},
        "autoencoder_kl": {"weights": tmp_path},
        "autoguidance": {"run": "x"},
    }
    options = {**[{}, *getattr(cls, "examples", ())][-1], **places.get(entry.name, {})}
    built = build_stage(Registry.load(), entry.kind, {"name": entry.name, **options})
    assert missing(entry.kind, built) == []
    assert isinstance(built, CONTRACTS[entry.kind])


def test_only_some_metrics_know_differences():
    assert isinstance(KID(), PairedMetric)
    assert not isinstance(FID(), PairedMetric)
