"""A run's name, and the command that makes it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..system import fit

if TYPE_CHECKING:
    from ..recipe.load import Loaded


def trial_name(loaded: Loaded) -> str:
    """The recipe's name and what ``--set`` changed, variant and seed."""
    return fit("+".join([loaded.base, *loaded.changed]))


def run_command(
    recipe: str | Path,
    overrides: Sequence[str],
    name: str | None,
    plugins: Sequence[Path],
    store: Path | None,
    device: str,
    photos: Sequence[str] = (),
) -> str:
    """``pipeline run`` with these options, for any shell; ``photos`` are those about a folder."""
    given = shell_options(
        set=overrides, name=name, plugin=plugins, store=store, device=_unless_auto(device)
    )
    return shlex.join(["pipeline", "run", str(recipe), *photos, *given])


def _unless_auto(device: str) -> str | None:
    return None if device == "auto" else device


def shell_options(**options: object) -> list[str]:
    """``--num-steps 5`` for num_steps=5: nothing for None, one for each of several values."""
    words = []
    for name, given in options.items():
        values = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
        words += [word for v in values for word in ("--" + name.replace("_", "-"), str(v))]
    return words
