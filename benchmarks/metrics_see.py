"""What metrics see: real photos, changed in known ways and by known amounts, against real photos.

    python benchmarks/metrics_see.py --data data --size 32 --json seen.json

Half of the compared photos are the validation images, the other half as many training images, which
are changed. Prints a table for each network of features; each row is in the file as soon as it is
printed, and rows that are there are not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from pipeline.artifacts.prepare import prepare, read_images
from pipeline.artifacts.session import Session
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline.recipe.load import load
from pipeline.store.store import Store

GRAY = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
Change = Callable[[Tensor], Tensor]


def noisy(levels: float) -> Change:
    draw = torch.Generator().manual_seed(0)
    return lambda x: x + levels * torch.randn(x.shape, generator=draw)


def blurred(pixels: float) -> Change:
    reach = max(1, round(3 * pixels))
    weights = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * pixels**2))
    weights /= weights.sum()

    def change(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = pad(x.reshape(n * c, 1, h, w), [reach] * 4, mode="reflect")
        return conv2d(conv2d(x, weights[None, None, None]), weights[None, None, :, None]).view(
            n, c, h, w
        )

    return change


def saturated(factor: float) -> Change:
    def change(x: Tensor) -> Tensor:
        gray = (x * GRAY).sum(1, keepdim=True)
        return gray + factor * (x - gray)

    return change


CHANGES: dict[str, Change] = {
    "nothing: other photos": lambda x: x,
    **{f"noise of {n} levels": noisy(n) for n in (2, 4, 8, 16)},
    **{f"blur of {n} pixels": blurred(n) for n in (0.35, 0.5, 1.0)},
    **{f"{n} levels brighter": (lambda x, n=n: x + n) for n in (8, 24)},
    "colours 0.7 times as strong": saturated(0.7),
    "contrast 0.8 times": lambda x: 127.5 + 0.8 * (x - 127.5),
    "mirrored": lambda x: x.flip(3),
    "100 photos, each 16 times": lambda x: x[:100].repeat(17, 1, 1, 1)[: len(x)],
    "a tenth is noise alone": lambda x: torch.cat(
        [x[len(x) // 10 :], 255 * torch.rand(len(x) // 10, *x.shape[1:])]
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="where flowers-102/ is")
    parser.add_argument("--size", type=int, default=32, help="pixels")
    parser.add_argument("--features", default="efficientnet_lite0,efficientnet_lite2")
    parser.add_argument("--most", type=int, help="of so many images alone")
    parser.add_argument("--json", type=Path, default=Path("seen.json"))
    given = parser.parse_args()
    registry = Registry.load([])
    overrides = [f"dataset.root={given.data}", f"preprocess.resize.size={given.size}"]
    recipe = load("flowers32_ddim", overrides, registry=registry).recipe
    with TemporaryDirectory() as folder:
        images = read_images(prepare(recipe, Session(registry, Store(Path(folder)))))
        validation = images.indices("validation")[: given.most]
        others = images.indices("train")
        pick = torch.randperm(len(others), generator=torch.Generator().manual_seed(0))
        real = images.batch(validation)
        other = images.batch(others[pick[: len(validation)].numpy()])
    found = json.loads(given.json.read_text()) if given.json.exists() else {}
    for features in given.features.split(","):
        measure(registry, features, real, other, found, given.json)


def measure(
    registry: Registry, features: str, real: Tensor, other: Tensor, found: dict, file: Path
) -> None:
    extractor = build_stage(registry, "features", {"name": features})()
    metrics = {
        name: build_stage(registry, "metric", {"name": name})
        for name in ("kid", "fid", "precision_recall")
    }

    def embed(images: Tensor) -> Tensor:
        return torch.cat([extractor(part) for part in images.split(64)])

    print(f"\n{extractor.id}, {len(real)} images of {tuple(real.shape[1:])}\n")
    print("| change | KID | FID | precision | recall |\n| --- | --- | --- | --- | --- |")
    rows = found.setdefault(f"{extractor.id} {tuple(real.shape)}", {})
    reals = None
    for words, change in CHANGES.items():
        if words not in rows:
            reals = embed(real) if reals is None else reals
            fakes = embed(change(other.float()).round().clamp(0, 255).to(torch.uint8))
            kid, fid, both = (metric(reals, fakes) for metric in metrics.values())
            rows[words] = [kid.value, fid.value, both.parts["precision"], both.parts["recall"]]
            file.write_text(json.dumps(found, indent=1))
        kid, fid, precision, recall = rows[words]
        print(f"| {words} | {kid:.2f} | {fid:.0f} | {precision:.2f} | {recall:.2f} |", flush=True)


if __name__ == "__main__":
    main()
