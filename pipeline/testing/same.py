"""Whether values are the same: of two calls, or of inputs before and after a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields, is_dataclass

import numpy as np
import torch
from torch import Tensor

from .context import require


def same(a: object, b: object, rounding: float = 0) -> bool:
    """Whether two nests of tensors and values are equal to the bit, in dtype and shape too.

    NaN equals NaN. ``rounding``: allow a difference of this many units in the last place of a
    floating tensor's largest number.
    """
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype.kind in "biuf":
        a, b = torch.from_numpy(a.copy()), torch.from_numpy(b.copy())
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and _near(a, b, rounding)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(same(a[k], b[k], rounding) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, rounding) for x, y in zip(a, b, strict=True))
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and isinstance(b, float):
        return _near(torch.tensor(a).double(), torch.tensor(b).double(), rounding)
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name), rounding) for f in fields(a))
    return bool(a == b)


@contextmanager
def untouched(**inputs: object) -> Iterator[None]:
    """Raise Wrong if one of these tensors, or nests of them, is another one afterwards."""
    before = deepcopy(inputs)
    yield
    for name, value in inputs.items():
        require(same(before[name], value), f"it changes {name} in place; work on a copy")


def _near(a: Tensor, b: Tensor, rounding: float) -> bool:
    if not a.is_floating_point() or not rounding:
        return bool(((a == b) | ((a != a) & (b != b))).all())
    scale = max(
        (float(part.nan_to_num().abs().max()) for part in (a, b) if part.numel()), default=0
    )
    allowed = rounding * torch.finfo(a.dtype).eps * scale
    return torch.allclose(a, b, rtol=0, atol=allowed, equal_nan=True)
