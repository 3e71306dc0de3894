"""SIGUSR2, by which clusters say that a job's time is over, is SIGTERM, however often it comes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pipeline.errors import Interrupted
from pipeline.training.signals import stopping_softly
from tests.helpers.tiny import shell


def test_a_cluster_that_warns_twice_does_not_stop_it_at_once() -> None:
    with stopping_softly() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGUSR2)
        assert stop.signum == signal.SIGUSR2
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)  # a wish to be quick


def test_it_saves_ends_and_goes_on(here: Path) -> None:
    trip = ["--set", "augment.trip.step=4", "--set", f"augment.trip.signal={int(signal.SIGUSR2)}"]
    stopped = shell("run", "tiny.yaml", *trip, code=128 + signal.SIGUSR2)
    assert "stopped at step 5, saved" in stopped.stderr
    assert "training goes on from step 5" in shell("run", "tiny.yaml").stderr
