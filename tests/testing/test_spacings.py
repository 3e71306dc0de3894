"""The conformance kit on spacings: right ones pass, and what they refuse is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import pytest
import torch
from pydantic import Field

from pipeline import InputError, stage
from pipeline.plugin.registry import Registry
from pipeline.testing import check_spacing, examine

REGISTRY = Registry.load()


@stage
class Even:
    """Evenly spaced in t, whatever the schedule."""

    def __call__(self, schedule, num_steps):
        return 1 - torch.arange(num_steps, dtype=torch.float64) / num_steps


@stage
class Power:
    """Evenly spaced in a power of t, to t = 0."""

    power: Annotated[float, Field(gt=0, le=9)] = 2.0
    """How uneven the steps are."""
    examples: ClassVar[Sequence] = ({"power": 0.5},)

    def __call__(self, schedule, num_steps):
        share = torch.arange(num_steps, dtype=torch.float64) / max(1, num_steps - 1)
        return 1 - share**self.power


@stage
class WithoutMuchNoise:
    """Evenly spaced in t, for schedules of which something is left at t = 1."""

    def __call__(self, schedule, num_steps):
        if schedule(torch.ones(1, dtype=torch.float64)).log_snr < -10:
            raise InputError("too little is left of the image")
        return Even()(schedule, num_steps)


@pytest.mark.parametrize("spacing", [Even, Power, Power(power=3.0)], ids=["even", "power", "3"])
def test_a_right_spacing_passes_whether_or_not_it_looks_at_the_schedule(spacing):
    report = check_spacing(spacing, registry=REGISTRY)
    told = {finding.check: finding.measured for finding in report.findings}
    tried = "for 1, 2, 3, 7, 20, 21, 50, 333, 1000 steps, and all up to 128"
    assert told["gives a float64 time for each level"] == tried
    assert "refuses" not in told["takes schedules"]


def test_every_registered_schedule_is_tried_and_a_refused_one_is_told():
    report = examine("spacing", WithoutMuchNoise, REGISTRY)
    assert report.ok, report.table()
    told = {finding.check: finding.measured for finding in report.findings}["takes schedules"]
    assert all(entry.name in told for entry in REGISTRY.entries("schedule"))
    assert "refuses VE from sigma 80" not in told.partition(";")[0]
    assert "refuses the widest VP, 1 steps: too little is left of the image" in told
