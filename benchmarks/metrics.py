"""Time and memory of KID and FID of N against N features of 2048 dimensions, as N grows.

    python benchmarks/metrics.py [--metrics kid fid] [--counts 5000 10000 20000 50000] [--repeats 3]

Each measurement is a process of its own, which makes float32 features like Inception's (not below
0, a mean of 0.4, variances that fall as a power law) a block at a time and then calls the metric
once. Memory is the process's peak less what it holds before the call, so without the features
themselves. The exponent is that of the growth from the count before.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from alternating import positive, print_table

from pipeline_metrics.fid import FID
from pipeline_metrics.kid import KID

METRICS = {"kid": KID, "fid": FID}
DIMENSIONS, DIRECTIONS, BLOCK = 2048, 256, 1000


def features(count: int, seed: int, shift: float) -> torch.Tensor:
    fixed = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(DIMENSIONS, DIRECTIONS, generator=fixed)).Q
    scales = torch.arange(1, DIRECTIONS + 1) ** -0.6
    axes *= scales * (0.15 * DIMENSIONS / scales.square().sum()).sqrt()
    mean = 0.15 + 0.2 * torch.randn(DIMENSIONS, generator=fixed)
    draw = torch.Generator().manual_seed(seed)
    made = torch.empty(count, DIMENSIONS)
    for rows in torch.split(made, BLOCK):
        strong = torch.randn(len(rows), DIRECTIONS, generator=draw) + shift
        torch.randn(rows.shape, generator=draw, out=rows).mul_(0.15).add_(mean)
        rows.addmm_(strong, axes.T).relu_()
    return made


def held() -> float:
    """GiB of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**30


def measure(name: str, count: int) -> None:
    """Seconds, memory in GiB, and the score, as JSON."""
    real, fake = features(count, 1, 0.0), features(count, 2, 0.05)
    before, start = held(), time.perf_counter()
    score = METRICS[name]()(real, fake)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([seconds, peak - before, score.value]))


def apart(name: str, count: int) -> tuple[float, float, float]:
    command = [sys.executable, __file__, "--one", name, str(count)]
    seconds, memory, value = json.loads(subprocess.check_output(command))
    return seconds, memory, value


def main(metrics: list[str], counts: list[int], repeats: int) -> None:
    rows = []
    for name in metrics:
        before: tuple[int, float] | None = None
        for count in counts:
            found = [apart(name, count) for _ in range(repeats)]
            seconds = statistics.median(x[0] for x in found)
            growth = "" if before is None else f"{exponent(before, (count, seconds)):.2f}"
            memory = max(x[1] for x in found)
            inputs = 2 * count * DIMENSIONS * 4 / 2**30
            cells = f"{seconds:.1f}", growth, f"{memory:.2f}", f"{inputs:.2f}", f"{found[0][2]:.6g}"
            rows.append((name, str(count), *cells))
            print(*rows[-1], flush=True)
            before = count, seconds
    print_table(("metric", "N", "s", "exponent", "GiB", "features, GiB", "value"), rows)


def exponent(a: tuple[int, float], b: tuple[int, float]) -> float:
    return math.log(b[1] / a[1]) / math.log(b[0] / a[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", choices=METRICS, nargs="+", default=list(METRICS))
    parser.add_argument(
        "--counts", type=positive, nargs="+", default=[5000, 10_000, 20_000, 50_000]
    )
    parser.add_argument("--repeats", type=positive, default=3)
    parser.add_argument("--one", nargs=2, help="one metric and count, in this process")
    given = parser.parse_args()
    if given.one:
        measure(given.one[0], int(given.one[1]))
    else:
        main(given.metrics, given.counts, given.repeats)
