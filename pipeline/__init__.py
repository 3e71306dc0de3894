"""A plugin-based framework for image diffusion models. Importing it imports no torch.

A plugin author needs what stands here: ``hookimpl``, ``stage``, ``Stage`` and the contracts. The
commands are functions of ``pipeline.commands``.

Where to read on: ``engine.py`` is the way of the data, as a list of calls; each call is a function
in the file of its name (``prepare``, ``embed``, ``train``, ``sample``, ``score``). ``contracts.py``
and ``hookspecs.py`` say what a stage is, ``recipe.py`` what a recipe holds. ``load.py`` reads
recipes with the parts in ``reading/``, ``store.py`` keeps results with the parts in ``storing/``.
"""

from .contracts import CLEAN, NO_CLASS, Prediction, Rates, Score
from .errors import InputError
from .hookspecs import hookimpl
from .stage import IOOnly, Stage, stage

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
    "stage",
]
