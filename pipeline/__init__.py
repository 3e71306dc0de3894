"""A plugin-based framework for image diffusion models. Importing it imports no torch.

A plugin author needs what stands here: ``hookimpl``, ``stage``, ``Stage`` and the contracts. The
commands are functions of ``pipeline.commands``; ``invert`` finds the noise of an image, and
``open_run`` shows a finished run in a notebook.

Where to read on: ``engine.py`` is the way of the data, as a list of calls; each call is a function
in the file of its name (``prepare``, ``embed``, ``train``, ``sample``, ``score``). ``contracts.py``
and ``hookspecs.py`` say what a stage is, ``recipe.py`` what a recipe holds. ``load.py`` reads
recipes with the parts in ``reading/``, ``store.py`` keeps results with the parts in ``storing/``.
"""

from typing import TYPE_CHECKING

from .errors import InputError
from .plugin.contracts import CLEAN, NO_CLASS, Prediction, Rates, Score
from .plugin.hookspecs import hookimpl
from .plugin.stage import IOOnly, Stage, stage

if TYPE_CHECKING:
    from .runs.finished import open_run
    from .runs.invert import invert, reconstruct

__all__ = [
    "CLEAN",
    "NO_CLASS",
    "IOOnly",
    "InputError",
    "Prediction",
    "Rates",
    "Score",
    "Stage",
    "hookimpl",
    "invert",
    "open_run",
    "reconstruct",
    "stage",
]


def __getattr__(name: str) -> object:
    """What works on finished runs is imported when it is asked for."""
    if name == "open_run":
        from .runs.finished import open_run

        return open_run
    if name in ("invert", "reconstruct"):
        from .runs import invert as inversion

        return getattr(inversion, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
