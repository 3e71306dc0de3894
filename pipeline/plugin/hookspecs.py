"""Every extension point, one function each: the table of contents of what a plugin can add.

Each hook returns names with classes made by ``@stage``, or with ``"module:Class"`` so that listing
and checking names import nothing heavy. The contracts are in ``contracts.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

hookspec = pluggy.HookspecMarker("pipeline")
hookimpl = pluggy.HookimplMarker("pipeline")

Stages = Mapping[str, "type | str"]
"""A stage's name -> its class, or where the class is."""


@hookspec
def register_datasets() -> Stages:  # type: ignore[empty-body]
    """Where images come from."""


@hookspec
def register_preprocessors() -> Stages:  # type: ignore[empty-body]
    """Deterministic changes of an image, run once and cached."""


@hookspec
def register_augmentations() -> Stages:  # type: ignore[empty-body]
    """Random changes of training images, run in every step."""


@hookspec
def register_codecs() -> Stages:  # type: ignore[empty-body]
    """Between uint8 images and the space the model works in."""


@hookspec
def register_schedules() -> Stages:  # type: ignore[empty-body]
    """How noise grows with t."""


@hookspec
def register_objectives() -> Stages:  # type: ignore[empty-body]
    """What the network regresses."""


@hookspec
def register_backbones() -> Stages:  # type: ignore[empty-body]
    """The denoising network."""


@hookspec
def register_upsamplers() -> Stages:  # type: ignore[empty-body]
    """How a U-Net goes back up."""


@hookspec
def register_optimizers() -> Stages:  # type: ignore[empty-body]
    """How gradients change the weights."""


@hookspec
def register_lr_schedules() -> Stages:  # type: ignore[empty-body]
    """How the learning rate changes with the step."""


@hookspec
def register_samplers() -> Stages:  # type: ignore[empty-body]
    """From noise to images."""


@hookspec
def register_features() -> Stages:  # type: ignore[empty-body]
    """Pretrained networks whose features metrics compare."""


@hookspec
def register_metrics() -> Stages:  # type: ignore[empty-body]
    """How near two sets of images are."""
