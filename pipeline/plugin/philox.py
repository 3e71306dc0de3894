"""Philox4x64-10 in torch: the words that numpy's Philox gives, on any device.

Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405. Only integers of 64 bits with a sign
are used, as some devices have no others; nothing here waits for the device, but for the first use
of a key or of rows that are no range.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
LOW = 2**32 - 1
Rounds = list[tuple[Tensor, ...]]
"""For each round four tensors (2, 1, 1): the multipliers' low halves, their high halves, the
multipliers whole, and the key."""


def words(
    rounds: Rounds, draw: int | Tensor, step: int | Tensor, rows: Tensor, count: int
) -> Tensor:
    """The first words of the stream of each row, int64 (len(rows), count)."""
    blocks = -(-count // 4)
    counter = torch.empty(4, len(rows), blocks, dtype=torch.int64, device=rows.device)
    counter[0] = torch.arange(1, blocks + 1, device=rows.device)  # numpy counts before it draws
    counter[1], counter[2], counter[3] = draw, rows[:, None], step
    return philox4x64(counter, rounds).flatten(1)[:, :count].contiguous()


def philox4x64(counter: Tensor, rounds: Rounds) -> Tensor:
    """The four words of each block, int64 (N, M, 4), for counters int64 (4, N, M)."""
    # Words 0 and 2 are multiplied. They change places in each round, and so do words 3 and 1,
    # which come to stand beside the products that they are mixed with.
    even, odd = counter[0::2], counter[1::2].flip(0)
    for low, high, whole, round_key in rounds:
        product = _high_words(even, low, high)
        even, odd = product.bitwise_xor_(odd).bitwise_xor_(round_key), (even * whole).flip(0)
    return torch.stack((even[0], odd[1], even[1], odd[0]), -1)


def _high_words(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The upper 64 bits of x and (high, low) multiplied, all without signs, from 32-bit halves."""
    x_low, x_high = x & LOW, _upper(x)
    first = (x_high * low).add_(_upper(x_low * low))
    second = (x_low * high).add_(first & LOW)
    return (x_high * high).add_(_upper(first)).add_(_upper(second))


def _upper(x: Tensor) -> Tensor:
    """The upper 32 bits as a positive number: the shift alone would copy the sign."""
    return (x >> 32).bitwise_and_(LOW)


@lru_cache(maxsize=64)
def rounds_of(key: tuple[int, int], device: torch.device) -> Rounds:
    """The constants of all rounds for a key, on a device."""
    found = []
    for number in range(ROUNDS):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        factors = [MULTIPLIERS[i] for i in order]
        keys = [key[1 - i] + number * KEY_STEPS[1 - i] for i in order]
        halves = [[m & LOW for m in factors], [m >> 32 for m in factors]]
        found.append([*halves, [*map(signed, factors)], [*map(signed, keys)]])
    made = torch.tensor(found, device=device)[..., None, None]
    return [one.unbind() for one in made.unbind()]


def rows_on(rows: Sequence[int], device: torch.device) -> Tensor:
    """The numbers of rows, int64 (N,)."""
    if isinstance(rows, range):  # as in training: made there, nothing is copied
        return torch.arange(rows.start, rows.stop, rows.step, device=device)
    return _uploaded(tuple(map(int, rows)), device)


@lru_cache(maxsize=64)
def _uploaded(rows: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor([*map(signed, rows)], dtype=torch.int64, device=device)


def signed(word: int) -> int:
    """The integer with a sign that has the same 64 bits."""
    return (word + 2**63) % 2**64 - 2**63
