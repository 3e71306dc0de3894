"""Images a second through Inception: ours (``inception_fid``) beside torch-fidelity's.

    python benchmarks/features.py [--batch 32] [--size 64] [--rounds 9]

Both have the same random weights from one file (the real ones change nothing about the time), the
same uint8 images and batches, and take turns in one process, resizing to 299 included. How far
their features lie apart is told too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from alternating import alternate, positive, print_table, ratio, timed

from pipeline_features.inception_2015 import Inception2015
from pipeline_features.inception_fid import InceptionFID


def weights(file: Path) -> None:
    """Random, with activations that stay within bounds."""
    torch.manual_seed(0)
    network = Inception2015()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    torch.save(network.state_dict(), file)


def theirs(file: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3(
        "inception", ["2048"], feature_extractor_weights_path=str(file)
    )

    @torch.no_grad()  # as torch-fidelity calls it
    def run(images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = network(images)[0]
        return features

    return run


def main(batch: int, size: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "inception.pth")
        weights(file)
        ours, other = InceptionFID(weights=file)(), theirs(file)
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(256, (batch, 3, size, size), generator=draw, dtype=torch.uint8)
    a, b = ours(images), other(images)
    apart = float((a - b).abs().max() / b.std())
    steps = {"ours": timed(lambda: ours(images)), "torch-fidelity": timed(lambda: other(images))}
    taken = alternate(steps, rounds)
    print(f"features differ by at most {apart:.1e} of their deviation")
    rows = [
        (name, f"{batch / statistics.median(seconds):.2f}", ratio(seconds, taken["ours"]))
        for name, seconds in taken.items()
    ]
    print_table(("extractor", "images a second", "seconds, to ours"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=positive, default=32)
    parser.add_argument("--size", type=positive, default=64)
    parser.add_argument("--rounds", type=positive, default=9)
    given = parser.parse_args()
    main(given.batch, given.size, given.rounds)
