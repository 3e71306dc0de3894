"""The precision in which a network computes. Weights, averages, losses and scores stay float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from ..errors import InputError
from ..machine import cpu_flags, cpu_vendor
from ..plugin.contracts import Network
from ..plugin.values import Rates
from ..progress import note

DTYPES = {"float32": None, "tf32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What autocast lowers operations to; None: nothing is lowered."""


def check_precision(precision: str, device: str, key: str = "precision") -> None:
    """InputError for a precision that the device does not have. ``key`` is where it was given."""
    kind = torch.device(device).type
    cannot = {"fp16": kind == "cpu", "tf32": not _has_tf32(device)}
    if cannot.get(precision, False):
        raise InputError(
            f"{key}: device {device} cannot compute in {precision}; "
            "take float32, bf16 or auto, or another --device"
        )


def at_precision(network: Network, precision: str, device: str) -> Network:
    """The network as objectives call it: its operations lowered, its output as wide as its input.

    InputError for a precision that the device does not have.
    """
    check_precision(precision, device)
    dtype, kind = DTYPES[precision], torch.device(device).type
    if dtype is None:
        return network

    def lowered(x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        with torch.autocast(kind, dtype):
            output = network(x, rates, label)
        return output.to(x.dtype)

    return lowered


@contextmanager
def computing(precision: str) -> Iterator[None]:
    """Let CUDA round what float32 matrix products and convolutions take to TF32, or not.

    By default torch rounds for convolutions. Backward passes belong into the block.
    """
    # These names are in every torch that we support; mixing them with newer ones is an error there.
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def best_precision(device: str) -> str:
    """What ``auto`` is on this device: bf16 where it is the faster one, else float32.

    Of processors those with tiles (``amx_bf16``), and AMD's with ``avx512_bf16``: Intel's without
    tiles multiply bf16 no faster than float32 (docs/precision.md).
    """
    on_cpu = torch.device(device).type == "cpu"
    gains = not on_cpu or "amx_bf16" in cpu_flags() or cpu_vendor() == "AuthenticAMD"
    return "bf16" if gains and has_bf16(device) else "float32"


def has_bf16(device: str) -> bool:
    """Whether the device has instructions for bf16; others imitate it, many times slower."""
    kind = torch.device(device).type
    if kind == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return kind == "cpu" and bool({"avx512_bf16", "amx_bf16"} & cpu_flags())


def tell_imitated(keys: Mapping[str, object], device: str) -> None:
    """Say which of these keys, with their precisions, ask for a bf16 that would be imitated."""
    slow = [key for key, precision in keys.items() if precision == "bf16"]
    if slow and torch.device(device).type in ("cpu", "cuda") and not has_bf16(device):
        note(f"{', '.join(slow)} bf16: {device} only imitates it here, slower than float32")


def _has_tf32(device: str) -> bool:
    return torch.device(device).type == "cuda" and torch.cuda.get_device_capability(device) >= (
        8,
        0,
    )
