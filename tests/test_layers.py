"""The order of the floors: a module imports only what is below it, and nothing in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.helpers.paths import ROOT

FLOORS = """errors, system, records, format, streams, progress, ranks, machine, plugin, recipe,
store, diffusion, diagnosis, training, testing, artifacts, report, runs, compare, commands, cli,
__main__"""
FLOOR = {name: number for number, name in enumerate(FLOORS.replace("\n", " ").split(", "))}


def modules() -> dict[str, Path]:
    """Every module of the engine by its dotted name, without ``pipeline``; packages too."""
    files = (ROOT / "pipeline").rglob("*.py")
    names = {file: file.relative_to(ROOT).with_suffix("").parts[1:] for file in files}
    return {".".join(name).removesuffix(".__init__"): file for file, name in names.items()}


def imports(name: str, file: Path, known: dict[str, Path]) -> Iterator[str]:
    """What a module imports of the engine, anywhere in it and for types alone too."""
    package = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            start = [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
            inner = [".".join([*start, alias.name]) for alias in node.names]
            yield from (one if one in known else ".".join(start) for one in inner)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            absolute = [getattr(node, "module", "")] + [alias.name for alias in node.names]
            assert not any(one.split(".")[0] == "pipeline" for one in absolute), f"{file}: relative"


def test_no_import_runs_up_the_floors() -> None:
    known = modules()
    assert {name.split(".")[0] for name in known} - {"__init__"} == FLOOR.keys()
    for name, file in known.items():
        if name != "__init__":  # the plugin author's face: it only gathers
            for other in imports(name, file, known):
                own, under = name.split(".")[0], other.split(".")[0]
                assert own == under or FLOOR[own] > FLOOR[under], f"{name} imports {other}"


def test_no_module_imports_in_a_circle() -> None:
    known = modules()
    graph = {name: {*imports(name, file, known)} - {name} for name, file in known.items()}
    assert sum(map(len, graph.values())) > 200
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError
