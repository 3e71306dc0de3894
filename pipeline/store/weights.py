"""Tensors on disk as safetensors, and what belongs to them as JSON. No file holds code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file
from torch import Tensor

from ..records import Plain
from .checked import DIGEST, Damaged, parse_json, read_json, write_json
from .fingerprints import sha256_of
from .folders import replacing

FORMAT = 2
"""Raise it when what the JSON means changes. Until 2 there was neither it nor a digest."""

_DTYPES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.uint32: "U32",
    torch.float32: "F32",
    torch.complex64: "C64",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint64: "U64",
}
"""Their names, in the reverse of the order in which the format lays tensors out."""


def write_weights(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, object]) -> None:
    """Write ``path`` + ``.safetensors``, then ``path`` + ``.json``, which completes the pair.

    A pair that is there is whole until the new one is: its JSON says which file belongs to it.
    """
    old = _data_of(path)
    data = path.with_name(path.name + ".safetensors")
    if data == old:
        data = path.with_name(path.name + ".other.safetensors")
    digest = _write_tensors(data, tensors)
    named = {"format": FORMAT, "file": data.name, "sha256": digest}
    write_json(path.with_name(path.name + ".json"), {**named, **state})
    if old:
        old.unlink(missing_ok=True)


def read_weights(path: Path) -> tuple[dict[str, Tensor], Plain]:
    """The tensors and the state that ``write_weights`` wrote; ValueError if they are damaged.

    A pair that was renamed since is read by its new name.
    """
    state = _read_json(path)
    usual = path.with_name(path.name + ".safetensors")
    data = path.with_name(state.get("file", usual.name))
    data = data if data.is_file() else usual
    if not data.is_file():
        raise Damaged(data, "it is not there")
    if state.get("sha256") != sha256_of(data):
        raise Damaged(data)
    try:
        return _load(data), _without_names(state)
    except SafetensorError as error:
        raise Damaged(data, str(error)) from error


def _load(file: Path) -> dict[str, Tensor]:
    try:
        str(file).encode()
    except UnicodeEncodeError:  # the library takes no path that is no UTF-8
        return load(file.read_bytes())
    return load_file(file)


def read_state(path: Path) -> Plain:
    """The state alone, without reading the tensors; ValueError if it is damaged."""
    return _without_names(_read_json(path))


def is_whole(path: Path) -> bool:
    """Whether a pair is there and as it was written."""
    try:
        state = _read_json(path)
        data = path.with_name(state.get("file", path.name + ".safetensors"))
        return bool(state.get("sha256") == sha256_of(data))
    except (ValueError, OSError):
        return False


def remove_weights(path: Path) -> None:
    """Remove a pair, the JSON first: what is left of it by a kill no longer counts."""
    data = _data_of(path)
    path.with_name(path.name + ".json").unlink(missing_ok=True)
    if data:
        data.unlink(missing_ok=True)


def _read_json(path: Path) -> Plain:
    file = path.with_name(path.name + ".json")
    state = parse_json(file)
    if not {"format", "file", DIGEST} & state.keys():
        return state  # from before there was a format
    state = read_json(file)
    if state["format"] != FORMAT:
        why = f"its format is {state['format']}, and this version reads {FORMAT}"
        raise Damaged(file, why)
    return state


def _without_names(state: Plain) -> Plain:
    return {k: v for k, v in state.items() if k not in ("format", "file", "sha256")}


def _data_of(path: Path) -> Path | None:
    """The file of tensors of the pair that is there, if there is one that can be read."""
    try:
        name = _read_json(path).get("file", path.name + ".safetensors")
    except (ValueError, OSError):
        return None
    return path.with_name(name)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write a safetensors file and return its SHA-256.

    Written here and not by the library, so that errors are the system's own, the file's mode is
    what umask gives, no kill leaves a file of the library's, and nothing is copied in memory.
    """
    ranks = list(_DTYPES)
    order = sorted(tensors, key=lambda name: (-ranks.index(tensors[name].dtype), name))
    header: Plain = {}
    end = 0
    for name in order:
        tensor = tensors[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with replacing(path) as partial, partial.open("wb") as file:
        head = memoryview(len(text).to_bytes(8, "little") + text)
        for data in chain([head], (_bytes_of(tensors[name]) for name in order)):
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    data: npt.NDArray[np.uint8] = flat.view(torch.uint8).numpy()
    return data.data


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the tensors with their names, whatever file they are in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(_bytes_of(tensor))
    return digest.hexdigest()


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``{"a": …}`` becomes ``{"prefix.a": …}``, so that one file holds several state dicts."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that ``with_prefix`` gave this prefix, under their own names."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
