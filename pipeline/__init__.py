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

if TYPE_CHECKING:
    from .errors import (
        InputError as InputError,
    )
    from .plugin.contracts import (
        Backbone as Backbone,
        Denoise as Denoise,
        Extractor as Extractor,
        Features as Features,
        Guidance as Guidance,
        LrSchedule as LrSchedule,
        Metric as Metric,
        Network as Network,
        Objective as Objective,
        Optimizer as Optimizer,
        Output as Output,
        PairedMetric as PairedMetric,
        Predict as Predict,
        Sampler as Sampler,
        Schedule as Schedule,
        Spacing as Spacing,
        Upsampler as Upsampler,
    )
    from .plugin.data import (
        Augmentation as Augmentation,
        Codec as Codec,
        Dataset as Dataset,
        LatentCodec as LatentCodec,
        Preprocessor as Preprocessor,
        Source as Source,
    )
    from .plugin.difference import (
        Difference as Difference,
    )
    from .plugin.draws import (
        Draws as Draws,
    )
    from .plugin.hookspecs import (
        hookimpl as hookimpl,
    )
    from .plugin.photo import (
        open_rgb as open_rgb,
    )
    from .plugin.rows import (
        RowMetric as RowMetric,
        Rows as Rows,
    )
    from .plugin.stage import (
        IOOnly as IOOnly,
        OptionSets as OptionSets,
        Stage as Stage,
        stage as stage,
    )
    from .plugin.times import (
        time_of as time_of,
    )
    from .plugin.values import (
        CLEAN as CLEAN,
        MAX_LOG_SNR as MAX_LOG_SNR,
        NO_CLASS as NO_CLASS,
        Prediction as Prediction,
        Rates as Rates,
        Score as Score,
    )
    from .store.fetch import (
        fetch as fetch,
    )

_HOMES = {  # each name of the face, with the module that has it
    # To make a class a stage, and to register it
    "stage": "plugin.stage",
    "Stage": "plugin.stage",
    "IOOnly": "plugin.stage",
    "OptionSets": "plugin.stage",
    "hookimpl": "plugin.hookspecs",
    # To tell the user what is wrong
    "InputError": "errors",
    # Values that stages are given and return
    "Rates": "plugin.values",
    "CLEAN": "plugin.values",
    "MAX_LOG_SNR": "plugin.values",
    "NO_CLASS": "plugin.values",
    "Prediction": "plugin.values",
    "Denoise": "plugin.contracts",
    "Predict": "plugin.contracts",
    "Draws": "plugin.draws",
    "Output": "plugin.contracts",
    "Score": "plugin.values",
    "Difference": "plugin.difference",
    # Contracts of the stages that prepare images
    "Dataset": "plugin.data",
    "Source": "plugin.data",
    "Preprocessor": "plugin.data",
    "Codec": "plugin.data",
    "LatentCodec": "plugin.data",
    "Augmentation": "plugin.data",
    # Contracts of noise, network and training
    "Schedule": "plugin.contracts",
    "Spacing": "plugin.contracts",
    "Objective": "plugin.contracts",
    "Backbone": "plugin.contracts",
    "Network": "plugin.contracts",
    "Upsampler": "plugin.contracts",
    "Optimizer": "plugin.contracts",
    "LrSchedule": "plugin.contracts",
    # Contracts of sampling and scoring
    "Sampler": "plugin.contracts",
    "Guidance": "plugin.contracts",
    "Features": "plugin.contracts",
    "Extractor": "plugin.contracts",
    "Metric": "plugin.contracts",
    "PairedMetric": "plugin.contracts",
    "RowMetric": "plugin.rows",
    "Rows": "plugin.rows",
    # Helpers
    "fetch": "store.fetch",
    "open_rgb": "plugin.photo",
    "time_of": "plugin.times",
}

__all__ = [*_HOMES]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a name when it is asked for, so that ``import pipeline`` takes no time."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
