"""Which device to work on."""

from __future__ import annotations

from .errors import InputError


def choose(device: str) -> str:
    """``auto`` is torch's ``cuda`` where there is one. A device asked for is used or refused."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"--device {device}: not to be had here ({reason}); try auto") from error
    return device
