"""Whether a stage works where its tensors are: on a GPU if there is one, else on ``meta``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..context import Wrong, require

UNKNOWN = "cannot be told without a GPU"


def on_another_device(run: Callable[[str], object]) -> str:
    """Which device it was. Raises Wrong unless the tensors of ``run(device)`` are on it.

    The answer of ``run`` may be a nest of tuples.
    """
    device = "cuda" if torch.cuda.is_available() else "meta"
    try:
        answer = run(device)
    except NotImplementedError:
        return UNKNOWN
    except RuntimeError as error:
        if device == "meta" and "device" not in str(error):  # it looks at the numbers
            return UNKNOWN
        raise Wrong(f"for tensors that are not on the CPU: {error}") from error
    for tensor in _tensors(answer):
        require(
            tensor.device.type == device,
            f"for tensors on {device} the answer is on {tensor.device}; keep their device",
        )
    return device


def _tensors(nest: object) -> list[Tensor]:
    if isinstance(nest, Tensor):
        return [nest]
    return [t for part in nest for t in _tensors(part)] if isinstance(nest, tuple) else []
