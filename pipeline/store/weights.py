"""Tensors on disk as safetensors, and what belongs to them as JSON. No file holds code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from ..records import Plain
from .fingerprints import sha256_of
from .folders import replacing, write_text


def write_weights(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, object]) -> None:
    """Write ``path`` + ``.safetensors``, then ``path`` + ``.json``, which completes the pair."""
    with replacing(path.with_name(path.name + ".safetensors")) as partial:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial)
        digest = sha256_of(partial)
    text = json.dumps({"sha256": digest, **state}, indent=1, allow_nan=False)
    write_text(path.with_name(path.name + ".json"), text)


def read_weights(path: Path) -> tuple[dict[str, Tensor], Plain]:
    """The tensors and the state that ``write_weights`` wrote; ValueError if they are damaged."""
    state: Plain = json.loads(path.with_name(path.name + ".json").read_text())
    data = path.with_name(path.name + ".safetensors")
    if state.pop("sha256") != sha256_of(data):
        raise ValueError(f"{data} is damaged: its digest differs")
    return load_file(data), state


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``{"a": …}`` becomes ``{"prefix.a": …}``, so that one file holds several state dicts."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that ``with_prefix`` gave this prefix, under their own names."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
