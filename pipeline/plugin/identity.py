"""The identity of a stage's code, which changes when, and only when, its results may change."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution as installed
from pathlib import Path

ENGINE = __name__.partition(".")[0]
"""The top-level package that plugins import from."""


def code_identity(cls: type, distribution: str | None) -> dict[str, str | None]:
    """Distribution, version and, where these do not settle it, the source of a stage's class.

    ``distribution`` is the one whose entry point registered ``cls``; None for a plugin file.
    A version settles the code of a package from an index. It does not for an editable install, a
    folder, an archive or a repository: then ``source`` is a digest of the class's module and of
    those that it imports from its own top-level package, of their syntax alone: comments,
    docstrings and formatting do not count.

    The engine's modules are never followed, and the statements that import from it are left out: a
    stage sees only the contracts, and each change or move within the engine would retrain
    everything. Its version counts as that of the built-in stages, which are of its distribution and
    of which every recipe has some.
    """
    return dict(_identity(cls, distribution))


@cache  # the code of a class does not change while a process runs
def _identity(cls: type, distribution: str | None) -> dict[str, str | None]:
    if distribution is None:
        return {"distribution": None, "version": None, "source": _source(cls, follow=False)}
    provider = installed(distribution)
    identity: dict[str, str | None] = {"distribution": provider.name, "version": provider.version}
    # Tools write direct_url.json for whatever comes from elsewhere than an index (PEP 610).
    inside = _file(cls).is_relative_to(Path(str(provider.locate_file(""))).resolve())
    if not inside or provider.read_text("direct_url.json"):
        identity["source"] = _source(cls, follow=cls.__module__.partition(".")[0] != ENGINE)
    return identity


def _file(cls: type) -> Path:
    return Path(inspect.getfile(cls)).resolve()


def _source(cls: type, follow: bool) -> str:
    """SHA-256 of the syntax of the class's module.

    With ``follow`` the modules that it imports from its own top-level package count too.
    """
    main = _file(cls)
    depth = cls.__module__.count(".") + (main.stem == "__init__")
    base = main.parents[depth] if follow else main.parent
    texts: dict[Path, str] = {}
    todo = [main]
    while todo:
        path = todo.pop()
        if path not in texts:
            tree = ast.parse(path.read_bytes(), str(path))
            # Not ast.dump: its text differs between versions of Python.
            texts[path] = ast.unparse(_Reduced(own_package=follow).visit(tree))
            todo += _imported(tree, path, base) if follow else []
    parts = [texts.pop(main), *sorted((str(p.relative_to(base)), t) for p, t in texts.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class _Reduced(ast.NodeTransformer):
    """Drops what does not count: strings that stand alone, and imports from the engine.

    Strings that stand alone are the docstrings of modules, classes, functions and fields. Without
    an ``own_package`` relative imports are of the engine too.
    """

    def __init__(self, *, own_package: bool) -> None:
        self.own_package = own_package

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        lone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if lone else node

    def visit_Import(self, node: ast.Import) -> ast.Import | None:
        others = [alias for alias in node.names if alias.name.partition(".")[0] != ENGINE]
        return ast.Import(others) if others else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        if node.level:
            return node if self.own_package else None
        return None if (node.module or "").partition(".")[0] == ENGINE else node


def _imported(tree: ast.AST, path: Path, base: Path) -> Iterator[Path]:
    """The files of the same top-level package that a module imports, anywhere in it."""
    package = path.relative_to(base).parts[0]
    for node in ast.walk(tree):
        for target, names in _targets(node, path, base):
            if target.is_relative_to(base / package):
                # ``from x import y``: y is a module, or it stands in the package x itself.
                modules = [_module(target / name) for name in names]
                yield from filter(None, modules)
                if not all(modules) or not names:
                    yield from filter(None, [_module(target)])


def _targets(node: ast.AST, path: Path, base: Path) -> Iterator[tuple[Path, list[str]]]:
    """What an import statement names: a module without its suffix, and the names taken from it."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield base.joinpath(*alias.name.split(".")), []
    elif isinstance(node, ast.ImportFrom):
        start = path.parents[node.level - 1] if node.level else base
        inside = node.module.split(".") if node.module else []
        yield start.joinpath(*inside), [alias.name for alias in node.names]


def _module(path: Path) -> Path | None:
    files = (path.with_name(f"{path.name}.py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)
