"""How fast, how large and how exact is all of this on a GPU? One command, under 8 minutes.

    python benchmarks/accelerator.py --json figures.json
    python benchmarks/accelerator.py --seconds 240 --minutes 5 --data data --json figures.json
    python benchmarks/accelerator.py --device cpu --small          the same in miniature

needs one GPU and no network; what it trains on is drawn. It measures a training step of three
networks at 64×64 in batches of 64, in every precision, eager and compiled, with the share of it
that is spent outside the network and waiting for images; sampling; features; peak memory; how far
samples are from the CPU's; and whether a training that stopped and went on ends in the same
weights. `--minutes 5` adds so much of the book's recipe, on the photos in `--data` or on drawings.

Each row is printed, and written to the JSON file, as soon as it is there. The work is done in a
process of its own, which is ended when a part of it takes too long or fails; a row that was not
measured says why. Exit code 1 where something failed, 2 for wrong options.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import shlex
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from accelerating.bench import Bench
from accelerating.parts import SECTIONS, Part, all_parts

from pipeline.errors import Failed, InputError
from pipeline.format import byte_size, number
from pipeline.machine import choose_device, has_memory, machine, reusing_memory, versions
from pipeline.progress import note
from pipeline.store.folders import write_text

Row = dict[str, Any]
Answer = tuple[Row, bool]
"""A row's values, and whether the process that measured them can go on."""

BEGAN = time.monotonic()

GRACE = 120.0
"""Seconds that the book's recipe may take beyond its minutes, to prepare images and to end."""

SHARE = 3
"""One part may take so much of all time: its third."""


def main(words: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = _parser()
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="accelerator-") as folder:
        try:
            device = choose_device(asked.device)
            bench = Bench(device, asked.small, Path(folder), asked.minutes, asked.data)
            parts = [part for part in all_parts(bench) if asked.only in str(part)]
            _check(asked, bench, parts)
        except (InputError, OSError) as error:
            parser.error(str(error))
        tables = Tables(parts, asked, device)
        for part, values in measured(bench, parts, asked.seconds):
            tables.add(part, values)
    note(f"done in {_spent():.0f} s" + (f"; all rows are in {asked.json}" if asked.json else ""))
    return int(any("failed" in row for row in tables.rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto", help="as of pipeline run [%(default)s]")
    parser.add_argument("--small", action="store_true", help="tiny networks, 16×16, few steps")
    parser.add_argument("--seconds", type=float, default=470, help="for all rows [%(default)s]")
    parser.add_argument("--minutes", type=float, default=0, help="more, of the book's recipe")
    parser.add_argument("--data", type=Path, help="the folder that holds flowers-102, for them")
    parser.add_argument("--json", type=Path, help="a new file for machine, versions and rows")
    parser.add_argument("--only", default="", help='rows with this in their name: "steps dit bf16"')
    return parser


def _check(asked: argparse.Namespace, bench: Bench, parts: Sequence[Part]) -> None:
    """InputError or OSError for what would be missed only after minutes."""
    if not parts:
        names = "; ".join(map(str, all_parts(bench)))
        raise InputError(f"--only {asked.only}: no row is called so. There are: {names}")
    if asked.data and not asked.minutes:
        raise InputError("--data: only the book's recipe reads it; give --minutes too")
    if bench.minutes:
        bench.book.dataset()
    if asked.json:
        try:
            asked.json.open("x").close()
        except FileExistsError:
            raise InputError(f"--json {asked.json}: is there already; give a new name") from None


@dataclass
class Tables:
    """Rows as they come: printed under their section's head, and kept in the JSON file."""

    parts: Sequence[Part]
    asked: argparse.Namespace
    device: str

    def __post_init__(self) -> None:
        self.rows: list[Row] = []
        self.facts: dict[str, object]
        here, packages = machine(self.device), versions()
        self.facts = {"command": shlex.join(sys.argv), "date": time.strftime("%F")}
        self.facts |= {"machine": here, "versions": packages}
        device, cpu = here["device"], f"{here['cores']} cores of {here['cpu']}"
        print(f"{self.facts['date']}, {device}, {cpu}, torch {packages['torch']}", flush=True)
        if not has_memory(self.device):
            self.facts["not_measured"] = "peak memory: only GPUs count it"
            print(self.facts["not_measured"])

    def add(self, part: Part, values: Row) -> None:
        """Print and keep one more row."""
        if not self.rows or self.rows[-1]["section"] != part.section:
            head = [HEADS.get(c, (c.replace("_", " "),))[0] for c in self._columns(part)]
            print(f"\n{part.section}\n")
            print(self._line(part, [*head, "remark"]))
            print(self._line(part, ["-" * len(text) for text in [*head, "remark"]]))
        self.rows.append({"section": part.section, **part.given, **values})
        cells = [_cell(column, self.rows[-1].get(column)) for column in self._columns(part)]
        remark = values.get("not_measured") or values.get("failed") or ""
        print(self._line(part, [*cells, remark]), flush=True)
        if self.asked.json:
            write_text(self.asked.json, json.dumps({**self.facts, "rows": self.rows}, indent=1))

    def _columns(self, part: Part) -> tuple[str, ...]:
        return SECTIONS[part.section].columns

    def _line(self, part: Part, cells: Sequence[str]) -> str:
        """A line of the table, each column as wide as its head and what it is given."""
        widths = []
        for column in self._columns(part):
            given = [str(p.given[column]) for p in self.parts if column in p.given]
            head = HEADS.get(column, (column.replace("_", " "),))[0]
            widths.append(max(map(len, [head, *given])))
        padded = [cell.ljust(width) for cell, width in zip(cells, [*widths, 0], strict=True)]
        return f"| {' | '.join(padded)} |"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _weights(value: float) -> str:
    return f"{value:.2g}" if value else "equal to the bit"


HEADS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "compiled": ("compiled", lambda value: "yes" if value else "no"),
    "seconds_a_step": ("s a step", number),
    "images_per_second": ("images/s", number),
    "outside_network": ("outside the network", _share),
    "waiting_for_data": ("waiting for images", _share),
    "drawn_per_second": ("drawn/s, ddim 20", number),
    "peak_memory": ("peak memory", byte_size),
    "first_step": ("first step, s", number),
    "features_per_second": ("features/s", number),
    "largest_difference": ("largest difference of 255", str),
    "mean_difference": ("mean", number),
    "values_that_differ": ("values that differ", _share),
    "repeated": ("the same again: weights", _weights),
    "resumed": ("stopped and resumed: weights", _weights),
}
"""Of columns that are not called and written as they are: the head, and how a value is written."""


def _cell(column: str, value: object) -> str:
    if value is None:
        return "–"
    plain: Callable[[Any], str] = number if isinstance(value, float) else str
    return HEADS.get(column, ("", plain))[1](value)


# The processes -----------------------------------------------------------------------------------


def measured(bench: Bench, parts: Sequence[Part], seconds: float) -> Iterator[tuple[Part, Row]]:
    """Each part with what came of it, measured in one process as long as that goes well."""
    left = list(parts)
    while left:
        if _limit(left[0], bench, seconds) <= 0:
            yield left.pop(0), {"not_measured": f"no time was left of --seconds {seconds:g}"}
            continue
        answers, theirs = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("spawn")  # CUDA survives no fork
        fresh = replace(bench)  # without what it has made so far
        process = context.Process(target=_work, args=(fresh, left, theirs))
        process.start()
        theirs.close()
        goes_on = True
        try:
            while left and goes_on and (limit := _limit(left[0], bench, seconds)) > 0:
                values, goes_on = _answer(answers, limit, process)
                yield left.pop(0), values
        finally:
            process.kill()
            process.join()


def _limit(part: Part, bench: Bench, seconds: float) -> float:
    """How many seconds a part may take from now on."""
    if part.section == "book":
        return bench.minutes * 60 + GRACE
    return min(seconds / SHARE, seconds - _spent())


def _spent() -> float:
    return time.monotonic() - BEGAN


def _answer(answers: Connection, limit: float, process: Any) -> Answer:
    try:
        if answers.poll(limit):
            answer: Answer = answers.recv()
            return answer
    except EOFError:
        process.join()
        return {"failed": f"its process ended with exit code {process.exitcode}"}, False
    return {"not_measured": f"stopped after {limit:.0f} s"}, False


def _work(bench: Bench, parts: Sequence[Part], connection: Connection) -> None:
    """The process that measures: it ends with the one that began it, and after a failure."""
    parent = multiprocessing.parent_process()
    assert parent
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    with reusing_memory():
        for part in parts:
            answer = attempt(bench, part)
            connection.send(answer)
            if not answer[1]:  # after some errors a GPU does nothing more for a process
                return


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def attempt(bench: Bench, part: Part) -> Answer:
    """Measure a part, or say why it cannot be."""
    gc.collect()  # trainings hold themselves, and with them the device's memory
    try:
        return dict(SECTIONS[part.section].measure(bench, **part.given)), True
    except (InputError, Failed) as error:
        return {"not_measured": _first_line(error)}, True
    except Exception as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {_first_line(error)}"}, False


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


if __name__ == "__main__":
    sys.exit(main())
