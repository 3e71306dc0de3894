"""Every sampler at equal cost, on one trained model: KID against network evaluations (NFE).

    python benchmarks/samplers.py runs/flowers32_classes --out docs/samplers

Each cell draws images with one sampler at the largest number of steps that its budget pays for,
from the same starting noise (image i's depends on seed and i alone), and scores them as the run's
recipe does: against its own validation images, with its features. Writes OUT.json after every cell,
and at the end OUT.md and OUT.png (needs the extra ``bench``). The store keeps what was drawn: the
same command again goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.evaluate import evaluate
from pipeline.registry import Registry

Cell = Mapping[str, Any]


def steps_for(sampler: Any, budget: int) -> int:
    """The most steps that cost no more than the budget, at least one."""
    return max([n for n in range(1, budget + 1) if sampler.nfe(n) <= budget], default=1)


def measured(run: Path, name: str, budget: int, options: Mapping[str, Any]) -> Cell:
    """One cell: the score and what it took."""
    num_steps = steps_for(Registry.load().build("sampler", name), budget)
    found = evaluate(run, sampler=name, num_steps=num_steps, **options)
    [score] = found["scores"].values()
    about = score["protocol"]
    print(f"{name:16} {about['nfe']:3} NFE  KID {score['value']:.3f}", flush=True)
    return {
        "sampler": name,
        "budget": budget,
        "num_steps": num_steps,
        "nfe": about["nfe"],
        "kid": score["value"],
        "standard_error": score["standard_error"],
        "protocol": about,
    }


def table(cells: Sequence[Cell], budgets: Sequence[int]) -> str:
    """Markdown; a cost that is not the budget's stands beside the score."""
    by_place = {(cell["sampler"], cell["budget"]): cell for cell in cells}
    lines = [
        "| sampler | " + " | ".join(f"{budget} NFE" for budget in budgets) + " |",
        "| --- |" + " --- |" * len(budgets),
    ]
    for name in dict.fromkeys(cell["sampler"] for cell in cells):
        row = []
        for budget in budgets:
            cell = by_place[name, budget]
            cost = "" if cell["nfe"] == budget else f" ({cell['nfe']})"
            row.append(f"{cell['kid']:.3f} ± {cell['standard_error']:.3f}{cost}")
        lines.append(f"| `{name}` | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def plot(cells: Sequence[Cell], path: Path) -> None:
    """KID against NFE, both logarithmic, bars of one standard error."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 5), layout="constrained")
    for name, marker in zip(
        dict.fromkeys(cell["sampler"] for cell in cells), "osD^vP*Xhd<>", strict=False
    ):
        own = [cell for cell in cells if cell["sampler"] == name]
        x, y = [cell["nfe"] for cell in own], [cell["kid"] for cell in own]
        bars = [cell["standard_error"] for cell in own]
        axes.errorbar(x, y, bars, marker=marker, markersize=6, capsize=3, label=name)
    axes.set(xscale="log", yscale="log", xlabel="network evaluations an image (NFE)", ylabel="KID")
    ticks = sorted({cell["budget"] for cell in cells})
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    low, high = min(cell["kid"] for cell in cells), max(cell["kid"] for cell in cells)
    marks = [m for m in (0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50) if low * 0.8 <= m <= high * 1.2]
    axes.set_yticks(marks, map(str, marks))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--nfe", default="5,10,20,50", help="budgets  [5,10,20,50]")
    parser.add_argument("--num-images", type=int, default=512, help="a cell  [512]")
    parser.add_argument("--spacing", help="of the levels  [the recipe's]")
    parser.add_argument("--samplers", help="names with commas  [all that are installed]")
    parser.add_argument("--out", type=Path, default=Path("samplers"))
    wanted = parser.parse_args()
    budgets = [int(part) for part in wanted.nfe.split(",")]
    installed = [entry.name for entry in Registry.load().entries("sampler")]
    names = wanted.samplers.split(",") if wanted.samplers else installed
    options = {"num_images": wanted.num_images, "spacing": wanted.spacing}
    cells: list[Cell] = []
    for budget in budgets:
        for name in names:
            cells.append(measured(wanted.run, name, budget, options))
            wanted.out.with_suffix(".json").write_text(json.dumps(cells, indent=1) + "\n")
    text = table(cells, budgets)
    wanted.out.with_suffix(".md").write_text(text)
    plot(cells, wanted.out.with_suffix(".png"))
    print(f"\n{text}")


if __name__ == "__main__":
    main()
