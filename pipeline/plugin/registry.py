"""Which stages are installed: finds plugins, looks stages up, and writes stages as plain data."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata, util
from pathlib import Path
from types import ModuleType

import pluggy

from ..errors import InputError, Interrupted
from . import hookspecs
from .identity import code_identity
from .nearest import did_you_mean
from .options import is_stage_class, options
from .plain import plain_options

GROUP = "pipeline"
"""The entry-point group of plugin packages."""
SLOW = 0.5
"""Seconds from which the import of a package is told: torch takes two to four."""

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
    """A stage that a plugin registered under a name."""

    kind: str
    name: str
    target: type | str
    """The class or ``"module:Class"``."""
    provider: Provider

    def load(self) -> type:
        """The class, imported now. Raises InputError that names the package."""
        said = f"{self.kind} {self.name!r} of {self.provider}"
        try:
            cls = _resolve(self.target)
        except BaseException as error:  # a plugin's module may fail in any way
            _let_stop(error)
            raise InputError(f"{said} cannot be imported: {_reason(error)}") from error
        if not is_stage_class(cls):
            raise InputError(f"{said} is no stage: {self.target} is not a class made by @stage")
        return cls

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
    files: list[Path] = field(default_factory=list)
    """Plugin files, absolute: another process can load them too."""
    slow: dict[Provider, float] = field(default_factory=dict)
    """Packages that every command waits for, with the seconds that importing them took."""

    @classmethod
    def load(cls, plugin_files: Sequence[Path] = ()) -> Registry:
        """All installed plugin packages and these files. Raises InputError for a useless file."""
        registry = cls()
        for point in metadata.entry_points(group=GROUP):
            known = (point.dist.name, point.dist.version) if point.dist else (None, None)
            provider, begun = Provider(point.value, *known), time.monotonic()
            try:
                registry.add(point.load(), provider)
            except BaseException as error:  # one broken package must not break the command
                _let_stop(error)
                registry.broken.append(Broken(provider, _reason(error)))
            if (seconds := time.monotonic() - begun) > SLOW:
                registry.slow[provider] = seconds
        for file in plugin_files:
            registry.add_file(Path(file))
        return registry

    def add(self, plugin: ModuleType, provider: Provider) -> int:
        """Register what a plugin's hooks return, and return how many stages these are.

        Raises ValueError for a wrong hook, and whatever a hook raises.
        """
        entries = _entries(plugin, provider)
        self.found += entries
        return len(entries)

    def add_file(self, file: Path) -> None:
        """Register a plugin in one file. Raises InputError that names the file."""
        self.files.append(file.expanduser().absolute())
        try:
            count = self.add(load_file(file), Provider(str(file)))
        except FileNotFoundError as error:
            raise InputError(f"plugin {file}: no such file") from error
        except BaseException as error:
            _let_stop(error)
            raise InputError(f"plugin {file}: {_reason(error)}") from error
        if not count:
            hooks = ", ".join(KINDS.values())
            raise InputError(f"plugin {file}: registers nothing; write one of {hooks} (@hookimpl)")

    def kinds(self) -> list[str]:
        """All kinds of stages."""
        return list(KINDS)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """The stages of a kind (or all) by name; those that two packages provide, twice."""
        kinds = list(KINDS)
        entries = [e for e in self.found if kind in (None, e.kind)]
        return sorted(entries, key=lambda e: (kinds.index(e.kind), e.name, str(e.provider)))

    def find(self, kind: str, name: str) -> Entry:
        """The stage of this name. Raises InputError with what there is instead."""
        if kind not in KINDS:
            raise InputError(f"there is no kind of stage {kind!r}{_instead(kind, KINDS)}")
        entries = self.entries(kind)
        named = [e for e in entries if e.name == name]
        if len(named) > 1:
            packages = " and by ".join(str(e.provider) for e in named)
            raise InputError(f"{kind} {name!r} is ambiguous: provided by {packages}; remove one")
        if not named:
            instead = _instead(name, [e.name for e in entries])
            failed = [f"; {b.provider} failed to load: {b.reason}" for b in self.broken]
            raise InputError(f"no {kind} is called {name!r}{instead}{''.join(failed)}")
        return named[0]

    def entry_of(self, cls: type, kind: str | None = None) -> Entry | None:
        """The entry of a class, which may be of several kinds; None where it is not registered."""
        return next((e for e in self.entries(kind) if e.is_for(cls)), None)

    def name_of(self, stage: object, kind: str | None = None) -> str:
        """The name that a stage is registered under; ``module:Class`` where it is not."""
        entry = self.entry_of(type(stage), kind)
        return entry.name if entry else ":".join(_home(type(stage)))

    def spec(self, stage: object, kind: str | None = None) -> dict[str, object]:
        """``{"name": …, **options}`` of a stage: the plain data that it can be built from."""
        return {"name": self.name_of(stage, kind), **self.plain(stage)}

    def brief(self, stage: object, kind: str | None = None) -> str | dict[str, object]:
        """As ``spec``, without options at their defaults; the bare name where no other is left."""
        known, spec = options(type(stage)), self.spec(stage, kind)
        changed = {
            name: value
            for name, value in spec.items()
            if name in known and getattr(stage, known[name].field) != known[name].default
        }
        return {"name": spec["name"], **changed} if changed else str(spec["name"])

    def plain(self, owner: object) -> dict[str, object]:
        """The options of a stage, or of a group of options, as plain data."""
        return plain_options(owner, self.spec, io_only=True)

    def describe(self, stage: object, kind: str | None = None) -> dict[str, object]:
        """What a stage does, for content keys: its spec without places, and its code's identity."""
        entry = self.entry_of(type(stage), kind)
        return {
            "name": self.name_of(stage, kind),
            **plain_options(stage, self.describe, io_only=False),
            "code": code_identity(type(stage), entry.provider.distribution if entry else None),
        }


def _instead(name: str, possible: Sequence[str] | Mapping[str, object]) -> str:
    """The end of a message about a name that does not exist: what was meant, what there is."""
    meant = did_you_mean(name, possible) or "."
    return f"{meant} There are: {', '.join(sorted(set(possible))) or 'none'}"


def _entries(plugin: ModuleType, provider: Provider) -> list[Entry]:
    """What one plugin registers. It has its own manager, so that it cannot disturb the others."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    for name in dir(plugin):
        if manager.parse_hookimpl_opts(plugin, name) and name not in KINDS.values():
            raise ValueError(f"there is no hook {name}{did_you_mean(name, KINDS.values(), str)}")
    manager.register(plugin, name=str(provider))
    return [
        Entry(kind, name, target, provider)
        for kind, hook in KINDS.items()
        for result in getattr(manager.hook, hook)()
        for name, target in _checked(hook, result).items()
    ]


def _checked(hook: str, result: object) -> Mapping[str, type | str]:
    """A hook's result. Raises ValueError unless names are mapped to classes."""
    if not isinstance(result, Mapping):
        raise ValueError(f"{hook} returned {result!r} instead of a mapping of names to classes")
    for name, target in result.items():
        named = isinstance(target, str) and re.fullmatch(r"[\w.]+:\w+", target)
        if not isinstance(name, str) or not (named or inspect.isclass(target)):
            raise ValueError(f"{hook}: {name!r} is {target!r}, not a class or 'module:Class'")
    return result


def _resolve(target: type | str) -> object:
    """The class of an entry, imported where only its place is known."""
    if isinstance(target, type):
        return target
    module, _, name = target.partition(":")
    cls: object = getattr(import_module(module), name)
    return cls


def load_file(file: Path) -> ModuleType:
    """Run a file as a module whose name depends on the file only, so that pickling finds it."""
    file = file.expanduser()
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
    """The module and name of a class, which stay when its file is loaded again."""
    return cls.__module__, cls.__qualname__


def _let_stop(error: BaseException) -> None:
    """Raise again what is the user's wish and no fault of a plugin's: Ctrl-C or SIGTERM."""
    if type(error) is KeyboardInterrupt or isinstance(error, Interrupted):
        raise error


def _reason(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    told = isinstance(error, (ValueError, InputError))
    return text if told else f"{type(error).__name__}: {text}"
