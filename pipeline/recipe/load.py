"""From a recipe's file or name to a checked ``Recipe``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..plugin.options import is_stage_class, options
from ..plugin.registry import Registry
from ..plugin.stage import Stage, marked
from .build import Builder
from .merge import override, read
from .schema import Recipe
from .show import diff, resolved, show
from .yaml12 import Node, Origin, Problem, flow, parse

__all__ = ["PACKAGED", "Loaded", "build", "diff", "find", "load", "resolved", "show"]

_HERE = Path(__file__).parents[1]
PACKAGED = (_HERE / "recipes", _HERE.parent / "recipes")
"""Where recipes without a path are: inside the installed package, or beside it in a checkout."""


@dataclass(frozen=True)
class Loaded:
    """A recipe and where each of its values comes from."""

    recipe: Recipe
    path: Path
    base: str
    """The recipe's name before ``changed`` is added to it."""
    changed: list[str]
    """``upsampler=transposed_conv`` for each ``--set`` that is not only about input and output."""
    data: dict[str, Any]
    """The recipe as plain data, every default filled in."""
    origins: dict[str, str]
    """Dotted path of each value in ``data`` -> ``file:line:column``, ``--set``, ``default``."""


def load(
    path_or_name: str | Path,
    overrides: Sequence[str] = (),
    *,
    registry: Registry,
    name: str | None = None,
) -> Loaded:
    """Read, merge, override and check. Raises InputError with a line for every problem.

    ``name`` replaces the recipe's own.
    """
    path = find(path_or_name)
    problems: list[Problem] = []
    tree = read(path, problems) or Node(None, Origin(str(path), 1, 1))
    if tree.value is None:
        Builder(registry, problems=problems).report()
    changes: dict[tuple[str, ...], str] = {}
    for text in overrides:
        tree, steps = override(tree, text, problems)
        if len(steps) > 1 and steps[-1] == "name":
            steps = steps[:-1]  # backbone.name=x is backbone=x
        if steps != ["name"]:
            changes[tuple(steps)] = text.partition("=")[2]
    tree = _with_name(tree, path, name)
    recipe = build(tree, registry, problems)
    data = registry.plain(recipe)
    origins = dict(_origins(data, tree, ""))
    changed = _changed(recipe, data, changes)
    return Loaded(recipe, path, recipe.name, changed, data, origins)


def spec_of(text: str, option: str) -> Any:
    """A stage as the shell gives it: ``ddim`` or ``{name: ddim, eta: 1}``."""
    problems: list[Problem] = []
    node = parse(text, option, problems, at=Origin(option))
    if problems or node is None:
        raise InputError("\n".join(map(str, problems)))
    return node.plain


def find(path_or_name: str | Path) -> Path:
    """The file of a recipe, given by path or as the name of a packaged one."""
    path = Path(path_or_name)
    if path.is_file():
        return path
    packaged = {file.stem: file for folder in PACKAGED for file in sorted(folder.glob("*.yaml"))}
    if str(path_or_name) in packaged:
        return packaged[str(path_or_name)]
    beside = [str(f) for f in sorted(path.parent.glob("*.yaml"))] if path.suffix else []
    possible = [*beside, *packaged]
    near = get_close_matches(str(path), possible, 1) or get_close_matches(path.stem, packaged, 1)
    meant = f"; did you mean {near[0]}?" if near else "."
    what = "is a folder, not a recipe" if path.is_dir() else "there is no such recipe"
    raise InputError(f"{path}: {what}{meant} There are: {', '.join(possible) or 'none'}")


def build(tree: Node, registry: Registry, problems: Sequence[Problem] = ()) -> Recipe:
    """The recipe of a tree. Raises InputError with these problems and its own."""
    builder = Builder(registry, problems)
    builder.section(Recipe, tree)
    _metrics_have_features(builder, tree)
    _grid_has_images(builder)
    _guidance_has_classes(builder)
    builder.report()
    made: Recipe = builder.made[""][0]
    return made


def _metrics_have_features(builder: Builder, tree: Node) -> None:
    """Features at all, and of the kind that a metric needs."""
    given = (features := tree.value.get("features")) and features.value is not None
    usual = builder.made.get("features", (None,))[0]
    for path, (made, node) in builder.made.items():
        if ".metrics." not in path or "features" not in marked(type(made), Stage):
            continue
        chosen = made.features or usual
        if not path.rpartition(".")[0].endswith("metrics") or (given and not chosen):
            continue
        message = refusal(made, chosen, builder.registry)
        if not chosen:
            message = message or (
                "needs features: name some in the recipe (features: …) or in the metric"
            )
        if message:
            builder.problem(node.origin, path, message)


def refusal(metric: Any, features: Any, registry: Registry) -> str:
    """Why a metric cannot be computed from features (or from none), and what to write; or ""."""
    needs = getattr(metric, "needs", None)
    got = getattr(features, "output", "features") if features else None
    if needs in (None, got):
        return ""
    name, used = registry.name_of(metric), registry.name_of(features) if features else None
    has = f"{used} gives {got}; " if used else ""
    write = {"name": name, "features": {"name": _able(used, registry), "output": needs}}
    return f"{name} needs features that give {needs}; {has}write {flow(write)}"


def _able(used: str | None, registry: Registry) -> str:
    """Features with the option ``output``: those in use, or the first that there are."""
    for name in filter(None, [used, *(entry.name for entry in registry.entries("features"))]):
        with suppress(InputError):  # of a package that is broken
            if "output" in options(registry.find("features", name).load()):
                return name
    return "…"


def _grid_has_images(builder: Builder) -> None:
    if "sample" not in builder.made:
        return
    sample, node = builder.made["sample"]
    columns, rows = sample.grid
    if columns * rows > sample.num_images:
        at = node.value.get("grid") or node.value.get("num_images") or node
        message = f"{columns} x {rows} pictures are more than num_images {sample.num_images}"
        builder.problem(at.origin, "sample.grid", f"{message}; change one of them")
    if sample.classes and len(sample.classes) > sample.num_images:
        message = f"{len(sample.classes)} classes are more than num_images {sample.num_images}"
        builder.problem(node.value["classes"].origin, "sample.classes", message)


def _guidance_has_classes(builder: Builder) -> None:
    """Options that only a network which was trained with classes has a use for."""
    if "train" not in builder.made:
        return
    train, node = builder.made["train"]
    unconditional = "has no effect without classes: add train.condition: class, or leave it out"
    if train.condition is None and train.drop_label is not None:
        at = node.value["drop_label"]
        builder.problem(at.origin, "train.drop_label", unconditional)
    for path in ("train.validate", "sample", "evaluate"):
        if path not in builder.made:
            continue
        section, node = builder.made[path]
        for key, off in {"guidance_scale": 1, "classes": None}.items():
            if key not in node.value or getattr(section, key) == off:
                continue
            at, what = node.value[key].origin, f"{path}.{key}"
            if train.condition is None:
                builder.problem(at, what, unconditional)
            elif key == "guidance_scale" and not train.drops:
                message = "needs a network that has seen images without their labels"
                builder.problem(at, what, f"{message}: make train.drop_label larger than 0")


def _with_name(tree: Node, path: Path, name: str | None) -> Node:
    """The name given by hand, the file's own, or that of the file."""
    given = {"name": Node(name, Origin("--name"))} if name is not None else {}
    default = {"name": Node(re.sub(r"[^\w.+=,-]+|^\W+", "-", path.stem), Origin("default"))}
    return Node({**default, **tree.value, **given}, tree.origin, tree.keys)


def _origins(value: Any, node: Node | None, path: str) -> Iterator[tuple[str, str]]:
    """The origin of each leaf of plain data that was made from a tree."""
    inside = node.value if node else None
    if isinstance(value, dict):
        given = {"name": node} if isinstance(inside, str) else inside
        for key, item in value.items():
            child = given.get(key) if isinstance(given, dict) else None
            yield from _origins(item, child, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            child = inside[index] if isinstance(inside, list) else None
            yield from _origins(item, child, f"{path}.{index}")
    else:
        text = str(node.origin) if node else "default"
        yield path, "--set" if text.startswith("--set ") else text


def _changed(recipe: Recipe, data: Any, overrides: dict[tuple[str, ...], str]) -> list[str]:
    """``upsampler=nearest``: the shortest end of each path that says which option is meant."""
    ends = Counter(end for path in _paths(data) for end in _ends(path))
    texts = []
    for path, value in overrides.items():
        if not _io_only(recipe, data, path):
            end = next((e for e in _ends(path) if ends[e] == 1), path)
            value = re.sub(r"[^\w.+,-]+", "-", re.sub(r"[][{}\"'\s]", "", value))
            texts.append(f"{'.'.join(end)}={value}")
    return texts


def _ends(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (path[start:] for start in reversed(range(len(path))))


def _paths(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path that ``--set`` can reach; stages in lists by name."""
    if path:
        yield path
    for key, value in data.items() if isinstance(data, dict) else _stages(data):
        yield from _paths(value, (*path, key))


def _stages(data: Any) -> list[tuple[str, Any]]:
    items = data if isinstance(data, list) else []
    return [(item["name"], item) for item in items if isinstance(item, dict) and "name" in item]


def _io_only(made: Any, data: Any, path: tuple[str, ...]) -> bool:
    """Whether the option at this path, or one that holds it, says only where something is."""
    for step in path:
        if isinstance(made, (list, tuple)):
            names = [name for name, _ in _stages(data)]
            index = int(step) if step.isdecimal() else names.index(step)
            made, data = made[index], data[index]
        elif is_stage_class(type(made)) and step in (known := options(type(made))):
            if known[step].io_only:
                return True
            made, data = getattr(made, known[step].field), data[step]
    return False
