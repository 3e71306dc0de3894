"""Mutants of the built-in stages: one small bug each; does the conformance kit catch it?

    python -m tests.mutants --kinds sampler schedule --jobs 2 --out mutants.jsonl
    python -m tests.mutants --table mutants.jsonl

A mutant is a copy of a plugin package in which one place of one file is changed, and the stages
that read that file. It is *caught* when a check of its kind fails, is *the same* when all that
``behaviour`` of its kind shows is the same within rounding, and *passes* otherwise.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import json
import multiprocessing
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KINDS = {
    "augmentation": "pipeline_augmentations",
    "backbone": "pipeline_backbones",
    "guidance": "pipeline_guidances",
    "codec": "pipeline_codecs",
    "lr_schedule": "pipeline_lr_schedules",
    "metric": "pipeline_metrics",
    "objective": "pipeline_objectives",
    "optimizer": "pipeline_optimizers",
    "preprocessor": "pipeline_preprocessors",
    "sampler": "pipeline_samplers",
    "schedule": "pipeline_schedules",
    "spacing": "pipeline_spacings",
    "upsampler": "pipeline_upsamplers",
}
"""Kinds whose stages are computed; those that read files have tests of their own."""


@dataclass(frozen=True)
class Mutant:
    """One place of one file, and how it is changed."""

    kind: str
    file: str
    line: int
    operator: str
    change: str
    source: str
    """The whole mutated module."""


SWAPS: dict[type[ast.operator], list[type[ast.operator]]] = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Mult],
    ast.Pow: [ast.Mult],
}
COMPARISONS: dict[type[ast.cmpop], list[type[ast.cmpop]]] = {
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt],
    ast.Eq: [ast.NotEq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
}
RENAMED = {
    "mean": "sum", "sum": "mean", "min": "max", "max": "min", "amax": "amin", "amin": "amax",
    "cos": "sin", "sin": "cos", "square": "abs", "abs": "square", "log": "log1p", "sqrt": "square",
    "exp": "expm1", "expm1": "exp", "ceil": "floor", "floor": "ceil", "signal": "noise",
    "noise": "signal", "x0": "eps", "eps": "x0", "normal": "uniform", "std": "var", "var": "std",
}  # fmt: skip
"""Methods, functions and fields that are taken for one another."""
DROPPED = {
    "detach",
    "clamp",
    "clip",
    "round",
    "square",
    "sqrt",
    "abs",
    "log",
    "clone",
    "flip",
    "over",
}
"""Methods without which an expression still has a value."""


def mutants_of(kind: str, file: Path) -> Iterator[Mutant]:
    """Every mutant of one module, in the order of its lines."""
    tree = ast.parse(file.read_text())
    for number, node in enumerate(_expressions(tree)):
        for operator, change in _changes(node):
            mutated = copy.deepcopy(tree)
            at = list(_expressions(mutated))[number]
            change(at)
            ast.fix_missing_locations(mutated)
            before, after = ast.unparse(node), ast.unparse(at)
            if before != after:
                told = f"{before} -> {after}"
                line = getattr(node, "lineno", 0)
                yield Mutant(kind, file.name, line, operator, told, ast.unparse(mutated))


def _expressions(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes within functions, but for docstrings, messages, annotations and decorators."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for statement in node.body:
                yield from _within(statement)


def _within(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert, ast.FunctionDef, ast.ClassDef)):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name == "annotation":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _within(child)


Change = Callable[[Any], None]


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:  # noqa: C901
    """The changes that can be made at a node: (operator's name, what to do to the node)."""
    match node:
        case ast.Constant(value=bool()):
            yield "bool", lambda n: setattr(n, "value", not n.value)
        case ast.Constant(value=int()):
            yield "off by one", lambda n: setattr(n, "value", n.value + 1)
            yield "off by one", lambda n: setattr(n, "value", n.value - 1)
        case ast.Constant(value=float()):
            yield (
                "coefficient",
                lambda n: setattr(n, "value", n.value * 1.05 + (n.value == 0) * 0.05),
            )
            yield "coefficient", lambda n: setattr(n, "value", n.value * 0.95)
        case ast.BinOp(op=op):
            for other in SWAPS.get(type(op), []):
                yield "operator", lambda n, other=other: setattr(n, "op", other())
            if isinstance(op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
                yield "dropped term", lambda n: _become(n, n.left)
                yield "dropped term", lambda n: _become(n, n.right)
            if isinstance(op, (ast.Mult, ast.Add, ast.Sub)):
                yield "coefficient", lambda n: setattr(n, "right", _times(n.right, 1.05))
                yield "coefficient", lambda n: setattr(n, "right", _times(n.right, 0.95))
        case ast.UnaryOp(op=ast.USub()):
            yield "sign", lambda n: _become(n, n.operand)
        case ast.UnaryOp(op=ast.Not()):
            yield "condition", lambda n: _become(n, n.operand)
        case ast.Compare(ops=[op]):
            for comparison in COMPARISONS.get(type(op), []):
                yield "comparison", lambda n, c=comparison: setattr(n, "ops", [c()])
        case ast.If() | ast.IfExp():
            yield "condition", lambda n: setattr(n, "test", ast.Constant(True))
            yield "condition", lambda n: setattr(n, "test", ast.Constant(False))
        case ast.Attribute(value=ast.Name(id="self"), attr=attr) if not attr.startswith("_"):
            yield "ignored option", lambda n: _become(n, _default_of(n.attr))
    if isinstance(node, ast.Attribute) and node.attr in RENAMED:
        yield "other function", lambda n: setattr(n, "attr", RENAMED[n.attr])
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if isinstance(node.func, ast.Attribute) and node.func.attr in DROPPED:
            yield "dropped call", lambda n: _become(n, n.func.value)
        if len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args):
            yield "swapped arguments", lambda n: n.args.insert(0, n.args.pop(1))
        if isinstance(node.func, ast.Name) and name in RENAMED:
            yield "other function", lambda n: setattr(n.func, "id", RENAMED[n.func.id])
    if isinstance(node, ast.Slice):
        if node.lower is not None:
            yield "off by one", lambda n: setattr(n, "lower", None)
        if node.upper is not None:
            yield "off by one", lambda n: setattr(n, "upper", None)


def _become(node: Any, other: ast.AST) -> None:
    """Turn a node into another one, in place."""
    node.__class__, fields = other.__class__, dict(other.__dict__)
    node.__dict__.clear()
    node.__dict__.update(fields)


def _times(node: ast.expr, factor: float) -> ast.expr:
    return ast.BinOp(node, ast.Mult(), ast.Constant(factor))


def _default_of(name: str) -> ast.expr:
    """``type(self)``'s default of an option: what a stage does that never reads it."""
    return ast.parse(f"type(self).__dataclass_fields__[{name!r}].default", mode="eval").body


def every_mutant(kinds: list[str]) -> list[Mutant]:
    """All of them, the same for the same code."""
    return [
        mutant
        for kind in kinds
        for file in sorted((ROOT / "plugins" / KINDS[kind]).glob("*.py"))
        if file.name != "__init__.py"
        for mutant in mutants_of(kind, file)
    ]


# Trying ------------------------------------------------------------------------------------------


def try_mutant(mutant: Mutant) -> dict[str, Any]:
    """What the kit says of the stages that a mutated file is of: the first check that fails."""
    known = {k: v for k, v in asdict(mutant).items() if k != "source"}
    with tempfile.TemporaryDirectory() as folder:
        name = Path(folder).name.replace("-", "_").replace(".", "_")
        package = f"mutant_{name}"
        shutil.copytree(ROOT / "plugins" / KINDS[mutant.kind], Path(folder) / package)
        (Path(folder) / package / mutant.file).write_text(mutant.source)
        sys.path.insert(0, folder)
        try:
            return {**known, **_outcome(mutant, package)}
        finally:
            sys.path.remove(folder)
            for module in [m for m in sys.modules if m.split(".")[0] == package]:
                del sys.modules[module]


def _outcome(mutant: Mutant, package: str) -> dict[str, Any]:
    from pipeline.plugin.registry import Registry
    from pipeline.testing import core

    registry = Registry.load()
    same = True
    for entry in registry.entries(mutant.kind):
        module, _, cls_name = str(entry.target).partition(":")
        if not _reads(module, mutant.file):
            continue
        try:
            cls = getattr(
                importlib.import_module(module.replace(KINDS[mutant.kind], package)), cls_name
            )
            report = first_failure(core, mutant.kind, cls, registry)
            if report:
                return {"outcome": "caught", "stage": entry.name, "check": report}
            same = same and _same_as(mutant.kind, entry.load(), cls, registry)
        except BaseException as error:
            told = traceback.format_exception_only(error)[-1].strip()
            return {"outcome": "caught", "stage": entry.name, "check": told[:200]}
    return {"outcome": "same" if same else "passes"}


def _reads(module: str, file: str) -> bool:
    """Whether the stage's module is this file or imports it from its package."""
    package, _, own = module.partition(".")
    seen, todo = set(), [f"{own}.py"]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse((ROOT / "plugins" / package / name).read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
                todo.append(f"{node.module}.py")
    return file in seen


SKIPPED = {"is documented", "builds from defaults and examples", "rebuilds from its spec"}


def first_failure(core: Any, kind: str, cls: type, registry: Any) -> str:
    """The name of the first check that fails, the kind's own before the common ones; or ""."""
    from pipeline.testing import common
    from pipeline.testing.variants import context_of

    module = importlib.import_module(f"pipeline.testing.kinds.{kind}")
    context = context_of(kind, cls, registry, module.behaviour)
    if context.unbuildable:
        return "builds from defaults and examples"
    for check in module.CHECKS:
        if core._on_each(check, context).problem is not None:
            return str(core.words(check))
    for check in common.CHECKS:
        if core.words(check) not in SKIPPED and core._once(check, context).problem is not None:
            return str(core.words(check))
    return ""


def _same_as(kind: str, original: type, mutated: type, registry: Any) -> bool:
    """Whether both do the same in all option sets, as far as ``behaviour`` shows."""
    from pipeline.testing.same import same
    from pipeline.testing.variants import context_of

    behaviour = importlib.import_module(f"pipeline.testing.kinds.{kind}").behaviour
    both = [context_of(kind, cls, registry, behaviour).variants for cls in (original, mutated)]
    return all(same(behaviour(a.stage), behaviour(b.stage), 4) for a, b in zip(*both, strict=True))


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--every", type=int, default=1, help="try every n-th mutant")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--only-passing", type=Path, help="try again those that passed before")
    parser.add_argument("--table", type=Path, help="print the table of these results, and end")
    parser.add_argument("--count", action="store_true", help="say how many there are, and end")
    asked = parser.parse_args()
    if asked.table:
        print(table([json.loads(line) for line in asked.table.read_text().splitlines()]))
        return
    todo = every_mutant(asked.kinds)[:: asked.every]
    if asked.only_passing:
        before = [json.loads(line) for line in asked.only_passing.read_text().splitlines()]
        passed = {tuple(r[k] for k in IDENTITY) for r in before if r["outcome"] != "caught"}
        todo = [m for m in todo if tuple(getattr(m, k) for k in IDENTITY) in passed]
    if asked.count:
        print(len(todo), Counter(m.kind for m in todo))
        return
    import torch

    torch.set_num_threads(1)
    with (
        asked.out.open("w") as file,
        multiprocessing.get_context("spawn").Pool(
            asked.jobs, _one_thread, maxtasksperchild=50
        ) as pool,
    ):
        for result in pool.imap_unordered(try_mutant, todo):
            print(json.dumps(result), file=file, flush=True)
    print(table([json.loads(line) for line in asked.out.read_text().splitlines()]))


IDENTITY = ("kind", "file", "line", "operator", "change")


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def table(results: list[dict[str, Any]]) -> str:
    """By kind: how many were tried, caught, the same, and pass; then those that pass."""
    lines = ["| kind | tried | the same | caught | pass | share caught |", "| --- " * 6 + "|"]
    kinds = sorted({r["kind"] for r in results})
    for kind in [*kinds, "all"]:
        own = Counter(r["outcome"] for r in results if kind in (r["kind"], "all"))
        changed = own["caught"] + own["passes"]
        share = f"{own['caught'] / changed:.0%}" if changed else "-"
        total = sum(own.values())
        lines.append(
            f"| {kind} | {total} | {own['same']} | {own['caught']} | {own['passes']} | {share} |"
        )
    for r in sorted(results, key=lambda r: (r["kind"], r["file"], r["line"])):
        if r["outcome"] != "caught":
            lines.append(
                f"{r['outcome']}: {r['kind']} {r['file']}:{r['line']} "
                f"{r['operator']}: {r['change']}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
