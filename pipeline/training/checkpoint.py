"""Training state on disk: tensors as safetensors, the rest as JSON. No code in files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..progress import note
from ..store.weights import read, write

KEEP = 2
"""Checkpoints kept: the newest, and one before it should the newest be damaged."""


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """The checkpoint of ``step``; older ones than the last ``KEEP`` go."""
    write(folder / f"step-{step:08d}", tensors, {"step": step, **state})
    for old in _steps(folder)[KEEP:]:
        for suffix in (".json", ".safetensors"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)


def latest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint that is whole, or None."""
    for path in _steps(folder):
        try:
            return read(path)
        except (ValueError, OSError) as error:
            note(f"checkpoint {path.name} cannot be used ({error}); trying the one before")
    return None


def newest_step(folder: Path) -> int:
    """Of the newest checkpoint; 0 when there is none."""
    steps = _steps(folder)
    return int(steps[0].name.removeprefix("step-")) if steps else 0


def optimizer_tensors(optimizer: Any) -> dict[str, Tensor]:
    """The optimizer's state as tensors by ``index.name`` (all of torch's optimizers keep these)."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{k}": v for i, entries in state.items() for k, v in entries.items()}


def restore_optimizer(optimizer: Any, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` took; options stay those of the recipe."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _steps(folder: Path) -> list[Path]:
    """Complete checkpoints, newest first."""
    found = [p for p in folder.glob("step-*.json") if re.fullmatch(r"step-\d{8,}", p.stem)]
    return [p.with_suffix("") for p in sorted(found, reverse=True)]
