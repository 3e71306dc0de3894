"""``benchmarks/time_to_quality.py`` on tiny recipes: what it finds, prints, writes, reuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.tiny import RECIPE, STAGES

sys.path.insert(0, str(ROOT / "benchmarks"))
import time_to_quality as benchmark


def test_when_a_quality_is_reached_for_good() -> None:
    seconds = [10.0, 20.0, 30.0, 40.0]
    assert benchmark.reached(seconds, [4, 2, 3, 1], 2.5) == pytest.approx(31.66, abs=0.01)
    assert benchmark.reached(seconds, [4, 4, 4, 2], 4) == 10  # it may stay there
    assert benchmark.reached(seconds, [4, 1, 1, 1], 2) == pytest.approx(15)
    assert benchmark.reached(seconds, [4, 1, 1, 5], 2) is None  # a lucky dip
    assert benchmark.share([5.0, None], 10) == "1 of 2 got there"
    assert benchmark.share([5.0, 5.0], 10) == "0.50 (0.50 to 0.50)"


def test_speed_of_the_machine_is_taken_out() -> None:
    points = [{"seconds": 10.0, "kid": 1.0}]
    made = [
        {"recipe": name, "seed": 0, "work": [work, work], "points": points}
        for name, work in (("a", 1.0), ("b", 2.0), ("c", 4.0))
    ]
    times = {key[0]: seconds for key, seconds in benchmark.normalised(made).items()}
    assert times == {"a": [20.0], "b": [10.0], "c": [5.0]}


def test_tables_numbers_and_a_plot(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "tiny.yaml").write_text(RECIPE)
    (here / "short.yaml").write_text("extends: tiny.yaml\nname: short\ntrain: {max_steps: 4}\n")
    words = ["tiny.yaml", "short.yaml", "--seeds", "2", "--points", "2", "--num-images", "8"]
    words += ["--plugin", str(STAGES), "--device", "cpu", "--set", "evaluate=null"]
    benchmark.main(words)
    printed = capsys.readouterr().out
    assert "is what tiny has at its end" in printed
    assert printed.count("| `tiny`") == printed.count("| `short`") == 3
    made = json.loads(Path("time_to_quality/short-seed1.json").read_text())
    assert [point["step"] for point in made["points"]] == [2, 4]
    assert {"kid", "fid", "precision", "recall"} <= set(made["points"][0])
    assert Path("time_to_quality/curves.png").read_bytes().startswith(b"\x89PNG")
    runs = sorted(Path("runs").rglob("run.json"))
    stamps = [file.stat().st_mtime_ns for file in runs]
    assert len(runs) == 4
    benchmark.main(words)
    assert capsys.readouterr().out == printed
    assert [file.stat().st_mtime_ns for file in runs] == stamps
