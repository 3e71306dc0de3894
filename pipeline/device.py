"""Which device to work on."""

from __future__ import annotations

from .errors import InputError


def choose(device: str) -> str:
    """``auto`` is a GPU where there is one. A device asked for by name is used or refused."""
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"--device {device}: not to be had here ({reason}); try auto") from error
    return device
