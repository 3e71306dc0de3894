"""Damage: each file that the project writes, in each way."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from .command import command
from .failpoints import Point
from .laws import mended, said_well
from .work import PLUGIN, SCENARIOS, Scenario, Slot
from .world import Trial, World, place_of


def _flipped(file: Path, draw: random.Random) -> None:
    data = bytearray(file.read_bytes() or b"\0")
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    file.write_bytes(data)


def _cut(file: Path, draw: random.Random) -> None:
    os.truncate(file, draw.randrange(max(1, file.stat().st_size)))


def _emptied(file: Path, _: random.Random) -> None:
    os.truncate(file, 0)


def _removed(file: Path, _: random.Random) -> None:
    file.unlink()


def _rubbish(file: Path, draw: random.Random) -> None:
    file.write_bytes(draw.randbytes(max(16, file.stat().st_size)))


HARMS = {"a flipped bit": _flipped, "another flipped bit": _flipped, "cut": _cut}
HARMS |= {"emptied": _emptied, "removed": _removed, "rubbish": _rubbish}

DAMAGED = {"finished": "run", "stopped": "go on", "drawn": "sample", "compared": "compare"}
"""States whose files are damaged, and the scenario whose command follows."""

READERS: tuple[tuple[str, ...], ...] = (
    ("report", "tiny"),
    ("sample", "tiny", "--num-images", "2", *PLUGIN),
    ("cache", "ls"),
    ("cache", "verify"),
    ("cache", "gc"),
)


def damages(world: World) -> Iterator[Trial]:
    """Each file that the project writes, damaged in each way; then read, then mended."""
    for state, name in DAMAGED.items():
        scenario, expected = replace(SCENARIOS[name], start=state), world.of(name).results
        for number, file in enumerate(_files(world.slot, state)):
            for harm in HARMS:
                place = place_of(Point("", str(file)))
                what = f"{state}: {harm}: {re.sub('[0-9a-f]{32,}', 'KEY', str(file))}"
                check = partial(_damaged, scenario, expected, number, harm)
                yield Trial("damage", what, place, check)


def _files(slot: Slot, state: str, *, begin: bool = True) -> list[Path]:
    """The files that the project wrote in a state; of the later states only their own."""
    work = slot.begin(state) if begin else slot.work
    files = {p.relative_to(work) for p in work.rglob("*") if p.is_file() and not _is_users(p)}
    if state == "drawn":
        files = {file for file in files if file.parts[0] == "drawn"}
    if state == "compared":
        files = {file for file in files if file.parts[:2] == ("runs", "both")}
    return sorted(files - {Path("tiny.yaml"), Path("longer.yaml")})


def _is_users(file: Path) -> bool:
    return file.read_bytes().startswith(b"mine: ")


def _damaged(
    scenario: Scenario, expected: Mapping[str, str], number: int, harm: str, slot: Slot
) -> list[str]:
    file, work = _files(slot, scenario.start)[number], slot.work
    draw = random.Random(f"{scenario.start} {number} {harm}")
    HARMS[harm](work / file, draw)
    if scenario.start == "drawn":
        problems = _refused(scenario, slot, file)
    else:
        problems = _read(draw.choice(READERS), slot, file, harm)
        problems += said_well(command(scenario.words, work), {0, 1, 2})
    return problems + mended(slot, scenario, expected, damaged=file.name)


def _refused(scenario: Scenario, slot: Slot, file: Path) -> list[str]:
    """What is wrong with how drawn pictures are met that somebody changed: they may be wanted.

    In the end they are moved away, as the message says.
    """
    ended = slot.do(scenario)
    problems = said_well(ended, {0, 2})
    if ended.code == 2 and f"{file.parts[0]}/" not in ended.err:
        problems.append(f"no file is named: {ended.err}")
    if ended.code == 2:
        (slot.root / "away").mkdir(exist_ok=True)
        for path in map(slot.work.joinpath, _files(slot, scenario.start, begin=False)):
            path.rename(slot.root / "away" / path.name)
    return problems


def _read(words: tuple[str, ...], slot: Slot, file: Path, harm: str) -> list[str]:
    """What is wrong with how a command meets the damage that only reads, or cleans up."""
    before = _kept(slot.work)
    read = command(words, slot.work)
    problems = said_well(read, {0, 1, 2})
    problems += [f"removed {folder}" for folder in before - _kept(slot.work)]
    if words[1] == "verify" and _is_promised(file, harm) and read.code != 1:
        problems.append("the damage is not told")
    return [f"{' '.join(words[:2])}: {problem}" for problem in problems]


def _kept(work: Path) -> set[str]:
    """The folders of the store with artifacts and trainings, by kind and key; costs come again."""
    folders = {str(path.relative_to(work)) for path in work.glob(".pipeline/[aw]*/*/[!.]*")}
    return {folder for folder in folders if "/cost/" not in folder}


def _is_promised(file: Path, harm: str) -> bool:
    """Whether ``cache verify`` has a digest of this file."""
    path = file.as_posix()
    if harm == "removed":
        return "artifacts/" in path and path.count("/") > 4
    kept = r"artifacts/|workspaces/.*/step-\d+\.|/best\.|/history\.json$|needs/|run\.json$"
    return bool(re.search(kept, path))
