"""Scores follow the pictures: what ``evaluate`` leaves out of drawing is as ``sample`` has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .merge import merge
from .tree import Node, Origin, Problem

DRAWING = ("sampler", "num_steps", "spacing", "guidance", "guidance_scale", "precision")
"""The keys of ``evaluate`` that are those of ``sample`` unless they are given."""

_AS = "as sample."


def following(tree: Node) -> Node:
    """The tree of a recipe in which ``evaluate`` says how its images are drawn."""
    sample, scores = tree.mapping.get("sample"), tree.mapping.get("evaluate")
    if sample is None or scores is None or not isinstance(scores.value, dict):
        return tree
    taken = {
        key: _placed(sample.mapping[key], Origin(f"{_AS}{key}"))
        for key in DRAWING
        if key in sample.mapping and _is_open(scores.mapping.get(key))
    }
    both = {k: merge(taken[k], v) if k in taken else v for k, v in scores.mapping.items()}
    evaluate = Node({**taken, **both}, scores.origin, scores.keys)
    return Node({**tree.mapping, "evaluate": evaluate}, tree.origin, tree.keys)


def _is_open(given: Node | None) -> bool:
    """Whether nothing is given, or options without the name of the stage that has them."""
    return given is None or (isinstance(given.value, dict) and "name" not in given.mapping)


def own(problems: Sequence[Problem]) -> list[Problem]:
    """The problems but for those of values that were taken over: ``sample`` has them already."""
    return [problem for problem in problems if not problem.origin.source.startswith(_AS)]


def _placed(node: Node, origin: Origin) -> Node:
    """The node with another origin, and all that is in it."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _placed(inner, origin) for key, inner in node.mapping.items()}
    elif isinstance(value, list):
        value = [_placed(inner, origin) for inner in node.items]
    return replace(node, value=value, origin=origin, keys={})
