"""Every sampler at equal cost: KID against network evaluations (NFE), of one trained model.

    pip install -e '.[bench]'
    python benchmarks/samplers.py runs/flowers32_ddim --nfe 5,10,20,50 --num-images 512

Each cell draws with as many steps as the budget pays for, from the same starting noise, and is
scored against the run's validation images with the run's features. Cells are kept in the run's
store: stopped and started again, the command goes on. It prints the table in Markdown and writes
all numbers and a plot: docs/samplers.json, docs/images/samplers.png.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import InputError, Sampler
from pipeline.plugin.registry import Registry
from pipeline.progress import note
from pipeline.recipe.build import build_stage
from pipeline.recipe.load import spec_of
from pipeline.runs.evaluate import evaluate

# Okabe and Ito's colours, which the colour-blind can tell apart, and grey.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#777777")
MARKERS = "osD^vP*X"


@dataclass(frozen=True)
class Cell:
    """One sampler with one spacing at one budget."""

    sampler: str
    spacing: str
    stochastic: bool
    budget: int
    num_steps: int
    nfe: int
    kid: float
    standard_error: float
    protocol: dict[str, Any]


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print and draw what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a finished run: its folder, or its name in runs/")
    parser.add_argument("--nfe", default="5,10,20,50", help="budgets, with commas")
    parser.add_argument("--num-images", type=int, default=512, help="drawn for each cell")
    parser.add_argument("--sampler", action="append", help="again for each; none: all registered")
    parser.add_argument("--spacing", default="uniform", help="of the levels; several with commas")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where the files go")
    parser.add_argument("--plugin", type=Path, action="append", default=[])
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args(words)
    try:
        import matplotlib  # noqa: F401  missing, it should be missed before the work

        cells = measured(asked, samplers(asked.sampler, asked.plugin))
    except ImportError:
        parser.error("the plot needs matplotlib: pip install -e '.[bench]'")
    except (InputError, ValueError) as error:
        parser.error(str(error))
    (asked.out / "images").mkdir(parents=True, exist_ok=True)
    (asked.out / "samplers.json").write_text(json.dumps(as_data(asked.run, cells), indent=2) + "\n")
    plot(cells, asked.out / "images/samplers.png")
    print(table(cells))


def samplers(specs: Sequence[str] | None, plugins: Sequence[Path]) -> dict[str, Sampler]:
    """By what a recipe would write; unless some are given, every registered one as it is."""
    registry = Registry.load(plugins)
    names = specs or sorted({entry.name for entry in registry.entries("sampler")})
    return {name: build_stage(registry, "sampler", spec_of(name, "--sampler")) for name in names}


def measured(asked: argparse.Namespace, made: dict[str, Sampler]) -> list[Cell]:
    """All cells, samplers first; without those whose budget does not pay for one step."""
    budgets = sorted(int(budget) for budget in asked.nfe.split(","))
    registry, spacings = Registry.load(asked.plugin), asked.spacing.split(",")
    for name in spacings:
        build_stage(registry, "spacing", name, "--spacing")
    wanted = [
        (name, spacing, budget, num_steps)
        for name, sampler in made.items()
        for spacing in spacings
        for budget in budgets
        if (num_steps := steps_for(sampler, budget))
    ]
    if not wanted:
        raise InputError(f"--nfe {asked.nfe}: no sampler does a step for so little")
    cells = []
    for count, (name, spacing, budget, num_steps) in enumerate(wanted, start=1):
        note(f"{count} of {len(wanted)}: {name}, {num_steps} steps, spacing {spacing}")
        found = evaluate(
            asked.run,
            sampler=name,
            num_steps=num_steps,
            spacing=spacing,
            num_images=asked.num_images,
            plugins=asked.plugin,
            device=asked.device,
        )["scores"]["kid"]
        score = (found["value"], found.get("standard_error", 0.0), found["protocol"])
        noisy, nfe = made[name].order is None, made[name].nfe(num_steps)
        cells.append(Cell(name, spacing, noisy, budget, num_steps, nfe, *score))
    return cells


def steps_for(sampler: Sampler, budget: int) -> int:
    """The most steps within this many network evaluations; 0 if one is too many."""
    return max((n for n in range(1, budget + 1) if sampler.nfe(n) <= budget), default=0)


def as_data(run: Path, cells: Sequence[Cell]) -> dict[str, Any]:
    """For JSON: what all cells have in common once, then the cells."""
    protocols = [cell.protocol for cell in cells]
    common = {k: v for k, v in protocols[0].items() if all(p.get(k) == v for p in protocols)}
    kept = [asdict(cell) for cell in cells]
    for cell in kept:
        cell["protocol"] = {k: v for k, v in cell["protocol"].items() if k not in common}
    versions = {name: version(name) for name in ("diffusion-pipeline", "torch")}
    return {"run": run.name, "versions": versions, "protocol": common, "cells": kept}


def table(cells: Sequence[Cell]) -> str:
    """Markdown: a row for each sampler and spacing, the lowest KID of each budget in bold."""
    budgets = sorted({cell.budget for cell in cells})
    best = {b: min(cell.kid for cell in cells if cell.budget == b) for b in budgets}
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for cell in cells:
        text = f"{cell.kid:.3f} ± {cell.standard_error:.3f}"
        text = f"**{text}**" if cell.kid == best[cell.budget] else text
        text += "" if cell.nfe == cell.budget else f" ({cell.nfe})"
        rows.setdefault((cell.sampler, cell.spacing), {})[cell.budget] = text
    several = len({spacing for _, spacing in rows}) > 1
    head = ["sampler", *(["spacing"] if several else []), *(f"NFE {b}" for b in budgets)]
    lines = [head, ["---"] * len(head)]
    for (sampler, spacing), found in rows.items():
        marks = [f"`{sampler}`", *([f"`{spacing}`"] if several else [])]
        lines.append([*marks, *(found.get(b, "–") for b in budgets)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(cells: Sequence[Cell], path: Path) -> None:
    """KID against NFE, both logarithmic, a panel for each spacing; stochastic samplers dashed."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator, ScalarFormatter

    spacings, names = (
        list(dict.fromkeys(getattr(c, k) for c in cells)) for k in ("spacing", "sampler")
    )
    figure = Figure(figsize=(2.2 + 4.2 * len(spacings), 4.2), dpi=130, layout="constrained")
    panels = figure.subplots(1, len(spacings), sharey=True, squeeze=False)[0]
    for panel, spacing in zip(panels, spacings, strict=True):
        for i, name in enumerate(names):
            line = [c for c in cells if (c.spacing, c.sampler) == (spacing, name)]
            panel.errorbar(
                [c.nfe for c in line],
                [c.kid for c in line],
                [c.standard_error for c in line],
                label=name,
                color=COLOURS[i % len(COLOURS)],
                marker=MARKERS[i % len(MARKERS)],
                linestyle="--" if any(c.stochastic for c in line) else "-",
                markersize=5,
                linewidth=1.3,
                capsize=2,
            )
        panel.set(xscale="log", yscale="log", xlabel="network evaluations (NFE)")
        panel.set_title(f"spacing: {spacing}", fontsize="medium")
        panel.set_xticks(sorted({c.budget for c in cells}))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.yaxis.set_major_formatter(ScalarFormatter())
        panel.yaxis.set_minor_formatter(ScalarFormatter())
        panel.grid(which="both", alpha=0.25)
    panels[0].set_ylabel(f"KID of {cells[0].protocol['num_fake']} images ± standard error")
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside right center", title="dashed: stochastic")
    figure.savefig(path)


if __name__ == "__main__":
    main()
