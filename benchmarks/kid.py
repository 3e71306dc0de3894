"""KID of 8189 against 8189 vectors of 2048 dimensions: ours, all pairs, against torch-fidelity's.

    python benchmarks/kid.py [--pairs 3]

Both on the same features, in turn, in one process: float32 as extractors give them, then float64,
since torch-fidelity computes in the features' dtype; ours multiplies in float32 where that is exact
enough and sums in float64, whatever the features are. Ours once more in a process of its own for
its peak memory, interpreter, libraries and features included.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from pipeline_metrics.kid import KID


def features() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(8189, 2048, generator=draw) for _ in range(2))
    return real, fake.mul_(1.02)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak() -> None:
    KID()(*features())
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f}")


def compare(dtype: torch.dtype, pairs: int) -> None:
    from torch_fidelity.metric_kid import kid_features_to_metric

    real, fake = (side.to(dtype) for side in features())
    ratios = []
    for _ in range(pairs):
        ours = seconds(lambda: KID()(real, fake))
        theirs = seconds(lambda: kid_features_to_metric(real, fake, verbose=False))
        ratios.append(ours / theirs)
        print(f"ours {ours:.2f} s, torch-fidelity {theirs:.2f} s, ratio {ratios[-1]:.2f}")
    print(f"{dtype}: median ratio {statistics.median(ratios):.2f}")


def main(pairs: int) -> None:
    compare(torch.float32, pairs)
    compare(torch.float64, pairs)
    gib = subprocess.run(
        [sys.executable, __file__, "--peak"], capture_output=True, check=True
    ).stdout
    print(f"peak memory of ours {gib.decode().strip()} GiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--peak", action="store_true", help="only ours, and its peak memory")
    given = parser.parse_args()
    peak() if given.peak else main(given.pairs)
