"""``benchmarks/peers.py`` with a tiny network: a row for each peer, whose cells are numbers."""

import subprocess
import sys

from tests.helpers.paths import ROOT


def test_the_benchmark_prints_a_row_for_each_peer():
    command = [sys.executable, str(ROOT / "benchmarks/peers.py"), "--small"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    title, _, header, _, *rows = done.stdout.splitlines()
    assert "58,899 parameters, batches of 8 at 16×16" in title
    table = [[cell.strip() for cell in row.strip("|").split("|")] for row in [header, *rows]]
    assert [row[0] for row in table[1:]] == [
        "this project's Training",
        "a bare loop of torch",
        "diffusers' example",
    ]
    assert {len(row) for row in table} == {5}
    for _, seconds, ratio, start, memory in table[1:]:
        assert min(map(float, [seconds, ratio.split()[0], start, memory])) > 0
    assert table[2][2] == "1.000 (1.000 to 1.000)"
