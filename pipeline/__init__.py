"""A plugin-based framework for image diffusion models.

This is the face for authors of plugins: all that a plugin imports, and no more. Importing it
imports neither torch nor numpy. The face for users of Python is ``pipeline.commands``, where every
command is a function; ``pipeline.testing`` tells whether a stage keeps its contract.

Where to read on, from the lowest floor to the highest; a folder imports only those before it:

- ``plugin/``: what a stage is (``contracts.py``, ``data.py``), how a plugin adds one
  (``hookspecs.py``) and how it is found (``registry.py``);
- ``recipe/``: what a recipe holds (``schema.py``) and how it is read, checked and built;
- ``store/``: artifacts by content key;
- ``diffusion/``, ``diagnosis/``, ``training/``: models, sampling and learning, in memory;
- ``artifacts/``: a file for each arrow of the way of the data: prepare, embed, train, …;
- ``report/``, ``runs/``, ``compare/``: pages, whole runs, and which of several is better;
- ``commands.py``, ``cli/``: what a user calls.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .errors import InputError
from .plugin.contracts import (
    Backbone,
    Denoise,
    Extractor,
    Features,
    LrSchedule,
    Metric,
    Network,
    Objective,
    Optimizer,
    Output,
    PairedMetric,
    Sampler,
    Schedule,
    Spacing,
    Upsampler,
)
from .plugin.data import Augmentation, Codec, Dataset, Preprocessor, Source
from .plugin.hookspecs import hookimpl
from .plugin.stage import IOOnly, OptionSets, Stage, stage
from .plugin.values import CLEAN, MAX_LOG_SNR, NO_CLASS, Prediction, Rates, Score

if TYPE_CHECKING:
    from .plugin.difference import Difference
    from .plugin.draws import Draws
    from .plugin.photo import open_rgb
    from .plugin.times import time_of
else:
    # What needs scipy, numpy, Pillow or torch, with the module of ``plugin/`` that has it.
    _LATE = {"Difference": "difference", "Draws": "draws", "open_rgb": "photo", "time_of": "times"}

    def __getattr__(name: str) -> object:
        """Import what needs more than Python when it is asked for."""
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".plugin.{_LATE[name]}", __name__), name)


__all__ = [  # noqa: RUF022  (sorted by subject)
    # To make a class a stage, and to register it
    "stage",
    "Stage",
    "IOOnly",
    "OptionSets",
    "hookimpl",
    # To tell the user what is wrong
    "InputError",
    # Values that stages are given and return
    "Rates",
    "CLEAN",
    "MAX_LOG_SNR",
    "NO_CLASS",
    "Prediction",
    "Denoise",
    "Draws",
    "Output",
    "Score",
    "Difference",
    # Contracts of the stages that prepare images
    "Dataset",
    "Source",
    "Preprocessor",
    "Codec",
    "Augmentation",
    # Contracts of noise, network and training
    "Schedule",
    "Spacing",
    "Objective",
    "Backbone",
    "Network",
    "Upsampler",
    "Optimizer",
    "LrSchedule",
    # Contracts of sampling and scoring
    "Sampler",
    "Features",
    "Extractor",
    "Metric",
    "PairedMetric",
    # Helpers
    "open_rgb",
    "time_of",
]
