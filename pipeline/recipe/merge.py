"""Merges recipe files and overrides into one tree of values: ``extends`` and ``--set``."""

from __future__ import annotations

import os
from pathlib import Path

from ..format import byte_size
from ..plugin.nearest import did_you_mean
from .complaints import join
from .tree import Node, Origin, Problem
from .yaml12 import MAX_DEPTH, flow, parse

MAX_BYTES = 1_000_000
"""The most that a recipe's file may have: a wrong one is not read into memory."""
MAX_CHAIN = 50
"""Recipes that extend each other."""

_PACKAGE = Path(__file__).parents[1]
PACKAGED = (_PACKAGE / "recipes", _PACKAGE.parent / "recipes")
"""Where recipes without a path are: inside the installed package, or beside it in a checkout."""


def packaged() -> dict[str, Path]:
    """The recipes that can be given by name."""
    return {file.stem: file for folder in PACKAGED for file in sorted(folder.glob("*.yaml"))}


def read(file: Path, problems: list[Problem], chain: tuple[Path, ...] = ()) -> Node | None:
    """A recipe file merged over those that it extends; None where nothing can be read.

    A parent's ``name`` is not inherited: it names the parent's runs.
    """
    try:
        if (size := file.stat().st_size) > MAX_BYTES:
            raise OSError(f"it has {byte_size(size)}, and a recipe a few kB")
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(Origin(str(file)), "", f"cannot be read: {error}"))
        return None
    node = parse(text, str(file), problems)
    if node is None or not isinstance(node.value, dict):
        if node:
            problems.append(Problem(node.origin, "", "should be a mapping of settings"))
        return None
    named = node.mapping.get("extends")
    tree = _without("extends", node)
    if named is None:
        return tree
    parent = _parent(file, named, problems, (*chain, Path(os.path.realpath(file))))
    return _overlay(_without("name", parent), tree) if parent else tree


def _without(key: str, node: Node) -> Node:
    return Node({k: v for k, v in node.mapping.items() if k != key}, node.origin, node.keys)


def _parent(
    file: Path, named: Node, problems: list[Problem], chain: tuple[Path, ...]
) -> Node | None:
    """The recipe that a file extends; None where there is none that can be read."""

    def wrong(message: str) -> None:
        problems.append(Problem(named.origin, "extends", message))

    if not isinstance(named.value, str):
        wrong(f"should be the path of another recipe, got {flow(named.plain)}")
        return None
    path = Path(os.path.normpath(file.parent / os.path.expanduser(named.value)))
    known = packaged()
    if not os.path.isfile(path):  # false also for names that no file can have
        path = known.get(named.value, path)
    if not os.path.isfile(path):
        others = {p.name for p in path.parent.glob("*.y*ml")} - {path.name}
        meant = did_you_mean(path.name, [*others, *known], quote=str)
        wrong(
            f"there is no file {path} (paths are relative to this recipe), "
            f"nor a packaged recipe of this name{meant}"
        )
        return None
    real = Path(os.path.realpath(path))
    if real in chain:
        wrong(
            f"goes in a circle: {' -> '.join(p.name for p in [*chain[chain.index(real) :], real])}"
        )
        return None
    if len(chain) >= MAX_CHAIN:
        wrong(f"is a chain of more than {MAX_CHAIN} recipes")
        return None
    return read(path, problems, chain)


def merge(old: Node, new: Node) -> Node:
    """``new`` over ``old``: mappings merge, a stage of another name and all else replace."""
    if isinstance(old.value, dict) and isinstance(new.value, str):
        new = _named(new)
    if isinstance(new.value, dict) and isinstance(old.value, str):
        old = _named(old)
    if not (isinstance(old.value, dict) and isinstance(new.value, dict)):
        return new
    names = [node.mapping["name"].plain for node in (old, new) if "name" in node.mapping]
    return new if len(names) == 2 and names[0] != names[1] else _overlay(old, new)


def _overlay(old: Node, new: Node) -> Node:
    before = old.mapping
    both = {k: merge(before[k], v) if k in before else v for k, v in new.mapping.items()}
    return Node({**before, **both}, new.origin, {**old.keys, **new.keys})


def _named(node: Node) -> Node:
    """``bilinear`` is ``{name: bilinear}``."""
    return Node({"name": node}, node.origin)


def override(
    tree: Node, text: str, problems: list[Problem], said: str = "--set"
) -> tuple[Node, list[str]]:
    """Apply one ``--set a.b=value``; also returns the path, empty where it is wrong."""
    at = Origin(f"{said} {text}")
    path, equals, value = text.partition("=")
    steps = path.strip().split(".")
    if len(steps) > MAX_DEPTH:
        problems.append(Problem(Origin("--set"), "", f"a key of {len(steps)} parts"))
        return tree, []
    if not equals or not all(steps):
        problems.append(Problem(at, "", "should be like backbone.upsampler=nearest"))
        return tree, []
    known = len(problems)
    node = parse(value, "", problems, at=at)
    changed = _assign(tree, steps, node, problems) if node else tree
    return (changed, steps) if len(problems) == known else (tree, [])


def _assign(
    node: Node | None, steps: list[str], value: Node, problems: list[Problem], done: str = ""
) -> Node:
    """A node with the value at the end of these steps; ``done`` is the path that led to it."""
    if not steps:
        return merge(node, value) if node else value
    at, (head, *rest), path = value.origin, steps, join(done, steps[0])
    if node is None or node.value is None:
        node = Node({}, at)
    if head == "name" and done and not rest:  # another stage, or the same with its options
        return merge(node, Node({"name": value}, at))
    if isinstance(node.value, str):
        node = Node(_named(node).value, at)
    if isinstance(node.value, list):
        index = _index(node.items, head)
        if index is None:
            there = ", ".join(filter(None, map(_name, node.items))) or "nothing that has a name"
            problems.append(Problem(at, path, f"the list holds {there}; not {head!r} just once"))
            return node
        items = list(node.items)
        items[index] = _assign(items[index], rest, value, problems, path)
        return Node(items, node.origin)
    if not isinstance(node.value, dict):
        problems.append(Problem(at, path, f"{done} is {flow(node.value)} and has no keys"))
        return node
    child = _assign(node.mapping.get(head), rest, value, problems, path)
    return Node({**node.mapping, head: child}, node.origin, {head: at, **node.keys})


def _name(node: Node) -> str | None:
    """The name of a stage, given alone or in a mapping."""
    name = node.mapping.get("name", node).value
    return name if isinstance(name, str) else None


def _index(items: list[Node], step: str) -> int | None:
    """The place of an item that is reached by its name or number."""
    if step.isdecimal():
        return int(step) if int(step) < len(items) else None
    places = [i for i, item in enumerate(items) if _name(item) == step]
    return places[0] if len(places) == 1 else None
