"""The kernel of KID, (x·y/D + 1)³, a block at a time, in float64 but for the products of features.

Products take nearly all of the time, and half of it in float32; ``precision`` decides when that is
exact enough.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline import Rows

from .blocks import FEW, blocks as in_blocks

BLOCK = 512
"""Rows and columns of the kernel in memory at a time: 2 MiB, which processors keep near."""
BAND = 4
"""How many blocks of rows are kept ready while the columns pass by."""


def blocks(n: int, m: int | None = None) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks of a matrix (n, m); of a symmetric one the upper half's.

    They come in an order in which a block of rows or columns soon comes again.
    """
    rows = _slices(n)
    for start in range(0, len(rows), BAND):
        for j in rows if m is None else _slices(m):
            for i in rows[start : start + BAND]:
                if m is not None or i.start <= j.start:
                    yield i, j


def _slices(n: int) -> list[slice]:
    return [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


class Shifted:
    """Features x (N, D) as u = x - o from an origin o (D,), which should be near their mean.

    Products u·v are smaller than x·y, and so is what rounding changes. The base of the kernel of
    two rows is x·y/D + 1 = c + p(x) + p(y) + u·v/D with c = o·o/D + 1 and p(x) = u·o/D in float64.
    """

    def __init__(self, x: Rows, origin: Tensor, dtype: torch.dtype) -> None:
        """``dtype`` is that of products, float32 or float64. Reads x once, a block at a time."""
        self._x, self._dtype = x, dtype
        self.count, self.width = x.shape
        o = origin.float().double()  # the same in both dtypes
        self.at_origin = float(o @ o) / self.width + 1
        self.total, self.squares, offsets = torch.zeros_like(o), 0.0, []
        for rows in in_blocks(x, FEW):
            u = rows.double() - o
            self.total += u.sum(0)
            self.squares += float(torch.linalg.vector_norm(u)) ** 2
            offsets.append(u @ o / self.width)
        self.offsets = torch.cat(offsets)
        self._origin = o
        self._kept: dict[int, Tensor] = {}

    def block(self, i: slice) -> Tensor:
        """u of rows i in the dtype of products; what is rounded is the difference.

        The last ones are kept; when there are more than BAND and another, the next takes the place
        in memory of the one not asked for longest, for new memory costs as much as the values.
        """
        space = self._kept.pop(i.start, None)
        if space is None:
            if len(self._kept) > BAND:
                space = self._kept.pop(next(iter(self._kept)))
            else:
                space = self.total.new_empty(BLOCK, self.width, dtype=self._dtype)
            x = self._x[i]
            origin = self._origin.to(torch.promote_types(x.dtype, self._dtype))
            torch.sub(x, origin, out=space[: i.stop - i.start])
        self._kept[i.start] = space
        return space[: i.stop - i.start]


class Kernel:
    """The kernel of two sets of rows with one origin, or of one with itself, a block at a time.

    Elements are less the kernel of the origin with itself, c³: a constant changes neither the
    squared MMD nor its variance. So (c + r)³ - c³ = r (3c² + r (3c + r)) keeps its digits however
    large the features' mean, or small the features.
    """

    def __init__(self, x: Shifted, y: Shifted | None = None) -> None:
        self._x, self._y, self.symmetric = x, x if y is None else y, y is None
        self.like = x.total
        self.shape = n, m = self._x.count, self._y.count
        self.count = n * (n - 1) if self.symmetric else n * m
        self._sum, self._sum_of_r = 0.0, 0.0
        self._space = x.total.new_empty(2, BLOCK * BLOCK)

    def block(self, i: slice, j: slice) -> Tensor:
        """Elements of rows i and columns j, float64, until the next call; the diagonal is 0.

        Each block is asked for once.
        """
        u, v = self._x.block(i), self._y.block(j)
        products = torch.addmm(u.new_zeros(()), u, v.T, beta=0, alpha=1 / self._x.width)
        r, kernel = self._space[:, : products.numel()].view(2, *products.shape).unbind()
        r.copy_(products).add_(self._x.offsets[i, None]).add_(self._y.offsets[j])
        diagonal = self.symmetric and i == j
        if diagonal:
            r.fill_diagonal_(0)
        c = self._x.at_origin
        torch.add(r, 3 * c, out=kernel)
        torch.addcmul(r.new_tensor(3 * c**2), r, kernel, out=kernel).mul_(r)
        weight = 1 + (self.symmetric and not diagonal)
        self._sum_of_r += weight * float(r.sum())
        self._sum += weight * float(kernel.sum())
        return kernel

    def mean(self) -> float:
        """The mean of all elements, after all blocks, without what rounding does in first order.

        Errors e of the bases b change the sum of cubes by that of 3b²e + 3be² + e³. The sum of r is
        known, for it follows from the sums of the features; so is the sum of e, and 3a² times it
        with a the mean of b. What is left, 3(b² - a²)e, has no common sign.
        """
        x, y = self._x, self._y
        products, (n, m) = float(x.total @ y.total), self.shape
        offsets = m * float(x.offsets.sum()) + n * float(y.offsets.sum())
        if self.symmetric:
            products, offsets = products - x.squares, offsets * (n - 1) / n
        exact = products / x.width + offsets
        base = x.at_origin + exact / self.count
        return (self._sum + 3 * base**2 * (exact - self._sum_of_r)) / self.count
