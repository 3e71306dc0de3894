"""A recipe: every setting of a run, as checked data. ``load.py`` makes one from YAML."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..plugin.contracts import (
    Backbone,
    Features,
    Guidance,
    LrSchedule,
    Metric,
    Objective,
    Optimizer,
    Sampler,
    Schedule,
    Spacing,
)
from ..plugin.data import Augmentation, Codec, Dataset, Preprocessor
from ..plugin.every import Every, Units
from ..plugin.stage import IOOnly, Stage, Within, stage
from ..records.pictures import pictures
from ..system import unfit

MAX_GUIDANCE = 100.0
"""The largest scale: a hundred times what a label adds is beyond any use."""

GuidanceScale = Annotated[float, Field(ge=0, le=MAX_GUIDANCE)]
"""How strong guidance is; 1 is off."""

Tracker = Literal[
    "tensorboard", "wandb", "aim", "clearml", "comet_ml", "dvclive", "mlflow", "swanlab", "trackio"
]
"""The trackers that accelerate knows: https://huggingface.co/docs/accelerate/usage_guides/tracking."""

DROP_LABEL = 0.1
"""The share of labels that Ho & Salimans 2022 hide, https://arxiv.org/abs/2207.12598, section 4."""

Precision = Literal["float32", "tf32", "bf16", "fp16", "auto"]
"""What a network computes in; ``auto`` is settled before anything is trained: see
``runs/precision.py``."""

Count = Annotated[int, Field(ge=1)]
Grid = tuple[Count, Count]
"""Columns and rows of pictures."""


@stage
class Split:
    """Divides the images into training and validation, within each official part of the dataset."""

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The fraction of the images that is kept for validation."""
    seed: Annotated[int, Field(ge=0)] = 0
    """The seed of the shuffle; the run's seed does not change the split."""


@stage
class Ema:
    """The running average of weights and buffers that is validated and sampled."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """The share of the average that each step keeps."""
    warmup: bool = True
    """Use min(decay, (1 + step) / (10 + step)), so that the average soon forgets the initial
    weights."""
    snapshot_every: Annotated[Every, Units(("epoch", "step"))] | None = None
    """How often to keep two more averages, from which ``pipeline sample --ema LENGTH`` makes one of
    any length; such as '200 steps', some 16 in a training. Each takes the size of two networks."""


@stage
class Validate:
    """What is measured during training; the best checkpoint is chosen by the first metric."""

    every: Annotated[Every, Units(("epoch", "step"))] = Every(1, "epoch")
    """The interval: '1 epoch' or '500 steps'. The end of training is always validated."""
    max_batches: Count | None = None
    """How many batches of validation images the losses are measured on; null: all."""
    sampler: Annotated[Sampler, Stage("sampler", default="ddim")]
    """The sampler of the images that are scored, and of the grids."""
    num_steps: Count = 5
    """Noise levels of the images that are scored."""
    spacing: Annotated[Spacing, Stage("spacing", default="uniform")]
    """How the noise levels are spaced, for the grids too: see ``sample``."""
    guidance: Annotated[Guidance, Stage("guidance", default="classifier_free")]
    """How predictions are guided, see ``sample``; none that names a run."""
    guidance_scale: GuidanceScale = 1.0
    """How strong guidance is: 1 is off."""
    num_images: Annotated[int, Field(ge=2)] | None = None
    """The number of images that are scored; null: as many as there are validation images."""
    metrics: list[Annotated[Metric, Stage("metric")]] = Field(default_factory=list)
    """What is measured; without any, the best checkpoint has the lowest validation loss."""
    grid: Grid = (8, 4)
    """Columns and rows of the grid, which is drawn from the same noise each time."""
    grid_num_steps: Count = 20
    """Noise levels of the grid's pictures."""


@stage
class Train:
    """How the network is trained."""

    epochs: Count = 50
    """The length of training. An epoch is ``repeats`` passes over the training images, without the
    incomplete batch."""
    repeats: Count = 1
    """Passes in one epoch."""
    max_steps: Count | None = None
    """Stop after so many steps, even within an epoch; null: after all epochs."""
    batch_size: Count = 64
    """Images that go through the network at a time."""
    accumulate: Count = 1
    """Batches in one step, whose gradients are averaged: as one batch that many times as large, in
    the memory of ``batch_size`` images. Only batch norm sees each batch alone."""
    precision: Precision = "float32"
    """What the network computes in, here and in validation; weights, averages, optimizer and losses
    are float32. auto: bf16 where the device has instructions for it, else float32; a run keeps what
    it began with."""
    compile: Annotated[bool, IOOnly()] = False
    """Compile the network: steps are faster after a first one of a minute or so, and the last bits
    of results differ."""
    init: Annotated[str, Field(min_length=1)] | None = None
    """The model whose averaged weights training begins with, best checkpoint: a run, by folder or
    by its name under runs/, or a file of weights; null: new weights. Optimizer and step are new."""
    init_partial: bool = False
    """Begin with what fits of ``init`` and leave the rest new; otherwise all of it has to fit."""
    optimizer: Annotated[Optimizer, Stage("optimizer", default="adamw")]
    """How gradients change the weights."""
    lr_schedule: Annotated[LrSchedule, Stage("lr_schedule", default="constant")]
    """How the learning rate changes with the step."""
    condition: Literal["class"] | None = None
    """What the network is told beside the noise level: each image's class; null: nothing."""
    drop_label: Annotated[float, Field(ge=0, lt=1)] | None = None
    """The share of labels that training hides, which guidance needs; null: 0.1 with ``condition``.
    Losses on validation images hide none."""
    clip_gradients: Annotated[float, Field(gt=0)] | None = None
    """The largest norm of all gradients together; null: unlimited."""
    ema: Ema = Ema()
    """The average that is validated and sampled."""
    validate: Validate
    """What is measured, and how often."""
    checkpoint_every: Annotated[Every, Units(("minute", "second", "step")), IOOnly()] = Every(
        5, "minute"
    )
    """How much work may be lost when the process is killed; Ctrl-C and SIGTERM save first."""
    trackers: Annotated[list[Tracker], IOOnly()] = Field(default_factory=list)
    """Where else the history and its grids are shown, such as tensorboard; needs the extra
    ``trackers`` and, for all but TensorBoard, the tracker's own package."""

    @property
    def images_per_step(self) -> int:
        """How many images change the weights together."""
        return self.batch_size * self.accumulate

    @property
    def drops(self) -> float:
        """The share of labels that training hides where there are classes."""
        return DROP_LABEL if self.drop_label is None else self.drop_label

    def steps(self, per_epoch: int) -> int:
        """How many steps training has, where an epoch has so many."""
        total = self.epochs * per_epoch
        return min(total, self.max_steps or total)


@stage
class Sample:
    """The pictures of a run."""

    sampler: Annotated[Sampler, Stage("sampler", default="ddim")]
    """The way from noise to images."""
    num_steps: Count = 20
    """Noise levels; what they cost, in network evaluations, is the sampler's NFE."""
    spacing: Annotated[Spacing, Stage("spacing", default="uniform")]
    """At which times, from t = 1 on, the noise levels are; the clean image comes after the last."""
    guidance: Annotated[Guidance, Stage("guidance", default="classifier_free")]
    """How predictions are guided: towards the class, or away from a worse model."""
    guidance_scale: GuidanceScale = 1.0
    """How far to go from the worse prediction, such as that without a label, to the better one and
    beyond it; 1 is off."""
    num_images: Count | None = None
    """The number of images; null: as many as ``grid`` shows, 80 without one."""
    classes: Annotated[list[str], Field(min_length=1)] | None = None
    """Classes by name or number: image i is of class i of these, from the first again after the
    last; null: of all classes, as the grids of validation are."""
    grid: Grid | None = None
    """Columns and rows of the PNG that shows them; null: as ``num_images`` fill, ten columns at
    most."""
    precision: Precision = "float32"
    """What the network computes in, see ``train``."""
    batch_size: Annotated[Count, IOOnly()] = 64
    """Images at a time: a matter of memory and speed that changes no image."""

    @property
    def count(self) -> int:
        """How many images there are."""
        return pictures(vars(self))[0]

    @property
    def layout(self) -> tuple[int, int]:
        """Columns and rows of the PNG."""
        return pictures(vars(self))[1]


@stage
class Evaluate:
    """The scores of a run, on images of their own, drawn as those of ``sample`` are unless told
    otherwise here."""

    sampler: Annotated[Sampler, Stage("sampler", default="ddim")]
    """The way from noise to images; left out: that of ``sample``."""
    num_steps: Count = 20
    """Noise levels; left out: those of ``sample``."""
    spacing: Annotated[Spacing, Stage("spacing", default="uniform")]
    """How the noise levels are spaced; left out: as in ``sample``."""
    guidance: Annotated[Guidance, Stage("guidance", default="classifier_free")]
    """How predictions are guided; left out: as in ``sample``."""
    guidance_scale: GuidanceScale = 1.0
    """How strong guidance is, 1 is off; left out: as in ``sample``."""
    num_images: Annotated[int, Field(ge=2)] | None = None
    """The number of images; null: as many as there are in ``split``."""
    split: Literal["validation", "train"] = "validation"
    """The real images they are compared with."""
    metrics: list[Annotated[Metric, Stage("metric")]]
    """What is measured."""
    precision: Precision = "float32"
    """What the network computes in; left out: as in ``sample``. Features and metrics are
    float32."""
    batch_size: Annotated[Count, IOOnly()] = 64
    """Images at a time: a matter of memory and speed that changes no image."""


def _as_folder(name: str) -> str:
    """The name, if a folder can be called so on every system."""
    if why := unfit(name):
        raise ValueError(why)
    return name


@stage
class Recipe:
    """All settings of a run. Sections that are stages hold the stage itself."""

    name: Annotated[str, Field(pattern=r"^\w[\w.+=,-]*$"), AfterValidator(_as_folder)]
    """The name of the folder under runs/; unless given, that of the recipe's file."""
    seed: Annotated[int, Field(ge=0)] = 0
    """The seed of weights, data order, noise and samples."""
    dataset: Annotated[Dataset, Stage("dataset")]
    """Where images come from."""
    on_error: Annotated[Literal["error", "skip"], Within("dataset"), IOOnly()] = "error"
    """Images that cannot be used: error tells them all and stops, skip leaves them out."""
    split: Split = Split()
    """Which images are for training and which for validation."""
    preprocess: list[Annotated[Preprocessor, Stage("preprocessor")]] = Field(default_factory=list)
    """What is done to each image once, in this order."""
    augment: list[Annotated[Augmentation, Stage("augmentation")]] = Field(default_factory=list)
    """What is done to each batch in every training step, in this order."""
    codec: Annotated[Codec, Stage("codec", default="pixels")]
    """The way between images and the model's space."""
    features: Annotated[Features, Stage("features")] | None = None
    """The features of the metrics that name none of their own."""
    schedule: Annotated[Schedule, Stage("schedule")]
    """How noise grows with t."""
    objective: Annotated[Objective, Stage("objective")]
    """What the network regresses."""
    backbone: Annotated[Backbone, Stage("backbone")]
    """The network."""
    train: Train
    """How the network is trained."""
    sample: Sample
    """The pictures of the run."""
    evaluate: Evaluate | None = None
    """The scores of the run; null: it is not scored."""


@stage
class Folder:
    """How ``pipeline evaluate`` reads a folder of images; ``folder.yaml`` says it."""

    dataset: Annotated[Dataset, Stage("dataset")]
    """Lists the images of the folder."""
    preprocess: list[Annotated[Preprocessor, Stage("preprocessor")]] = Field(default_factory=list)
    """What is done to each image once, in this order."""
