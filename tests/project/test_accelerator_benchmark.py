"""``benchmarks/accelerator.py`` in miniature on the CPU: its rows, and what becomes of wrong ends.

Times are not looked at: how fast a tiny network is on a busy machine says nothing.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from torch import nn

from tests.helpers.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import accelerator
from accelerating.bench import SMALL, Bench
from accelerating.parts import SECTIONS, WAYS, Part, steps

COMMAND = [sys.executable, str(ROOT / "benchmarks/accelerator.py"), "--device", "cpu", "--small"]
NETWORKS = ("residual_unet", "adm_unet", "dit")


def measure(folder: Path, *words: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of the JSON file, and what is printed."""
    file = folder / "figures.json"
    words = ("--json", str(file), "--seconds", "10000", *words)
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = json.loads(file.read_text())
    assert kept["machine"]["device"] == "cpu"
    assert kept["versions"]["torch"]
    return kept["rows"], done.stdout


def test_every_row_is_measured_or_says_why_not(tmp_path: Path) -> None:
    rows, printed = measure(tmp_path, "--minutes", "0.02")
    lines = [line for line in printed.splitlines() if line.startswith("| ")]
    sections = [row["section"] for row in rows]
    heads = 1 + sum(a != b for a, b in pairwise(sections))
    assert len(lines) == len(rows) + 2 * heads
    assert set(sections) == set(SECTIONS)
    assert not any("failed" in row for row in rows)
    missing = {name(row): row["not_measured"] for row in rows if "not_measured" in row}
    precisions = {"tf32", "fp16"}
    assert {key[-1] for key in missing if key[-1] != "compiled"} == precisions
    for key, reason in missing.items():
        lacking = precisions & set(key)
        assert (f"cannot compute in {lacking.pop()}" if lacking else "--small") in reason
        assert any(reason in line for line in lines)
    assert "peak memory: only GPUs count it" in printed
    check_values({name(row): row for row in rows if "not_measured" not in row})


def name(row: dict[str, Any]) -> tuple[str, ...]:
    """The row's section and what it is about."""
    keys = ("network", "images", "precision") if row["section"] != "book" else ()
    compiled = ["compiled"] if row.get("compiled") else []
    return (row["section"], *(row[key] for key in keys if key in row), *compiled)


def check_values(rows: dict[tuple[str, ...], dict[str, Any]]) -> None:
    able = ("float32", "bf16")
    stepped = [("steps", network, precision) for network in NETWORKS for precision in able]
    feeds = [key for key in rows if key[0] == "feed"]
    assert [key[1] for key in feeds] == list(WAYS)
    for key in [*stepped, *feeds]:
        assert rows[key]["seconds_a_step"] > 0
        assert rows[key]["outside_network"] < 1
        assert 0 <= rows[key]["waiting_for_data"] < math.inf
    assert all(rows[key]["drawn_per_second"] > 0 for key in stepped)
    assert rows["features",]["features_per_second"] > 0
    assert rows["samples", "float32"]["largest_difference"] == 0, "the CPU against itself"
    assert rows["samples", "bf16"]["largest_difference"] > 0
    for precision in able:
        row = rows["resumed", precision]
        assert (row["repeated"], row["resumed"]) == (0, 0)
    assert rows["book",]["steps"] > 0


def test_a_killed_benchmark_keeps_its_rows_and_leaves_no_process(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    process = subprocess.Popen([*COMMAND, "--json", str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    while "| residual_unet" not in process.stdout.readline():
        pass
    time.sleep(0.5)  # until the file has the row too
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    process.stdout.close()
    assert json.loads(file.read_text())["rows"][0]["network"] == "residual_unet"
    assert children
    assert not psutil.wait_procs(children, timeout=60)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--only", "steps vit"],
            "--only steps vit: no row is called so. There are: steps residual",
        ),
        (["--data", "here"], "--data: only the book's recipe reads it; give --minutes too"),
        (["--data", "here", "--minutes", "1"], "here/flowers-102"),
        (["--device", "abacus"], "--device abacus: not to be had here"),
        (["--json", "figures.json"], "--json figures.json: is there already; give a new name"),
        (["--json", "nowhere/figures.json"], "nowhere/figures.json"),
    ],
)
def test_wrong_options_are_told_before_any_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("figures.json").write_text("mine")
    with pytest.raises(SystemExit) as end:
        accelerator.main(["--small", "--device", "cpu", *words])
    assert end.value.code == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert not said.out
    assert Path("figures.json").read_text() == "mine"


class Deadly:
    """Ends the process that looks it up."""

    def __hash__(self) -> int:
        os._exit(7)


def test_after_what_is_slow_or_fails_another_process_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, wrong, deadly = (Part("feed", {"images": ways}) for ways in ("", "nowhere", Deadly()))
    good, late = Part("samples", {"precision": "float32"}), Part("features", {})
    limits = {"slow": 0.1, "late": 0.0}
    named = {id(slow): "slow", id(late): "late"}
    monkeypatch.setattr(
        accelerator, "_limit", lambda part, *_: limits.get(named.get(id(part), ""), 600.0)
    )
    order = [slow, wrong, deadly, good, late]
    found = list(accelerator.measured(Bench("cpu", True, tmp_path), order, seconds=5))
    assert [part for part, _ in found] == order
    values = [row for _, row in found]
    assert values[0] == {"not_measured": "stopped after 0 s"}
    assert values[1] == {"failed": "KeyError: 'nowhere'"}
    assert values[2] == {"failed": "its process ended with exit code 7"}
    assert values[3]["largest_difference"] == 0
    assert values[4] == {"not_measured": "no time was left of --seconds 5"}


def test_one_part_may_take_a_third_of_the_time_and_the_book_its_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench("cpu", True, tmp_path, minutes=5)
    spent = {60.0: 160, 400.0: 80, 480.0: 0}
    for seconds, left in spent.items():
        monkeypatch.setattr(accelerator, "_spent", lambda seconds=seconds: seconds)
        assert accelerator._limit(Part("features", {}), bench, 480) == left
        assert accelerator._limit(Part("book", {}), bench, 480) == 300 + accelerator.GRACE


class SmallFully(Bench):
    """Does with tiny networks what is otherwise left out of ``--small``."""

    sizes = SMALL


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_compiled_network_is_compiled_once_for_all_that_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    compile_ = nn.Module.compile
    graphs = []

    def as_it_is(graph: Any, _: Any) -> Any:  # inductor would take minutes
        graphs.append(graph)
        return graph

    monkeypatch.setattr(nn.Module, "compile", lambda self: compile_(self, backend=as_it_is))
    bench = SmallFully("cpu", False, tmp_path)
    values = steps(bench, "dit", precision, compiled=True)
    assert len(graphs) == 1, "else the network alone would be compiled within its own time"
    assert values["seconds_a_step"] > 0
    assert "drawn_per_second" not in values
    steps(bench, "residual_unet", precision, compiled=True)
    assert len(graphs) == 2
