"""Loads a recipe: from its file or name to a checked ``Recipe``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError
from ..plugin.nearest import nearest
from ..plugin.registry import Registry
from .build import Builder
from .complaints import join
from .merge import merge, override, packaged, read
from .names import name_changes
from .rules import check_sections
from .schema import Folder, Recipe
from .scores import following, own
from .tree import Node, Origin, Problem, error_of
from .yaml12 import flow, parse

T = TypeVar("T")

_DEFAULT = Node(None, Origin("default"))
"""What stands in the tree for a value that nobody gave."""

SUFFIXES = (".yaml", ".yml")

FOLDER = Path(__file__).with_name("folder.yaml")
"""How a folder of images is read; the engine itself names no stage for it."""


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
    """The recipe as plain data, every default filled in; itself a recipe."""
    origins: dict[str, str]
    """Dotted path of each value in ``data`` -> ``file:line:column``, ``--set``, ``default``."""


def check_recipe(
    recipe: str | Path, overrides: Sequence[str] = (), *, plugins: Sequence[Path] = ()
) -> Loaded:
    """Check a recipe and fill in every default, without reading any data.

    recipe: its file, or the name of a packaged one, such as ``quickstart``.
    overrides: values to change, each like ``backbone.upsampler=nearest``.
    plugins: files with stages, beside the packages that are installed.

    Raises InputError with a line for each problem, which says where it is: ``file:line:column``.
    """
    return load(recipe, overrides, registry=Registry.load(plugins))


def load(
    path_or_name: str | Path,
    overrides: Sequence[str] = (),
    *,
    registry: Registry,
    name: str | None = None,
    given: Sequence[str] = (),
) -> Loaded:
    """Read, merge, override and check. Raises InputError with a line for every problem.

    ``name`` replaces the recipe's own. ``given`` are values like the overrides, but such as belong
    to the recipe, and do not count as a change of it.
    """
    path = find(path_or_name)
    problems: list[Problem] = []
    tree = read(path, problems)
    if tree is None:
        raise error_of(problems)
    for text in given:
        tree, _ = override(tree, text, problems, "--data")
    tree, changes = _overridden(tree, overrides, problems)
    tree = following(_with_name(tree, path, name))
    recipe = _build(Recipe, tree, registry, problems)
    data = registry.plain(recipe)
    changed = name_changes(recipe, data, changes)
    return Loaded(recipe, path, recipe.name, changed, data, dict(_origins(data, tree, "")))


def build_recipe(registry: Registry, data: Mapping[str, object], said: str) -> Recipe:
    """A recipe from plain data, such as a finished run keeps. Raises InputError.

    ``said`` is where the data is from, for messages.
    """
    return _build(Recipe, Node.of(data, Origin(said)), registry, [])


def load_folder(root: Path, size: int | None, registry: Registry) -> Folder:
    """The stages that read the folder ``root``, as ``folder.yaml`` says. Raises InputError.

    size: pixels, for the preprocessing stages that have a size; None: there is no preprocessing.
    """
    problems: list[Problem] = []
    tree = read(FOLDER, problems)
    if tree is None:
        raise error_of(problems)
    origin, sized = Origin(str(root)), Node.of({"size": size}, Origin("--size"))
    stages = [] if size is None else tree.mapping["preprocess"].items
    stages = [merge(stage, sized) if "size" in stage.mapping else stage for stage in stages]
    given = {"dataset": Node.of({"root": str(root)}, origin), "preprocess": Node(stages, origin)}
    return _build(Folder, merge(tree, Node(given, origin)), registry, problems)


def usual_preprocess() -> str:
    """The preprocessing of ``folder.yaml`` as a recipe writes it, for messages that advise it."""
    tree = read(FOLDER, [])
    assert tree
    return flow(tree.mapping["preprocess"].plain)


def find(path_or_name: str | Path) -> Path:
    """The file of a recipe, given by path or as the name of a packaged one."""
    path = Path(path_or_name).expanduser()
    if os.path.isfile(path):  # false also for names that no file can have
        return path
    known = packaged()
    if str(path_or_name) in known:
        return known[str(path_or_name)]
    beside = [str(f) for f in sorted(path.parent.glob("*.yaml"))] if path.suffix in SUFFIXES else []
    possible = [*beside, *known]
    near = nearest(str(path), possible) or nearest(path.stem, known)
    meant = f"; did you mean {near}?" if near else "."
    what = "is a folder, not a recipe" if os.path.isdir(path) else "there is no such recipe"
    raise InputError(f"{path}: {what}{meant} There are: {', '.join(possible) or 'none'}")


def spec_of(text: str, option: str) -> Any:
    """A stage as the shell gives it: ``ddim`` or ``{name: ddim, eta: 1}``."""
    return _given(text, option).plain


def texts_of(text: str, option: str) -> list[str]:
    """A list of texts as the shell gives it, ``[a, 07, "b, c"]``, each as it is written."""
    node = _given(text, option)
    if not all(isinstance(part, str) for part in node.texts):
        raise InputError(f"{option}: should be a list of texts, got {text}")
    return list(node.texts)


def _given(text: str, option: str) -> Node:
    problems: list[Problem] = []
    node = parse(text, option, problems, at=Origin(option))
    if node is None or problems:
        raise error_of(problems)
    return node


def _build(cls: type[T], tree: Node, registry: Registry, problems: Sequence[Problem]) -> T:
    """The section or recipe of a tree. Raises InputError with these problems and its own."""
    builder = Builder(registry, problems)
    section = builder.section(cls, tree)
    check_sections(builder, tree)
    builder.problems = own(builder.problems)
    builder.report()
    assert isinstance(section, cls)
    return section


def _overridden(
    tree: Node, overrides: Sequence[str], problems: list[Problem]
) -> tuple[Node, dict[tuple[str, ...], str]]:
    """The tree with each ``--set``, and the values that were set by their paths."""
    paths: dict[str, tuple[str, ...]] = {}
    for text in sorted(overrides, key=_names_no_stage):  # a stage's name before its options
        tree, steps = override(tree, text, problems)
        paths[text] = tuple(steps if _names_no_stage(text) else steps[:-1])
    given = {paths[text]: text.partition("=")[2] for text in overrides}
    return tree, {path: value for path, value in given.items() if path != ("name",)}


def _names_no_stage(override: str) -> bool:
    """False for ``backbone.name=x``, which is ``backbone=x``."""
    return not override.partition("=")[0].strip().endswith(".name")


def _with_name(tree: Node, path: Path, name: str | None) -> Node:
    """The name given by hand, the file's own, or that of the file."""
    given = {"name": Node(name, Origin("--name"))} if name is not None else {}
    default = {"name": Node(re.sub(r"[^\w.+=,-]+|^\W+", "-", path.stem), Origin("default"))}
    return Node({**default, **tree.mapping, **given}, tree.origin, tree.keys)


def _origins(value: object, node: Node, path: str) -> Iterator[tuple[str, str]]:
    """The origin of each leaf of plain data that was made from a tree."""
    if isinstance(value, dict):
        given = {"name": node} if isinstance(node.value, str) else node.mapping
        for key, item in value.items():
            yield from _origins(item, given.get(key, _DEFAULT), join(path, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            inner = node.items[index] if node.items else _DEFAULT
            yield from _origins(item, inner, join(path, str(index)))
    else:
        text = str(node.origin)
        yield path, text.split()[0] if text.startswith(("--set ", "--data ")) else text
