"""What the benchmarks say of options that they cannot take."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("training_step.py --pairs 0", "argument --pairs: 0 should be 1 or more"),
        ("peers.py --size 30", "30×30 pixels cannot be divided by 8"),
        ("peers.py --starts many", "argument --starts: invalid positive value: 'many'"),
        ("draws.py --device abacus", "--device abacus: not to be had here"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(words: str, message: str) -> None:
    name, *options = words.split()
    command = [sys.executable, str(ROOT / "benchmarks" / name), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
