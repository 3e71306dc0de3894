"""The quick form of ``benchmarks/faults.py``: a few of each kind of fault, with the same laws."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT


@pytest.mark.slow
def test_a_few_faults_of_each_kind_leave_nothing_wrong() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/faults.py"), "--quick"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    kinds = {kind for kind, *_ in rows[2:-1]}
    assert kinds == {"failpoint", "kill", "step", "error", "limit", "damage", "crowd"}
    assert int(rows[-1][2]) >= 28
