"""Every command as a function: the shell's ``pipeline run`` is ``pipeline.commands.run``.

Each returns plain data, the same that ``--json`` prints. Torch is imported once work begins.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .plugin.registry import Registry
from .recipe.load import Loaded, check_recipe, load

if TYPE_CHECKING:
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
    from .runs.folder import RUNS, RunFolder, open_store, recipe_of, run_name, words_of
    from .training.trackers import check_trackers

    if loaded.recipe.train.trackers:
        check_trackers(loaded.recipe.train.trackers)
    folder = RUNS / (run_name(loaded) if name is None else name)
    # What has run to its end needs no probe, which costs seconds of imports.
    if dry_run or recipe_of(folder) != loaded.data:
        from .runs.probe import probe

        found = probe(loaded.recipe)
        if dry_run:
            return {"name": folder.name, "recipe": loaded.data, "probe": vars(found)}
    from .machine import choose_device
    from .runs import run as engine
    from .runs.finished import open_run
    from .runs.page import write_run_page

    started, place = time.monotonic(), choose_device(device)
    kept = open_store(store, fresh)
    command = shlex.join(words_of(recipe, overrides, name, plugins, store, device))
    run_folder = RunFolder(folder, loaded, kept, plugins, command)
    made, scores = engine.run(loaded.recipe, registry, kept, run_folder, place)
    run_folder.finish(made, scores, place, engine.directions(loaded.recipe, registry))
    write_run_page(open_run(folder, store=kept.root))
    about = json.loads((folder / "run.json").read_text())
    return {
        **about,
        "folder": str(folder),
        "store": str(kept.root),
        "sizes": {key: one.size for key, one in made.items()},
        "seconds": time.monotonic() - started,
    }


def sample(run: str | Path, **options: Any) -> dict[str, Any]:
    """Images of a trained model; ``pipeline.runs.sample.sample`` has the options."""
    from .runs.sample import sample as draw

    return draw(run, **options)


def evaluate(what: Path, **options: Any) -> dict[str, Any]:
    """Scores of a run or a folder; ``pipeline.runs.evaluate.evaluate`` has the options."""
    from .runs.evaluate import evaluate as score

    return score(what, **options)


def compare(sources: Sequence[str], **options: Any) -> dict[str, Any]:
    """Which recipe or run is better; ``pipeline.compare.compare.compare`` has the options."""
    from .compare.compare import compare as judge

    return judge(sources, **options)


def report(runs: Sequence[Path], *, store: Path | None = None) -> list[dict[str, str]]:
    """The pages of finished runs and comparisons, written anew; where each one is."""
    from .runs.page import report as write

    return write(runs, store=store)


def validate(
    recipe: str | Path, overrides: Sequence[str] = (), *, plugins: Sequence[Path] = ()
) -> Loaded:
    """Check a recipe. Raises InputError with a line for each problem."""
    return check_recipe(recipe, overrides, plugins=plugins)


def show(recipe: str | Path, overrides: Sequence[str] = (), *, plugins: Sequence[Path] = ()) -> str:
    """The resolved recipe as YAML, the origin of each value behind it."""
    from .recipe.show import show as text

    return text(recipe, overrides, plugins=plugins)


def diff(a: str | Path, b: str | Path, *, plugins: Sequence[Path] = ()) -> str:
    """Two recipes, by stage."""
    from .recipe.show import diff as between

    return between(a, b, plugins=plugins)


def plugins(kind: str = "", name: str = "", *, plugins: Sequence[Path] = ()) -> str:
    """What is installed, as a table; of one stage, its documentation, options and package."""
    from .recipe import catalogue

    return catalogue.plugins(kind, name, plugins=plugins)


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
    if kind == "dataset" and overrides:
        stage()  # what is not there is no fault of the stage
    return examine(kind, stage, registry)


def cache(
    action: Literal["ls", "verify", "gc"], *, store: Path | None = None, dry_run: bool = False
) -> Any:
    """The store: what is in it, what is damaged, or what no run needs (removed)."""
    from .runs.folder import live_keys, open_store

    kept = open_store(store)
    if action == "verify":
        return kept.verify()
    records = kept.gc(live_keys(kept), dry_run=dry_run) if action == "gc" else kept.ls()
    return [{**vars(record), "path": str(record.path)} for record in records]
