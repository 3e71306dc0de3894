"""What is compared: recipes and finished runs, each as it is and with values swapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from ..diffusion.precision import best_precision
from ..errors import InputError
from ..plugin.registry import Registry
from ..plugin.specs import changes
from ..recipe.load import Loaded, load
from ..recipe.names import is_io_only
from ..recipe.tree import Origin, Problem
from ..recipe.yaml12 import flow, parse
from ..runs.finished import finished_run
from ..runs.precision import automatic
from ..runs.resolve import ZIP, is_run
from ..runs.settle import with_length

MEASURED = {"name", "sample", "evaluate", "features"}
"""The parts of a recipe that say what is drawn of a model and how it is scored."""


@dataclass(frozen=True)
class Variant:
    """A recipe to train, or a finished run that is taken as it is."""

    name: str
    base: str
    """What its recipe or run is called, without what a swap changed."""
    file: str
    """The recipe's file or name; of a run that in its folder."""
    loaded: Loaded
    changes: tuple[str, ...]
    """What a swap changed, as ``--set`` takes it."""
    overrides: tuple[str, ...]
    """These changes and those that all variants have."""
    run: Path | None
    """The finished run that it is, or that its recipe is of."""
    as_run: Loaded
    """The recipe before anything was overridden: that of the run."""

    @property
    def finished(self) -> bool:
        """Whether it is the model of a finished run: only what is measured of it is overridden."""
        return self.run is not None and all(
            change.path[0] in MEASURED
            or is_io_only(self.loaded.recipe, self.loaded.data, change.path)
            for change in changes(self.as_run.data, self.loaded.data)
        )

    @property
    def swapped(self) -> set[str]:
        """The keys that a swap changed."""
        return {change.partition("=")[0] for change in self.changes}

    def changed(self, more: Sequence[str], registry: Registry) -> Variant:
        """With more overrides."""
        overrides = (*self.overrides, *more)
        base = self.run.name if self.run and overrides else None
        loaded = load(self.file, overrides, registry=registry, name=base)
        return replace(self, overrides=overrides, loaded=with_length(loaded, registry))


def variants_of(
    sources: Sequence[str],
    swaps: Sequence[str],
    common: Sequence[str],
    registry: Registry,
    device: str,
) -> list[Variant]:
    """Each source with each combination of the swaps' values, and with ``common`` in all.

    A precision that is ``auto`` is settled for this device, so that all trials have the same.
    InputError for fewer than two.
    """
    combinations = list(product(*map(swapped_values, swaps)))
    if len(sources) * len(combinations) < 2:
        raise InputError(
            f"{', '.join(sources)}: one alone is nothing to compare. Name a second recipe or run, "
            "or swap a value, as with --swap backbone.upsampler=bilinear,transposed_conv"
        )
    variants = []
    for source, given in product(sources, combinations):
        run = _run(source)
        file = str(run / "recipe.yaml") if run else source
        loaded = load(file, registry=registry)
        base = (
            Path(source).stem if run and source.endswith(ZIP) else run.name if run else loaded.base
        )
        name = ", ".join(_words(given)) or base
        name = f"{base}: {name}" if given and sources[1:] else name
        variant = Variant(name, base, file, loaded, given, (), run, loaded)
        variant = variant.changed([*common, *given], registry)
        if keys := automatic(variant.loaded.data):
            best = best_precision(device)
            variant = variant.changed([f"{key}.precision={best}" for key in keys], registry)
        variants.append(variant)
    _refuse_twins(variants)
    return variants


def _refuse_twins(variants: Sequence[Variant]) -> None:
    """InputError for two variants of one name."""
    counts = Counter(variant.name for variant in variants)
    if twice := [name for name, count in counts.items() if count > 1]:
        files = ", ".join(dict.fromkeys(v.file for v in variants if v.name == twice[0]))
        raise InputError(
            f"{twice[0]} is there twice ({files}): give each recipe a name of its own (name: …), "
            "and each run or swapped value once"
        )


def swapped_values(text: str) -> list[str]:
    """``key=a,b`` -> ``key=a`` and ``key=b``; a value may be a mapping or a list in brackets."""
    origin = Origin(f"--swap {text}")
    key, _, values = text.partition("=")
    problems: list[Problem] = []
    node = parse(f"[{values}]", "", problems, at=origin) if key.strip() and values.strip() else None
    if problems:
        raise InputError("\n".join(map(str, problems)))
    if node is None:
        raise InputError(f"{origin}: should be like backbone.upsampler=bilinear,transposed_conv")
    changes = [f"{key.strip()}={flow(value)}" for value in node.plain]
    if twice := [change for change, count in Counter(changes).items() if count > 1]:
        raise InputError(f"{origin}: {twice[0]} is there twice")
    return changes


def _run(source: str) -> Path | None:
    """The folder of a finished run; None for a recipe. InputError for an unfinished run."""
    # An unfinished run is refused with what to do.
    return finished_run(source).folder if is_run(Path(source)) else None


def _name_of(source: str, run: Path) -> str:
    """What a run is called; one in a zip is unpacked into a folder that has no name."""
    return Path(source).stem if source.endswith(ZIP) else run.name


def _words(changes: Sequence[str]) -> list[str]:
    """``transposed_conv``; with its key where several are swapped or it would not tell enough."""
    if len(changes) == 1 and not changes[0].rpartition("=")[2].replace(".", "").isdigit():
        return [changes[0].partition("=")[2]]
    return [
        f"{key.rpartition('.')[2]}={value}" for key, _, value in (c.partition("=") for c in changes)
    ]
