"""Every command as a function: the shell's ``pipeline run`` is ``pipeline.commands.run``.

Each returns plain data, the same that ``--json`` prints. Torch is imported once work begins.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import InputError
from .load import Loaded, load
from .registry import Registry

if TYPE_CHECKING:
    from .recipe import Spacing
    from .sample import Order
    from .store import Artifact
    from .testing import Report


def run(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    plugins: Sequence[Path] = (),
    dry_run: bool = False,
    fresh: bool = False,
    store: Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """The whole way of the data, into ``runs/<name>/``; what is in the store is not made again.

    ``dry_run`` stops after the checks. ``fresh`` makes everything anew.
    """
    registry = Registry.load(plugins)
    loaded = load(recipe, overrides, registry=registry, name=name)
    from .runs import RUNS, RunFolder, open_store, recipe_of

    folder = RUNS / (_run_name(loaded) if name is None else name)
    # What has run to its end needs no probe, which costs seconds of imports.
    if dry_run or recipe_of(folder) != loaded.data:
        from .probe import probe

        found = probe(loaded.recipe)
        if dry_run:
            return {"name": folder.name, "recipe": loaded.data, "probe": vars(found)}
    from . import engine
    from .device import choose

    started, place = time.monotonic(), choose(device)
    kept = open_store(store, fresh)
    run_folder = RunFolder(folder, loaded, kept, plugins)
    made, scores = engine.run(loaded.recipe, registry, kept, run_folder, place)
    run_folder.finish(made, scores, place)
    about = json.loads((folder / "run.json").read_text())
    return {
        **about,
        "folder": str(folder),
        "store": str(kept.root),
        "sizes": {key: one.size for key, one in made.items()},
        "seconds": time.monotonic() - started,
    }


def sample(
    run: str | Path,
    *,
    num_images: int | None = None,
    grid: tuple[int, int] | None = None,
    num_steps: int | None = None,
    spacing: Spacing | None = None,
    seed: int | None = None,
    sampler: str | None = None,
    checkpoint: Literal["best", "last"] = "best",
    weights: Literal["ema", "raw"] = "ema",
    out: Path | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Images from a trained model: ``out/grid.png`` and ``out/images/``. No dataset needed.

    What is not given is as in the run's recipe, section ``sample``.
    """
    from .runs import open_run, plugins_of, store_of

    about = open_run(Path(run))
    registry = Registry.load(plugins)
    wanted = about["recipe"]["sample"]
    count = num_images or (grid[0] * grid[1] if grid else wanted["num_images"])
    columns, rows = grid or _grid(count, wanted["grid"])
    if columns * (rows - 1) >= count:
        raise InputError(f"--grid {columns}x{rows} has more rows than {count} images fill")
    from .device import choose
    from .load import spec_of
    from .sample import Order
    from .sample import sample as draw

    spec = spec_of(sampler, "--sampler") if sampler else wanted["sampler"]
    with plugins_of(about, plugins):
        order = Order(
            sampler=registry.build("sampler", spec),
            num_steps=num_steps or wanted["num_steps"],
            # Runs that were made before there was a choice do not name it.
            spacing=spacing or wanted.get("spacing", "uniform"),
            num_images=count,
            batch_size=wanted["batch_size"],
            seed=about["recipe"]["seed"] if seed is None else seed,
            choice=checkpoint,
            weights=weights,
        )
        kept = store_of(about, store)
        model = kept.open("model", about["artifacts"]["model"]["key"])
        drawn = draw(model, order, registry, kept, choose(device))
    folder = out or about["folder"] / f"samples-{_words(order, registry)}"
    _save_images(drawn, (columns, rows), folder)
    return {
        "run": about["name"],
        "images": order.num_images,
        "grid": str(folder / "grid.png"),
        "folder": str(folder),
        "reused": drawn.reused,
        "nfe": order.sampler.nfe(order.num_steps),
        "sampler": registry.spec(order.sampler),
        "spacing": order.spacing,
        "seed": order.seed,
    }


def evaluate(what: Path, **options: Any) -> dict[str, Any]:
    """Scores of a run or of a folder of images; ``pipeline.evaluate.evaluate`` has the options."""
    from .evaluate import evaluate as score

    return score(what, **options)


def validate(
    recipe: str | Path, overrides: Sequence[str] = (), *, plugins: Sequence[Path] = ()
) -> Loaded:
    """Check a recipe. Raises InputError with a line for each problem."""
    return load(recipe, overrides, registry=Registry.load(plugins))


def show(recipe: str | Path, overrides: Sequence[str] = (), *, plugins: Sequence[Path] = ()) -> str:
    """The resolved recipe as YAML, the origin of each value behind it."""
    from .load import show as text

    return text(validate(recipe, overrides, plugins=plugins))


def diff(a: str | Path, b: str | Path, *, plugins: Sequence[Path] = ()) -> str:
    """Two recipes, by stage."""
    from .load import diff as between

    registry = Registry.load(plugins)
    return between(load(a, registry=registry), load(b, registry=registry))


def plugins(kind: str = "", name: str = "", *, plugins: Sequence[Path] = ()) -> str:
    """What is installed, as a table; of one stage, its documentation, options and package."""
    from .catalogue import describe_stage, plugins_table

    registry = Registry.load(plugins)
    return describe_stage(registry, kind, name) if kind else plugins_table(registry)


def check(
    kind: str, name: str, overrides: Sequence[str] = (), *, plugins: Sequence[Path] = ()
) -> Report:
    """Whether a stage keeps the contract of its kind; ``overrides`` are options, ``eta=0.5``.

    Raises InputError for a stage that is not there and for options that it does not take.
    """
    from .testing import examine
    from .testing.variants import overridden

    registry = Registry.load(plugins)
    cls = registry.find(kind, name).load()
    stage = overridden(kind, name, cls, overrides, registry) if overrides else cls
    return examine(kind, stage, registry)


def cache(
    action: Literal["ls", "verify", "gc"], *, store: Path | None = None, dry_run: bool = False
) -> Any:
    """The store: what is in it, what is damaged, or what no run needs (removed)."""
    from .runs import live_keys, open_store

    kept = open_store(store)
    if action == "verify":
        return kept.verify()
    records = kept.gc(live_keys(kept), dry_run=dry_run) if action == "gc" else kept.ls()
    return [{**vars(record), "path": str(record.path)} for record in records]


def _run_name(loaded: Loaded) -> str:
    """The recipe's name and what ``--set`` changed, short enough for any file system."""
    full = "+".join([loaded.base, *loaded.changed])
    digest = hashlib.sha256(full.encode()).hexdigest()[:8]
    return full if len(full) <= 150 else f"{full[:140]}+{digest}"


def _grid(count: int, usual: Sequence[int]) -> tuple[int, int]:
    """The recipe's columns, and as many rows as are needed."""
    columns = min(usual[0], count)
    return columns, -(-count // columns)


def _words(order: Order, registry: Registry) -> str:
    """A folder's name for what was asked."""
    about = registry.describe(order.sampler)
    options = {k: v for k, v in about.items() if k not in ("name", "code")}
    parts = [registry.name_of(order.sampler), *(f"{k}={v}" for k, v in options.items())]
    parts += [f"{order.num_steps}steps", f"seed{order.seed}"]
    usual = ("uniform", "best", "ema")
    parts += [w for w in (order.spacing, order.choice, order.weights) if w not in usual]
    return "-".join(parts)


def _save_images(drawn: Artifact, grid: tuple[int, int], folder: Path) -> None:
    from .pictures import save_grid, to_picture
    from .sample import read_samples

    images = read_samples(drawn)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    save_grid(images, grid, folder / "grid.png")
    for old in (folder / "images").glob("?????.png"):  # of a larger order
        old.unlink()
    for i, image in enumerate(images):
        to_picture(image).save(folder / f"images/{i:05d}.png")
