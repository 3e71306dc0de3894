"""A stage's options as its source declares them, without running it.

Importing a stage may import torch, which takes seconds. A recipe that only names things wrongly is
told so at once: a stand-in made here knows the stage's options well enough to go on checking names.
"""

from __future__ import annotations

import ast
import sys
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..plugin.stage import stage

if TYPE_CHECKING:
    from ..plugin.registry import Entry


def sketch(entry: Entry) -> type | None:
    """The class itself where it is imported already, else a stand-in; None where none can be made.

    A stand-in has the options with those types that can be known from modules already imported;
    other types accept anything, and defaults are None.
    """
    if isinstance(entry.target, type) or entry.target.partition(":")[0] in sys.modules:
        return entry.load()
    module, _, name = entry.target.partition(":")
    try:
        spec = util.find_spec(module)
        tree = ast.parse(Path(str(spec and spec.origin)).read_text("utf-8"))
        declared = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
        return _stand_in(declared, _known(tree, module))
    except Exception:  # then the stage is imported and says itself what is wrong
        return None


def _known(tree: ast.Module, module: str) -> dict[str, Any]:
    """The names that annotations may use: imports of loaded modules, and aliases of types."""
    known: dict[str, Any] = {"__name__": module, "__package__": module.rpartition(".")[0]}
    for node in tree.body:
        loaded = isinstance(node, ast.ImportFrom) and _is_loaded(node, known)
        if loaded or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)):
            _evaluate(ast.Module([node], []), "exec", known)
    return known


def _is_loaded(node: ast.ImportFrom, known: dict[str, Any]) -> bool:
    """Whether it would import nothing: ``from . import x`` may stand for a module too."""
    module = sys.modules.get(_source(node, known))
    return module is not None and all(hasattr(module, alias.name) for alias in node.names)


def _source(node: ast.ImportFrom, known: dict[str, Any]) -> str:
    return util.resolve_name("." * node.level + (node.module or ""), known["__package__"])


def _stand_in(declared: ast.ClassDef, known: dict[str, Any]) -> type:
    hints: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for node in declared.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            hint = _evaluate(ast.Expression(node.annotation), "eval", known)
            hints[node.target.id] = Any if hint is None else hint
            if node.value is not None:
                defaults[node.target.id] = Field(default=None, validate_default=False)
    body = {"__annotations__": hints, "__module__": __name__, **defaults}
    return stage(type(declared.name, (), body))


def _evaluate(node: ast.Module | ast.Expression, mode: str, known: dict[str, Any]) -> Any:
    """None for what needs a module that is not imported."""
    try:
        return eval(compile(ast.fix_missing_locations(node), "<options>", mode), known)
    except Exception:
        return None
