"""Whether a stage works where its tensors are: on a GPU if there is one, else on ``meta``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..core import Wrong, require


def on_another_device(run: Callable[[str], Any]) -> str:
    """``run(device)`` gives tensors of that device (in nests of tuples). Raises Wrong."""
    device = "cuda" if torch.cuda.is_available() else "meta"
    try:
        found = run(device)
    except NotImplementedError:
        return "cannot be told without a GPU"
    except RuntimeError as error:
        if device == "meta" and "device" not in str(error):  # it looks at the numbers
            return "cannot be told without a GPU"
        raise Wrong(f"for tensors that are not on the CPU: {error}") from error
    for tensor in _tensors(found):
        require(
            tensor.device.type == device,
            f"for tensors on {device} the answer is on {tensor.device}; keep their device",
        )
    return device


def _tensors(found: Any) -> list[Tensor]:
    if isinstance(found, Tensor):
        return [found]
    return [t for part in found for t in _tensors(part)] if isinstance(found, tuple) else []
