"""``benchmarks/draws.py``, once round: a row for each number of threads, kind and shape."""

import subprocess
import sys

from tests.helpers.paths import ROOT


def test_the_benchmark_prints_one_whole_table():
    command = [sys.executable, str(ROOT / "benchmarks/draws.py"), "--rounds", "1"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    header, _, *rows = found.splitlines()
    assert len(rows) == 2 * 2 * 5
    assert {row.count("|") for row in [header, *rows]} == {7}
