"""Normal and uniform numbers: `Draws`, numpy's generators row by row, and torch's own generator.

    python benchmarks/draws.py [--device cuda] [--rounds 30]

All in turn in one process, on one thread and on two; medians and least times in milliseconds. Row
by row, with ziggurat, is what `Draws` was before; for another device its numbers are made on the
CPU and copied. Only torch's own generator depends on what was drawn before.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from alternating import positive, refusing
from torch import Tensor

from pipeline.machine import choose_device
from pipeline.plugin.draws import Draws, stream

SHAPES = ((64, 3, 64, 64), (64, 3, 32, 32), (64,), (1, 3, 64, 64), (1,))
Way = Callable[[Tensor], Tensor]


def row_by_row(like: Tensor, kind: str) -> Tensor:
    out = np.empty(like.shape, np.float32)
    for row in range(len(like)):
        source = stream(0, "train", row, step=1)
        numbers = source.standard_normal if kind == "normal" else source.random
        out[row] = numbers(like.shape[1:], np.float32)
    return torch.from_numpy(out).to(like)


def ways(kind: str) -> dict[str, Way]:
    own = torch.randn_like if kind == "normal" else torch.rand_like
    return {
        "ours": lambda like: getattr(Draws(0, "train", range(len(like)), 1), kind)(like),
        "row by row": lambda like: row_by_row(like, kind),
        "torch's": own,
    }


def seconds(call: Way, like: Tensor, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call(like)
    if like.device.type != "cpu":
        getattr(torch, like.device.type).synchronize()
    return (time.perf_counter() - start) / repeats


def main(device: str, rounds: int) -> None:
    names = list(ways("normal"))
    print("| threads | kind | shape | " + " | ".join(f"{name}, ms" for name in names) + " |")
    print("| --- " * (3 + len(names)) + "|")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for kind in ("normal", "uniform"):
            for shape in SHAPES:
                like = torch.empty(shape, device=device)
                calls, repeats = ways(kind), 20 if like.numel() < 10000 else 1
                taken: dict[str, list[float]] = {name: [] for name in names}
                for _ in range(rounds + 1):
                    for name, call in calls.items():
                        taken[name].append(seconds(call, like, repeats) * 1e3)
                cells = [
                    f"{statistics.median(t[1:]):.3f} ({min(t[1:]):.3f})" for t in taken.values()
                ]
                size = "×".join(map(str, shape))
                print(f"| {threads} | {kind} | {size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=positive, default=30)
    asked = parser.parse_args()
    with refusing(parser):
        on = choose_device(asked.device)
    main(on, asked.rounds)
