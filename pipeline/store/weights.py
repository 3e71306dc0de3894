"""Tensors on disk as safetensors, with what is to be said of them as JSON. No code in files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor


def write(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """``path`` + .safetensors and + .json. The JSON is written last and makes the pair complete."""
    data = path.with_name(path.name + ".safetensors")
    partial = path.with_name(path.name + ".partial")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial)
    digest = _settle(partial, data)
    partial.write_text(json.dumps({"sha256": digest, **state}, indent=1, allow_nan=False))
    _settle(partial, path.with_name(path.name + ".json"))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What ``write`` wrote. Raises ValueError where the file is not what was written."""
    state = json.loads(path.with_name(path.name + ".json").read_text())
    data = path.with_name(path.name + ".safetensors")
    if state.pop("sha256") != _sha256(data):
        raise ValueError(f"{data} is damaged: its digest differs")
    return load_file(data), state


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``{"a": …}`` -> ``{"prefix.a": …}``: several state dicts in one file."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``named``."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def _settle(partial: Path, path: Path) -> str:
    """Onto the disk, then under its name; the file's digest."""
    digest = _sha256(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    return digest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
