"""Which stages are installed: finds plugins, looks stages up by kind and name, builds them."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from difflib import get_close_matches
from importlib import import_module, metadata, util
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any

import pluggy

from ..errors import InputError
from . import hookspecs

GROUP = "pipeline"
"""The entry-point group of plugin packages."""

HOOKS = {
    hook.removeprefix("register_"): hook for hook in vars(hookspecs) if hook.startswith("register_")
}
KINDS = {(p if p == "features" else p.removesuffix("s")): h for p, h in HOOKS.items()}
"""Kind of stage -> the hook that registers it."""


@dataclass(frozen=True)
class Provider:
    """A plugin package or file."""

    package: str
    distribution: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        known = self.distribution and f"{self.distribution} {self.version}"
        return f"{self.package} ({known})" if known else self.package


@dataclass(frozen=True)
class Entry:
    """A stage that can be named in a recipe."""

    kind: str
    name: str
    target: type | str
    """The class or ``"module:Class"``."""
    provider: Provider

    def load(self) -> type:
        """The class, imported now. Raises InputError that names the package."""
        from .options import is_stage_class

        said = f"{self.kind} {self.name!r} of {self.provider}"
        try:
            found = _resolve(self.target)
        except Exception as error:  # a plugin's module may fail in any way
            raise InputError(f"{said} cannot be imported: {_reason(error)}") from error
        if not is_stage_class(found):
            raise InputError(f"{said} is no stage: {self.target} is not a class made by @stage")
        return found

    def is_for(self, cls: type) -> bool:
        """Whether it names this class; imports nothing."""
        if isinstance(self.target, type):
            # A plugin file that was loaded twice made its classes twice.
            return (self.target.__module__, self.target.__qualname__) == _home(cls)
        module, _, name = self.target.partition(":")
        return getattr(sys.modules.get(module), name, None) is cls


@dataclass(frozen=True)
class Broken:
    """A package that could not be used."""

    provider: Provider
    reason: str


@dataclass
class Registry:
    """The stages of all plugins that could be loaded, and why the others could not."""

    found: list[Entry] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    @classmethod
    def load(cls, plugin_files: Sequence[Path] = ()) -> Registry:
        """All installed plugin packages and these files. Raises InputError for a useless file."""
        registry = cls()
        for point in metadata.entry_points(group=GROUP):
            known = (point.dist.name, point.dist.version) if point.dist else (None, None)
            provider = Provider(point.value, *known)
            try:
                registry.add(point.load(), provider)
            except (
                Exception,
                SystemExit,
            ) as error:  # one broken package must not break the command
                registry.broken.append(Broken(provider, _reason(error)))
        for file in plugin_files:
            registry.add_file(Path(file))
        return registry

    def add(self, plugin: ModuleType, provider: Provider) -> int:
        """Register what a plugin's hooks return; how much it was. Raises where a hook is wrong."""
        entries = _entries(plugin, provider)
        self.found += entries
        return len(entries)

    def add_file(self, file: Path) -> None:
        """A plugin in one file. Raises InputError naming it."""
        try:
            count = self.add(load_file(file), Provider(str(file)))
        except FileNotFoundError as error:
            raise InputError(f"plugin {file}: no such file") from error
        except Exception as error:
            raise InputError(f"plugin {file}: {_reason(error)}") from error
        if not count:
            hooks = ", ".join(KINDS.values())
            raise InputError(f"plugin {file}: registers nothing; write one of {hooks} (@hookimpl)")

    def kinds(self) -> list[str]:
        """All kinds of stages."""
        return list(KINDS)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """The stages of a kind (or all) by name; those that two packages provide, twice."""
        found = [e for e in self.found if kind in (None, e.kind)]
        order = list(KINDS)
        return sorted(found, key=lambda e: (order.index(e.kind), e.name, str(e.provider)))

    def find(self, kind: str, name: str) -> Entry:
        """The stage of this name. Raises InputError with what there is instead."""
        if kind not in KINDS:
            raise InputError(f"there is no kind of stage {kind!r}{self._near(kind, KINDS)}")
        entries = self.entries(kind)
        found = [e for e in entries if e.name == name]
        if len(found) > 1:
            packages = " and by ".join(str(e.provider) for e in found)
            raise InputError(f"{kind} {name!r} is ambiguous: provided by {packages}; remove one")
        if not found:
            message = f"no {kind} is called {name!r}" + self._near(name, [e.name for e in entries])
            failed = [f"; {b.provider} failed to load: {b.reason}" for b in self.broken]
            raise InputError(message + "".join(failed))
        return found[0]

    def entry_of(self, cls: type, kind: str | None = None) -> Entry | None:
        """Where a class is registered, if it is; one class may be of several kinds."""
        return next((e for e in self.entries(kind) if e.is_for(cls)), None)

    def name_of(self, stage: Any, kind: str | None = None) -> str:
        """The name it is registered under; ``module:Class`` where it is not."""
        entry = self.entry_of(type(stage), kind)
        return entry.name if entry else ":".join(_home(type(stage)))

    def spec(self, stage: Any, kind: str | None = None) -> dict[str, Any]:
        """``{"name": …, **options}`` of a stage, as plain data that ``build`` takes."""
        return {"name": self.name_of(stage, kind), **self.plain(stage)}

    def plain(self, made: Any) -> dict[str, Any]:
        """The options of a stage or of a section of the recipe, as plain data."""
        return self._options(made, self.spec, io_only=True)

    def describe(self, stage: Any, kind: str | None = None) -> dict[str, Any]:
        """What a stage does, for content keys: its spec without places, and its code's identity."""
        from .identity import code_identity

        entry = self.entry_of(type(stage), kind)
        code = code_identity(type(stage), entry.provider.distribution if entry else None)
        return {
            "name": self.name_of(stage, kind),
            **self._options(stage, self.describe, io_only=False),
            "code": code,
        }

    def _options(self, made: Any, nested: Any, *, io_only: bool) -> dict[str, Any]:
        from .every import Every
        from .options import options

        def plain(value: Any, kind: str | None) -> Any:
            if isinstance(value, (list, tuple)):
                return [plain(v, kind) for v in value]
            if isinstance(value, Mapping):
                return {str(k): plain(v, kind) for k, v in value.items()}
            if value is None or isinstance(value, (bool, int, float, str)):
                return value
            if kind:
                return nested(value, kind)
            if isinstance(value, (set, frozenset)):
                return sorted(plain(v, kind) for v in value)
            if is_dataclass(value) and hasattr(value, "__pydantic_fields__"):
                return self._options(value, nested, io_only=io_only)
            if isinstance(value, (PurePath, Every)):
                return str(value)
            # The text of other objects may hold an address, and be another one in each process.
            raise TypeError(f"an option of {type(made).__name__} is {value!r}: not plain data")

        return {
            name: plain(getattr(made, option.field), option.kind)
            for name, option in options(type(made)).items()
            if io_only or not option.io_only
        }

    def _near(self, name: str, possible: Sequence[str] | Mapping[str, Any]) -> str:
        near = get_close_matches(name, possible, 1)
        meant = f"; did you mean {near[0]!r}?" if near else "."
        return f"{meant} There are: {', '.join(sorted(set(possible))) or 'none'}"


def _entries(plugin: Any, provider: Provider) -> list[Entry]:
    """What one plugin registers. Its own manager: it cannot disturb the others."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    for name in dir(plugin):
        if manager.parse_hookimpl_opts(plugin, name) and name not in KINDS.values():
            near = get_close_matches(name, KINDS.values(), 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"there is no hook {name}{meant}")
    manager.register(plugin, name=str(provider))
    return [
        Entry(kind, name, target, provider)
        for kind, hook in KINDS.items()
        for result in getattr(manager.hook, hook)()
        for name, target in _checked(hook, result).items()
    ]


def _checked(hook: str, result: Any) -> Mapping[str, type | str]:
    """A hook's result. Raises ValueError unless names are mapped to classes."""
    if not isinstance(result, Mapping):
        raise ValueError(f"{hook} returned {result!r} instead of a mapping of names to classes")
    for name, target in result.items():
        told = isinstance(target, str) and re.fullmatch(r"[\w.]+:\w+", target)
        if not isinstance(name, str) or not (told or inspect.isclass(target)):
            raise ValueError(f"{hook}: {name!r} is {target!r}, not a class or 'module:Class'")
    return result


def _resolve(target: type | str) -> Any:
    if isinstance(target, type):
        return target
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def load_file(file: Path) -> ModuleType:
    """Run a file as a module whose name depends on the file only, so that pickling finds it."""
    if not file.is_file():
        raise FileNotFoundError(file)
    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
    name = f"pipeline_file_{digest}_{file.stem}"
    spec = util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError("not a Python file (*.py)")
    module = sys.modules[name] = util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _home(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _reason(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return (
        text if isinstance(error, (ValueError, InputError)) else f"{type(error).__name__}: {text}"
    )
