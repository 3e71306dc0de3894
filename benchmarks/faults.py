"""What holds when processes are killed, disks refuse, files rot and many work at once?

    python benchmarks/faults.py                    all, about 25 minutes on two cores
    python benchmarks/faults.py --quick            a few of each kind
    python benchmarks/faults.py --only damage:37   one trial again, with what it finds

runs a tiny recipe, disturbs it, gives the same command again and compares what comes of it with an
undisturbed run to the bit. After each fault a command says one line with its exit code or goes on,
the next run is equal, `cache verify` finds all sound, `cache gc` leaves nothing of what was killed,
and a user's own files are as they were. Prints the table of docs/reliability.md; exit code 1 where
something fails. Seeds are fixed.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: forks need a process of one thread

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

import torch
from trials.command import command, import_all
from trials.kinds import KINDS
from trials.work import SCENARIOS, Slot, draw_photos, without_timing
from trials.world import Trial, World

from pipeline.plugin.identity import code_identity
from pipeline.plugin.registry import Registry

QUICK = {"failpoint": 8, "kill": 2, "step": 2, "error": 8, "limit": 2, "damage": 10, "crowd": 1}
"""How many trials of each kind the quick form takes, evenly spread over all."""

MEMORY = Path("/dev/shm")
"""Where trials are kept if it is there: syncing takes no time in memory, and changes nothing."""


@dataclass
class Finding:
    """What came of a trial."""

    name: str
    trial: Trial
    problems: list[str]
    seconds: float


@dataclass
class Table:
    """Trials and failures by kind and place."""

    rows: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Count one trial."""
        row = self.rows.setdefault((finding.trial.kind, finding.trial.place), [0, 0])
        row[0] += 1
        row[1] += bool(finding.problems)

    def __str__(self) -> str:
        lines = ["| fault | where | trials | failed |", "| --- | --- | --- | --- |"]
        for kind in KINDS:
            mine = {place: row for (k, place), row in sorted(self.rows.items()) if k == kind}
            lines += [f"| {kind} | {place} | {n} | {bad} |" for place, (n, bad) in mine.items()]
        total = [sum(row[i] for row in self.rows.values()) for i in (0, 1)]
        return "\n".join([*lines, f"| all | | {total[0]} | {total[1]} |"])


def main(words: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = _parser().parse_args(words)
    torch.set_num_threads(1)
    began = time.monotonic()
    place = MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None
    # Not a TemporaryDirectory: each fork of this process would remove it at its end.
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=place))
    try:
        table = _tried(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch ",
        end="",
    )
    print(f"{torch.__version__}, {(time.monotonic() - began) / 60:.1f} minutes\n\n{table}")
    return int(any(bad for _, bad in table.rows.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="A few trials of each kind.")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="One trial.")
    parser.add_argument("--kinds", default=",".join(KINDS), help="  [default: %(default)s]")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="Trials at a time.")
    parser.add_argument("--findings", type=Path, help="Write each trial as a line of JSON here.")
    return parser


def _tried(folder: Path, options: argparse.Namespace) -> Table:
    draw_photos(folder / "photos")
    slots = [Slot(folder / str(i)) for i in range(max(1, options.jobs))]
    _warm_up(slots[0])
    trials = _chosen(World(slots[0]), options)
    table = Table()
    for i, finding in enumerate(_in_slots(trials, slots), 1):
        table.add(finding)
        _tell(finding, i, len(trials), options)
    return table


def _warm_up(slot: Slot) -> None:
    """Import here all that commands import, so that their forks need not."""
    without_timing()
    slot.begin("nothing")
    file = slot.root / "modules"
    for name in ("compare", "report"):
        ended = command(SCENARIOS[name].words, slot.work, partial(_note_modules, file))
        if name == "compare" and ended.code:
            raise RuntimeError(f"undisturbed, compare ended with {ended.code}: {ended.err}")
        import_all(json.loads(file.read_text()))
    registry = Registry.load()
    for entry in registry.found:
        with suppress(Exception):  # a package that a stage needs may not be there
            code_identity(entry.load(), entry.provider.distribution)


def _note_modules(file: Path) -> None:
    import atexit

    atexit.register(lambda: file.write_text(json.dumps(sorted(sys.modules))))


def _chosen(world: World, options: argparse.Namespace) -> dict[str, Trial]:
    """The trials to try by their names, as ``--only`` takes them."""
    only = options.only or ""
    kinds = [only.partition(":")[0]] if only else options.kinds.split(",")
    chosen = {}
    for kind in kinds:
        named = {f"{kind}:{i}": trial for i, trial in enumerate(KINDS[kind](world))}
        step = max(1, -(-len(named) // QUICK[kind])) if options.quick and not only else 1
        chosen |= dict(list(named.items())[::step])
    return {only: chosen[only]} if only else chosen


def _in_slots(trials: dict[str, Trial], slots: Sequence[Slot]) -> Iterator[Finding]:
    """All trials, each in a process of its own, as many at a time as there are slots."""
    waiting, running = list(trials.items()), dict[int, tuple[str, Trial, Slot]]()
    while waiting or running:
        busy = {slot.root for _, _, slot in running.values()}
        for slot in [slot for slot in slots if slot.root not in busy][: len(waiting)]:
            name, trial = waiting.pop(0)
            running[_begun(trial, slot)] = name, trial, slot
        pid, _ = os.waitpid(-1, 0)
        name, trial, slot = running.pop(pid)
        yield Finding(name, trial, *json.loads((slot.root / "problems").read_text()))


def _begun(trial: Trial, slot: Slot) -> int:
    """The process in which the trial is at work; its problems come into a file of the slot."""
    slot.root.mkdir(exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    began = time.monotonic()
    try:
        problems = trial.check(slot)
    except BaseException:
        problems = [f"the trial itself failed: {traceback.format_exc()}"]
    (slot.root / "problems").write_text(json.dumps([problems, time.monotonic() - began]))
    os._exit(0)


def _tell(finding: Finding, number: int, total: int, options: argparse.Namespace) -> None:
    if finding.problems:
        print(f"FAILED {finding.name}: {finding.trial.what}", file=sys.stderr)
        for problem in finding.problems:
            print(f"    {problem}", file=sys.stderr)
        print(f"    python benchmarks/faults.py --only {finding.name}", file=sys.stderr)
    elif number % 50 == 0:
        print(f"{number} of {total}", file=sys.stderr)
    if options.findings:
        told = {"kind": finding.trial.kind, "what": finding.trial.what}
        with options.findings.open("a") as file:
            told |= {"problems": finding.problems, "seconds": round(finding.seconds, 2)}
            file.write(json.dumps({"name": finding.name, **told}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
