"""Every extension point, one function each: the table of contents of what a plugin can add.

Each hook returns names with classes made by ``@stage``, or with ``"module:Class"`` so that listing
and checking names import nothing heavy. The contracts are in ``contracts.py`` and ``data.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

import pluggy

hookspec = pluggy.HookspecMarker("pipeline")
hookimpl = pluggy.HookimplMarker("pipeline")

Stages = Mapping[str, "type | str"] | None
"""A stage's name -> its class, or where the class is; None for no stages."""


@hookspec
def register_datasets() -> Stages:
    """Where images come from."""


@hookspec
def register_preprocessors() -> Stages:
    """Deterministic changes of an image, run once and cached."""


@hookspec
def register_augmentations() -> Stages:
    """Random changes of training images, run in every step."""


@hookspec
def register_codecs() -> Stages:
    """Between uint8 images and the space the model works in."""


@hookspec
def register_schedules() -> Stages:
    """How noise grows with t."""


@hookspec
def register_spacings() -> Stages:
    """Where the noise levels of a sampling are, between t = 1 and t = 0."""


@hookspec
def register_objectives() -> Stages:
    """What the network regresses."""


@hookspec
def register_backbones() -> Stages:
    """The denoising network."""


@hookspec
def register_upsamplers() -> Stages:
    """How a U-Net goes back up."""


@hookspec
def register_optimizers() -> Stages:
    """How gradients change the weights."""


@hookspec
def register_lr_schedules() -> Stages:
    """How the learning rate changes with the step."""


@hookspec
def register_samplers() -> Stages:
    """The way from noise to images."""


@hookspec
def register_guidances() -> Stages:
    """How predictions with a label, without it or of another network make one."""


@hookspec
def register_features() -> Stages:
    """Pretrained networks whose features metrics compare."""


@hookspec
def register_metrics() -> Stages:
    """How near two sets of images are."""
