"""Warm start: a training whose first step begins with the averaged weights of another model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..diffusion.images import Images
from ..diffusion.model import Model
from ..errors import InputError
from ..plugin.data import Codec, x0_shape
from ..progress import note
from ..recipe.schema import Recipe
from ..records import InitRecord
from .batches import in_batches

MOST_NAMED = 10
"""How many tensors a message names."""

Shape = tuple[int, int, int]
Sizes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Init:
    """The averaged weights of a model's best checkpoint, and the space that they know."""

    name: str
    """The run's, or the file's path."""
    weights: Mapping[str, Tensor]
    codec_state: Mapping[str, Tensor]
    class_names: tuple[str, ...] | None
    """None: its network knows no classes."""
    digest: str
    """Of all the above but the name."""
    partial: bool
    """Whether it is enough that some of the weights fit."""


def fitted_state(codec: Codec, images: Images) -> Mapping[str, Tensor]:
    """The state of the codec that encoded the images before, or is fitted to those of training."""
    return images.codec_state or codec.fit(in_batches(images, images.indices("train"), 64))


def start(
    init: Init,
    recipe: Recipe,
    network: nn.Module,
    shape: Shape,
    class_names: Sequence[str] | None,
) -> Mapping[str, Tensor]:
    """Give these weights to the recipe's network for images of ``shape``, and say so.

    Returns the codec's state: that of ``init``, as its weights know no other space. InputError
    where they do not fit.
    """
    fitting = fitting_weights(init, recipe, network, shape, class_names)
    network.load_state_dict(fitting, strict=False)
    new = [name for name in network.state_dict() if name not in fitting]
    told = f"training begins with the averaged weights of {init.name} ({init.digest[:8]})"
    if new:
        told += f": {len(fitting)} tensors; {len(new)} are new: {_listed(new, ', ')}"
    note(told)
    return init.codec_state


def check_init(
    init: Init,
    recipe: Recipe,
    network: nn.Module,
    class_names: Sequence[str] | None,
    images: Tensor,
) -> None:
    """InputError where weights or codec do not fit the network, or images like these (a batch)."""
    channels, height, width = images.shape[1:]
    shape = x0_shape(recipe.codec, (channels, height, width))
    fitting_weights(init, recipe, network, shape, class_names)
    ours, theirs = _sizes(recipe.codec.fit([images])), _sizes(init.codec_state)
    if ours != theirs:
        has, wants = (", ".join(f"{k} {v}" for k, v in s.items()) for s in (theirs, ours))
        raise InputError(
            f"train.init: the codec of {init.name} has {has}, and these images need {wants}: take "
            "images of its shape, or another train.init"
        )


def fitting_weights(
    init: Init,
    recipe: Recipe,
    network: nn.Module,
    shape: Shape,
    class_names: Sequence[str] | None,
) -> dict[str, Tensor]:
    """The weights that the network begins with; all that it has unless ``init.partial``.

    InputError with what does not fit, and where nothing does.
    """
    ours, theirs = _sizes(network.state_dict()), _sizes(init.weights)
    bound = _bound_to_classes(init, recipe, shape, class_names)
    misfits = dict(_misfits(ours, theirs, bound))
    fitting = {name: value for name, value in init.weights.items() if name not in misfits}
    if (misfits and not init.partial) or not fitting:
        advice = "take the backbone and the classes that it has"
        if fitting:
            advice += ", or train.init_partial: true to begin with what fits and leave the rest new"
        what = "does not fit this network" if fitting else "has nothing that fits this network"
        told = _listed(list(misfits.values()), "; ")
        raise InputError(f"train.init: {init.name} {what}: {told}; {advice}")
    return fitting


def record_of(init: Init, recipe: Recipe, model: Model) -> InitRecord:
    """What is told of it beside the model that was trained from it."""
    names = model.class_names
    return {
        "name": init.name,
        "digest": init.digest,
        "started": len(fitting_weights(init, recipe, model.network, model.shape, names)),
        "tensors": len(model.network.state_dict()),
    }


def _misfits(ours: Sizes, theirs: Sizes, bound: Collection[str]) -> Iterator[tuple[str, str]]:
    """The tensors of either side that the other has not, or has otherwise, with why."""
    for name in {**ours, **theirs}:
        if name not in theirs:
            yield name, f"{name} {ours[name]} is missing in it"
        elif name not in ours:
            yield name, f"{name} {theirs[name]} is not in this network"
        elif ours[name] != theirs[name]:
            yield name, f"{name} is {theirs[name]} and should be {ours[name]}"
        elif name in bound:
            yield name, f"{name} {ours[name]} is of other classes"


def _bound_to_classes(
    init: Init, recipe: Recipe, shape: Shape, class_names: Sequence[str] | None
) -> set[str]:
    """The tensors that mean other classes than the recipe's, whatever their shapes.

    The engine knows no layer by name: they are those that the network has only with classes, or
    has in another shape without them.
    """
    if class_names is None or init.class_names in (None, tuple(class_names)):
        return set()
    with torch.device("meta"):
        conditional, free = (
            _sizes(recipe.backbone(shape, number).state_dict())
            for number in (len(class_names), None)
        )
    return {name for name, size in conditional.items() if free.get(name) != size}


def _sizes(tensors: Mapping[str, Tensor]) -> Sizes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _listed(texts: Sequence[str], comma: str) -> str:
    more = len(texts) - MOST_NAMED
    return comma.join([*texts[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])
