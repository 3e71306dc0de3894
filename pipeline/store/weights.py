"""Tensors on disk as safetensors, with what is to be said of them as JSON. No code in files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from .fingerprints import sha256_of
from .folders import replacing, write_text


def write(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """``path`` + .safetensors and + .json. The JSON is written last and makes the pair complete."""
    with replacing(path.with_name(path.name + ".safetensors")) as partial:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial)
        digest = sha256_of(partial)
    text = json.dumps({"sha256": digest, **state}, indent=1, allow_nan=False)
    write_text(path.with_name(path.name + ".json"), text)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What ``write`` wrote. Raises ValueError where the file is not what was written."""
    state = json.loads(path.with_name(path.name + ".json").read_text())
    data = path.with_name(path.name + ".safetensors")
    if state.pop("sha256") != sha256_of(data):
        raise ValueError(f"{data} is damaged: its digest differs")
    return load_file(data), state


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``{"a": …}`` -> ``{"prefix.a": …}``: several state dicts in one file."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of ``named``."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
