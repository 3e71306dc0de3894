"""A model: a network with what is needed to draw from it, kept as weights and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..machine import sent
from ..plugin.contracts import Backbone, Denoise, Guidance, Network, Objective, Schedule
from ..plugin.data import Codec, x0_shape
from ..plugin.draws import stream
from ..plugin.registry import Registry
from ..plugin.values import Prediction, Rates
from ..progress import note
from ..recipe.build import build_stage
from ..recipe.schema import Recipe
from ..records import Plain, TrainingRecord
from ..store.checked import as_written
from ..store.weights import read_state, read_weights, with_prefix, without_prefix, write_weights
from .images import Images, Indices
from .lengths import averaged
from .precision import at_precision

Choice = Literal["best", "last"]
Weights = Literal["ema", "raw"]
STAGES = ("schedule", "objective", "backbone", "codec")
"""The kinds of stages that make up a model."""

Checkpointed = tuple[dict[str, Tensor], Plain]
"""Weights, averaged and raw, and the record of their validation."""


@dataclass(frozen=True)
class Model:
    """In memory, on a device, ready to predict."""

    network: nn.Module
    schedule: Schedule
    objective: Objective
    codec: Codec
    codec_state: Mapping[str, Tensor]
    shape: tuple[int, int, int]
    """(C, H, W) of x0."""
    image_shape: tuple[int, int, int]
    """(C, H, W) of the images."""
    device: str
    class_names: tuple[str, ...] | None = None
    """None: the network knows no classes."""
    precision: str = "float32"
    """What the network computes in."""
    worse: Model | None = None
    """The model of the run that a guidance names."""

    @property
    def lowered(self) -> Network:
        """The network in this precision, as objectives call it."""
        return at_precision(self.network, self.precision, self.device)

    def encode(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W) -> x0 on the model's device, in the layout that convolutions like.

        Latents, float32, were encoded before.
        """
        x0 = images.to(self.device, non_blocking=True)
        if not x0.is_floating_point():
            x0 = self.codec.encode(x0, self.codec_state)
        return x0.to(memory_format=torch.channels_last)

    def decode(self, x0: Tensor) -> Tensor:
        """x0 -> uint8 (N, C, H, W) on the CPU."""
        return self.codec.decode(x0, self.codec_state).cpu().contiguous()

    def labels_of(self, images: Images, indices: Sequence[int] | Indices) -> Tensor | None:
        """int64 (N,) on the model's device; None where the network knows no classes."""
        if self.class_names is None:
            return None
        return sent(torch.from_numpy(images.labels[indices]), self.device)

    def denoiser(
        self, label: Tensor | None = None, guidance: Guidance | None = None, scale: float = 1.0
    ) -> Denoise:
        """denoise(x, rates) of this network for these labels, int64 (N,), guided if so wished."""
        given = None if label is None else label.to(self.device)
        own, worse = self.lowered, self.worse or self
        network = replace(worse, precision=self.precision).lowered

        def predict(
            x: Tensor, rates: Rates[float], label: Tensor | None, run: str | None = None
        ) -> Prediction:
            if run is None:
                return self.objective.predict(own, x, rates, label)
            if self.worse is None:
                raise ValueError(f"the model of run {run} is not loaded")
            known = None if worse.class_names is None else label
            return worse.objective.predict(network, x, rates, known)

        def denoise(x: Tensor, rates: Rates[float]) -> Prediction:
            if guidance is None:
                return predict(x, rates, given)
            return guidance(predict, x, rates, given, scale)

        return denoise

    def of(self, network: nn.Module) -> Model:
        """The same around another network."""
        return replace(self, network=network)


def model_of(
    recipe: Recipe,
    network: nn.Module,
    codec_state: Mapping[str, Tensor],
    image_shape: tuple[int, int, int],
    device: str,
    class_names: tuple[str, ...] | None,
) -> Model:
    """A model with a recipe's stages around a network that is on the device."""
    return Model(
        network=network,
        schedule=recipe.schedule,
        objective=recipe.objective,
        codec=recipe.codec,
        codec_state={name: value.to(device) for name, value in codec_state.items()},
        shape=x0_shape(recipe.codec, image_shape),
        image_shape=image_shape,
        device=device,
        class_names=class_names,
    )


def build_network(
    recipe: Recipe, shape: tuple[int, int, int], class_names: Sequence[str] | None, device: str
) -> nn.Module:
    """The recipe's network with weights drawn from the recipe's seed, on the device."""
    num_classes = None if class_names is None else len(class_names)
    with torch.random.fork_rng():
        torch.manual_seed(int(stream(recipe.seed, "weights").integers(2**63)))
        network = recipe.backbone(shape, num_classes)
    return _on_device(network, device)


def save_model(
    path: Path,
    recipe: Recipe,
    registry: Registry,
    model: Model,
    choices: Mapping[Choice, Checkpointed],
    training: TrainingRecord,
) -> None:
    """Into the folder ``path``: best and last weights (EMA and raw), codec state, stages."""
    stages = {kind: getattr(recipe, kind) for kind in STAGES}
    facts = {
        "stages": {kind: registry.spec(stage) for kind, stage in stages.items()},
        "code": {kind: registry.describe(stage)["code"] for kind, stage in stages.items()},
        "shape": list(model.shape),
        "image_shape": list(model.image_shape),
        "class_names": model.class_names,
        "training": training,
    }
    for choice, (tensors, record) in choices.items():
        everything = {**tensors, **with_prefix("codec", model.codec_state)}
        write_weights(path / choice, everything, {**facts, "record": record})


def _other_code(one: Plain, other: Plain) -> bool:
    """Whether two identities of code differ, as far as both tell: one of an index has no source."""
    return any(one[part] != other[part] for part in one.keys() & other.keys())


def load_model(
    path: Path,
    registry: Registry,
    device: str,
    choice: Choice = "best",
    weights: Weights = "ema",
    length: float | None = None,
) -> Model:
    """From the folder that ``save_model`` wrote; no dataset is needed.

    With a ``length`` the weights are their average of it at the end of the training.
    """
    average = None if length is None else averaged(path, length)
    if not (path / f"{choice}.json").exists() and (path / "best.json").exists():
        raise InputError(f"checkpoint {choice}: this model was exported with its best one alone")
    tensors, facts = read_weights(path / choice)
    if not without_prefix(weights, tensors):
        raise InputError(
            f"weights {weights}: this model was exported without them, see --raw there"
        )
    with as_written(path):
        stages = {kind: build_stage(registry, kind, facts["stages"][kind]) for kind in STAGES}
        code = {kind: facts["code"][kind] for kind in STAGES}
        shape, names = tuple(facts["shape"]), facts["class_names"]
        image_shape = tuple(facts.get("image_shape", shape))
    for kind, stage in stages.items():
        if _other_code(code[kind], cast("Plain", registry.describe(stage)["code"])):
            note(f"the code of {kind} {registry.name_of(stage)} changed since this model was made")
    network = stages["backbone"](shape, None if names is None else len(names))
    network.load_state_dict(average or without_prefix(weights, tensors))
    codec_state = {name: t.to(device) for name, t in without_prefix("codec", tensors).items()}
    return Model(
        network=_on_device(network, device).eval().requires_grad_(False),
        schedule=stages["schedule"],
        objective=stages["objective"],
        codec=stages["codec"],
        codec_state=codec_state,
        shape=shape,
        image_shape=image_shape,
        device=device,
        class_names=None if names is None else tuple(names),
    )


NOT_TOLD = TrainingRecord(stretches=[])
"""The training of a model that an older version saved."""


class ModelFacts(NamedTuple):
    """What can be told of a saved model without its weights."""

    shape: tuple[int, int, int]
    """(C, H, W) of x0."""
    image_shape: tuple[int, int, int]
    """(C, H, W) of its images."""
    class_names: list[str] | None
    """None: the network knows no classes."""
    best: Plain
    """The record of the best checkpoint's validation, as a line of ``history.jsonl``."""
    training: TrainingRecord

    def count_parameters(self, backbone: Backbone) -> int:
        """How many weights its network trains; needs no memory for them."""
        with torch.device("meta"):
            names = self.class_names
            network = backbone(self.shape, None if names is None else len(names))
        return sum(p.numel() for p in network.parameters() if p.requires_grad)


def model_facts(path: Path) -> ModelFacts:
    """The facts of the model in the folder that ``save_model`` wrote."""
    facts = read_state(path / "best")
    with as_written(path):
        return ModelFacts(
            tuple(facts["shape"]),
            tuple(facts["image_shape"] if "image_shape" in facts else facts["shape"]),
            facts["class_names"],
            facts["record"],
            facts.get("training", NOT_TOLD),
        )


def _on_device(network: nn.Module, device: str) -> nn.Module:
    # Channels-last convolutions are the faster ones, on CPU and GPU: docs/performance.md.
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
