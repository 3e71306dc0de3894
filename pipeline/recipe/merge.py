"""Recipe files to one tree of values: ``extends`` and ``--set``."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from .yaml12 import Node, Origin, Problem, flow, parse


def read(file: Path, problems: list[Problem], chain: tuple[Path, ...] = ()) -> Node | None:
    """A recipe file merged over those that it extends; None where nothing can be read.

    A parent's ``name`` is not inherited: it names the parent's runs.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(Origin(str(file)), "", f"cannot be read: {error}"))
        return None
    node = parse(text, str(file), problems)
    if node is None or not isinstance(node.value, dict):
        if node:
            problems.append(Problem(node.origin, "", "should be a mapping of settings"))
        return None
    own = {key: value for key, value in node.value.items() if key != "extends"}
    tree = Node(own, node.origin, node.keys)
    if "extends" not in node.value:
        return tree
    parent = _parent(file, node.value["extends"], problems, (*chain, file.resolve()))
    if parent is None:
        return tree
    inherited = {key: value for key, value in parent.value.items() if key != "name"}
    return _overlay(Node(inherited, parent.origin, parent.keys), tree)


def _parent(
    file: Path, named: Node, problems: list[Problem], chain: tuple[Path, ...]
) -> Node | None:
    def wrong(message: str) -> None:
        problems.append(Problem(named.origin, "extends", message))

    if not isinstance(named.value, str):
        wrong(f"should be the path of another recipe, got {flow(named.plain)}")
        return None
    path = Path(os.path.normpath(file.parent / named.value))
    if path.resolve() in chain:
        there = [*chain[chain.index(path.resolve()) :], path.resolve()]
        wrong(f"goes in a circle: {' -> '.join(p.name for p in there)}")
    elif not path.is_file():
        near = get_close_matches(path.name, [p.name for p in path.parent.glob("*.y*ml")], 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        wrong(f"there is no file {path} (paths are relative to this recipe){meant}")
    else:
        return read(path, problems, chain)
    return None


def merge(old: Node, new: Node) -> Node:
    """``new`` over ``old``: mappings merge, a stage of another name and all else replace."""
    if isinstance(old.value, dict) and isinstance(new.value, str):
        new = _named(new)
    if isinstance(new.value, dict) and isinstance(old.value, str):
        old = _named(old)
    if not (isinstance(old.value, dict) and isinstance(new.value, dict)):
        return new
    names = [node.value["name"].plain for node in (old, new) if "name" in node.value]
    return new if len(names) == 2 and names[0] != names[1] else _overlay(old, new)


def _overlay(old: Node, new: Node) -> Node:
    both = {k: merge(old.value[k], v) if k in old.value else v for k, v in new.value.items()}
    return Node({**old.value, **both}, new.origin, {**old.keys, **new.keys})


def _named(node: Node) -> Node:
    """``bilinear`` is ``{name: bilinear}``."""
    return Node({"name": node}, node.origin)


def override(tree: Node, text: str, problems: list[Problem]) -> tuple[Node, list[str]]:
    """Apply one ``--set a.b=value``; also returns the path, empty where it is wrong."""
    at = Origin(f"--set {text}")
    path, equals, value = text.partition("=")
    steps = path.strip().split(".")
    if not equals or not all(steps):
        problems.append(Problem(at, "", "should be like backbone.upsampler=nearest"))
        return tree, []
    known = len(problems)
    node = parse(value, "", problems, at=at)
    made = _assign(tree, steps, node, at, problems) if node else tree
    return (made, steps) if len(problems) == known else (tree, [])


def _assign(
    node: Node | None,
    steps: list[str],
    value: Node,
    at: Origin,
    problems: list[Problem],
    done: str = "",
) -> Node:
    if not steps:
        return merge(node, value) if node else value
    head, *rest = steps
    path = f"{done}.{head}" if done else head
    if node is None or node.value is None:
        node = Node({}, at)
    if isinstance(node.value, str):
        node = Node(_named(node).value, at)
    if isinstance(node.value, list):
        index = _index(node.value, head)
        if index is None:
            there = ", ".join(filter(None, map(_name, node.value))) or "nothing that has a name"
            problems.append(Problem(at, path, f"the list holds {there}; not {head!r} just once"))
            return node
        items = list(node.value)
        items[index] = _assign(items[index], rest, value, at, problems, path)
        return Node(items, node.origin)
    if not isinstance(node.value, dict):
        problems.append(Problem(at, path, f"{done} is {flow(node.value)} and has no keys"))
        return node
    child = _assign(node.value.get(head), rest, value, at, problems, path)
    return Node({**node.value, head: child}, node.origin, {head: at, **node.keys})


def _name(node: Node) -> str | None:
    name = node.value.get("name", node).value if isinstance(node.value, dict) else node.value
    return name if isinstance(name, str) else None


def _index(items: list[Node], step: str) -> int | None:
    """The place of an item that is reached by its name or number."""
    if step.isdecimal():
        return int(step) if int(step) < len(items) else None
    found = [i for i, item in enumerate(items) if _name(item) == step]
    return found[0] if len(found) == 1 else None
