"""Whether what is swapped can change a score at all; told before anything is trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations

from ..errors import InputError
from ..plugin.registry import Registry
from ..plugin.specs import changes
from ..recipe.load import Loaded, load
from ..recipe.names import Path, is_io_only
from ..recipe.scores import DRAWING
from .variants import Variant, swapped_values

PICTURES_ALONE = {"num_images", "classes", "grid"}
"""Keys of ``sample`` that no score follows."""
GRIDS = {"grid", "grid_num_steps"}
"""Keys of ``train.validate`` that say what its grids show."""
WHEN = {"every", "metrics", *GRIDS}
"""Those that count where the best checkpoint is chosen by the validation loss."""
EQUAL = {"num_images": "all are scored on as many images", "metrics": "all have the same metrics"}
"""Keys of ``evaluate`` that a comparison makes equal, and why they cannot be swapped."""
OF_SCORES = "sample.", "train.validate."
"""Sections some of whose keys ``evaluate`` has too."""


def refuse_ineffective(
    swaps: Sequence[str], variants: Sequence[Variant], num_steps: int | None, registry: Registry
) -> None:
    """InputError for a swap that gives all its variants the same scores, with the key to swap.

    ``num_steps`` are the sampling steps that all variants are given, if any are.
    """
    for number, swap in enumerate(swaps):
        groups = defaultdict(list)
        for variant in variants:
            others = variant.changes[:number] + variant.changes[number + 1 :]
            groups[variant.file, others].append(variant.loaded)
        pairs = (pair for group in groups.values() for pair in combinations(group, 2))
        if not any(_reaches(a, b, num_steps) for a, b in pairs):
            raise InputError(_refusal(swap, variants[0], num_steps, registry))


def _reaches(a: Loaded, b: Loaded, num_steps: int | None) -> bool:
    """Whether two recipes may score differently."""
    return any(_counts(change.path, a, num_steps) for change in changes(a.data, b.data))


def _counts(path: Path, loaded: Loaded, num_steps: int | None) -> bool:
    """Whether a score may depend on the value at this path."""
    recipe, section, keys = loaded.recipe, path[0], [*path[1:], "", ""]
    if section == "dataset":
        return True  # where images are says which ones they are
    if section == "name" or is_io_only(recipe, loaded.data, path):
        return False
    drawn = "evaluate" if recipe.evaluate else "sample"
    if num_steps and [section, keys[0]] == [drawn, "num_steps"]:
        return False
    if section == "sample":
        return drawn == "sample" and keys[0] not in PICTURES_ALONE
    if section == "evaluate":
        return keys[0] not in EQUAL
    if [section, keys[0]] == ["train", "validate"]:
        chosen_by_samples = bool(recipe.train.validate.metrics)
        return keys[1] not in GRIDS and (chosen_by_samples or keys[1] in WHEN)
    return True


def _refusal(swap: str, variant: Variant, num_steps: int | None, registry: Registry) -> str:
    key, _, values = swap.partition("=")
    key = key.strip()
    said = f"--swap {swap}: no score depends on {key}"
    section, _, option = key.rpartition(".")
    if section == "evaluate" and option in EQUAL:
        return f"{said}: {EQUAL[option]}"
    if num_steps and option == "num_steps":
        return f"{said}: --num-steps {num_steps} holds for all; leave it out"
    if other := _other_key(key, values, variant, num_steps, registry):
        return f"{said} here; {other} would reach them: --swap {other}={values}"
    return f"{said}, so there is nothing to compare"


def _other_key(
    key: str, values: str, variant: Variant, num_steps: int | None, registry: Registry
) -> str | None:
    """The key of ``evaluate`` with which the same swap would reach scores; None without one."""
    within = next((s for s in OF_SCORES if key.startswith(s)), None)
    if within is None or variant.loaded.recipe.evaluate is None:
        return None
    option = key.removeprefix(within)
    if option.partition(".")[0] not in DRAWING:
        return None
    with suppress(InputError):
        loaded = [
            load(variant.file, [*variant.overrides, change], registry=registry)
            for change in swapped_values(f"evaluate.{option}={values}")
        ]
        if any(_reaches(a, b, num_steps) for a, b in combinations(loaded, 2)):
            return f"evaluate.{option}"
    return None
