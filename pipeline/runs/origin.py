"""From what a run comes, kept so that others can make it again: plugin files, versions, git."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from importlib.metadata import version
from pathlib import Path

from ..errors import InputError
from ..machine import versions
from ..plugin.registry import Registry
from ..recipe.schema import Recipe
from ..records import GitRecord
from ..store.fingerprints import sha256_of
from ..store.folders import make_folder, replacing

COPIES = "plugins"
"""The folder of a run with copies of the plugin files that it was made with."""

SECONDS = 10
"""How long git may take; of a folder that takes it longer nothing is noted."""


def keep_plugins(files: Sequence[Path], run: Path) -> dict[str, str]:
    """Copy plugin files into a run's folder. Returns SHA-256 by path in it, in their order.

    Files of one name from several folders get numbers.
    """
    kept: dict[str, str] = {}
    for file in files:
        number = 1
        name = f"{COPIES}/{file.name}"
        while name in kept:
            number += 1
            name = f"{COPIES}/{file.stem}-{number}{file.suffix}"
        make_folder(run / COPIES)
        if not (run / name).is_file() or sha256_of(run / name) != sha256_of(file):
            with replacing(run / name) as partial:
                shutil.copyfile(file, partial)
        kept[name] = sha256_of(run / name)
    return kept


@contextmanager
def naming_copies(recipe: str | Path, plugins: Sequence[Path]) -> Iterator[None]:
    """Say with an error which copies of plugin files lie beside the recipe and are not given."""
    try:
        yield
    except InputError as error:
        copies = sorted((Path(recipe).expanduser().parent / COPIES).glob("*.py"))
        given = {sha256_of(file.expanduser()) for file in plugins}
        missing = [copy for copy in copies if sha256_of(copy) not in given]
        if not missing:
            raise
        again = " ".join(f"--plugin {copy}" for copy in missing)
        message = f"{error}\nThis run was made with plugin files, and copies lie beside its recipe"
        raise InputError(f"{message}. They are code: read them, then give {again}") from error


def all_versions(recipe: Recipe, registry: Registry) -> dict[str, str]:
    """Versions of numpy, torch and of each distribution that a stage of the recipe comes from."""
    names = {"numpy", "torchvision", *_distributions(recipe, registry)}
    return versions() | {name: version(name) for name in sorted(names)}


def _distributions(value: object, registry: Registry) -> Iterator[str]:
    """The distributions of all stages in a recipe or in a part of it."""
    if is_dataclass(value):
        entry = registry.entry_of(type(value))
        if entry and entry.provider.distribution:
            yield entry.provider.distribution
        value = vars(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _distributions(inner, registry)


def git_state(folder: Path) -> GitRecord | None:
    """The commit of the folder's repository and which of its files are changed since.

    None where git or a repository is not there. Files that git does not know are not looked at.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "diff", "--name-only", "--no-ext-diff", "--no-textconv", "-z", "HEAD")
    if commit is None or changed is None:
        return None
    return {"commit": commit.strip(), "changed": [name for name in changed.split("\0") if name]}


def _git(folder: Path, *words: str) -> str | None:
    """What git says; None where it fails. A repository's own settings start no program."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")
