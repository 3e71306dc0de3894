"""A plugin-based framework for image diffusion models. Importing it imports no torch.

A plugin author needs what stands here: ``hookimpl``, ``stage``, ``Stage`` and the contracts.
The commands are functions of ``pipeline.commands``.
"""

from .contracts import CLEAN, Prediction, Rates, Score
from .errors import InputError
from .hookspecs import hookimpl
from .stage import IOOnly, Stage, stage

__all__ = [
    "CLEAN",
    "IOOnly",
    "InputError",
    "Prediction",
    "Rates",
    "Score",
    "Stage",
    "hookimpl",
    "stage",
]
