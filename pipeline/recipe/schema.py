"""A recipe: every setting of a run, as checked data. ``load.py`` makes one from YAML."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..plugin.contracts import (
    Augmentation,
    Backbone,
    Codec,
    Dataset,
    Features,
    LrSchedule,
    Metric,
    Objective,
    Optimizer,
    Preprocessor,
    Sampler,
    Schedule,
)
from ..plugin.every import Every, Units
from ..plugin.stage import IOOnly, Stage, stage

Spacing = Literal["uniform", "log_snr", "karras"]
"""How noise levels are spaced: ``levels.py``."""

Guidance = Annotated[float, Field(ge=0)]
"""Of classifier-free guidance: ``Model.denoiser``."""

Tracker = Literal[
    "tensorboard", "wandb", "aim", "clearml", "comet_ml", "dvclive", "mlflow", "swanlab", "trackio"
]
"""What accelerate knows: https://huggingface.co/docs/accelerate/usage_guides/tracking."""

DROP_LABEL = 0.1
"""Of Ho & Salimans 2022, https://arxiv.org/abs/2207.12598, section 4."""


Count = Annotated[int, Field(ge=1)]
Grid = tuple[Count, Count]


@stage
class Split:
    """Training and validation, drawn within each official part of the dataset."""

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The fraction kept for validation."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the shuffle. Has nothing to do with the run's seed."""


@stage
class Ema:
    """The running average of weights and buffers that is validated and sampled."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """What is kept of the average in each step."""
    warmup: bool = True
    """Use min(decay, (1 + step) / (10 + step)), so that the first samples are not the
    initial weights'."""


@stage
class Validate:
    """What is measured during training; the best checkpoint is chosen by the first metric."""

    every: Annotated[Every, Units(("epoch", "step"))] = Every(1, "epoch")
    """'1 epoch' or '500 steps'. The end of training is always validated."""
    sampler: Annotated[Sampler, Stage("sampler", default="ddim")]
    """Draws the images that are scored and the grids."""
    num_steps: Count = 5
    """Sampling steps of the images that are scored."""
    spacing: Spacing = "uniform"
    """How the noise levels are spaced, of the pictures' too: see ``sample``."""
    guidance_scale: Guidance = 1.0
    """How far to go from the label-free prediction to that of the class and beyond; 1 is off."""
    num_images: Annotated[int, Field(ge=2)] | None = None
    """How many images are scored; none: as many as there are validation images."""
    metrics: list[Annotated[Metric, Stage("metric")]] = Field(default_factory=list)
    """None: the best checkpoint is the one with the lowest validation loss."""
    grid: Grid = (8, 4)
    """Columns and rows of the pictures from fixed noise."""
    grid_num_steps: Count = 20
    """Sampling steps of these pictures."""


@stage
class Train:
    """The training loop."""

    epochs: Count = 50
    """An epoch is ``repeats`` passes over the training images, without the incomplete batch."""
    repeats: Count = 1
    """Passes in one epoch."""
    max_steps: Count | None = None
    """Stop after so many steps, even within an epoch."""
    batch_size: Count = 64
    """Images a step."""
    optimizer: Annotated[Optimizer, Stage("optimizer", default="adamw")]
    """How gradients change the weights."""
    lr_schedule: Annotated[LrSchedule, Stage("lr_schedule", default="constant")]
    """How the learning rate changes with the step."""
    condition: Literal["class"] | None = None
    """What the network is told beside the noise level; none: nothing."""
    drop_label: Annotated[float, Field(ge=0, lt=1)] | None = None
    """The share of labels hidden in training, which guidance needs; none: 0.1 with ``condition``.
    Losses on validation images hide none."""
    clip_gradients: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of all gradients together; none: unlimited."""
    ema: Ema = Ema()
    """The average that is validated and sampled."""
    validate: Validate
    """What is measured, and how often."""
    checkpoint_every: Annotated[Every, Units(("minute", "second", "step")), IOOnly()] = Every(
        5, "minute"
    )
    """How much work a kill may cost. Ctrl-C and SIGTERM save first and cost none."""
    trackers: Annotated[list[Tracker], IOOnly()] = Field(default_factory=list)
    """What else shows the history and its grids, such as tensorboard; needs the extra ``trackers``
    and, beside TensorBoard, the tracker's own package."""

    @property
    def drops(self) -> float:
        """The share of labels that are hidden."""
        return DROP_LABEL if self.drop_label is None else self.drop_label

    def steps(self, per_epoch: int) -> int:
        """How many steps training has, where an epoch has so many."""
        total = self.epochs * per_epoch
        return min(total, self.max_steps or total)


@stage
class Sample:
    """The pictures of a run."""

    sampler: Annotated[Sampler, Stage("sampler", default="ddim")]
    """From noise to images."""
    num_steps: Count = 20
    """Noise levels; a sampler's cost in network evaluations is its NFE."""
    spacing: Spacing = "uniform"
    """How the levels are spaced from t = 1 on: evenly in t (the last is t = 1 / num_steps), evenly
    in log-SNR, or in sigma^(1/7) as Karras et al. do (the last is t = 0). Clean comes after it."""
    guidance_scale: Guidance = 1.0
    """How far to go from the label-free prediction to that of the class and beyond; 1 is off."""
    num_images: Count = 80
    """How many."""
    classes: Annotated[list[int | str], Field(min_length=1)] | None = None
    """Image i is of class i of these, by number or name, from the first again after the last; none:
    of all classes, as the pictures of validation are."""
    grid: Grid = (10, 8)
    """Columns and rows of the PNG."""
    batch_size: Annotated[Count, IOOnly()] = 64
    """Images at a time: for memory and speed; image i stays the same."""


@stage
class Evaluate:
    """The scores of a run, on images of their own."""

    sampler: Annotated[Sampler, Stage("sampler", default="ddim")]
    """From noise to images."""
    num_steps: Count = 20
    """Noise levels."""
    spacing: Spacing = "uniform"
    """How they are spaced: see ``sample``."""
    guidance_scale: Guidance = 1.0
    """How far to go from the label-free prediction to that of the class and beyond; 1 is off."""
    num_images: Annotated[int, Field(ge=2)] | None = None
    """How many; none: as many as there are images in ``split``."""
    split: Literal["validation", "train"] = "validation"
    """The real images they are compared with."""
    metrics: list[Annotated[Metric, Stage("metric")]]
    """What is measured."""
    batch_size: Annotated[Count, IOOnly()] = 64
    """Images at a time: for memory and speed; image i stays the same."""


@stage
class Recipe:
    """All settings of a run. Sections that are stages hold the stage itself."""

    name: Annotated[str, Field(pattern=r"^\w[\w.+=,-]*$")]
    """Names the folder under runs/. Unless given, the recipe file's name."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of weights, data order, noise and samples."""
    dataset: Annotated[Dataset, Stage("dataset")]
    """Where images come from."""
    split: Split = Split()
    """Training and validation."""
    preprocess: list[Annotated[Preprocessor, Stage("preprocessor")]] = Field(default_factory=list)
    """In order, once."""
    augment: list[Annotated[Augmentation, Stage("augmentation")]] = Field(default_factory=list)
    """In order, in every training step."""
    codec: Annotated[Codec, Stage("codec", default="pixels")]
    """Between images and the model's space."""
    features: Annotated[Features, Stage("features")] | None = None
    """What metrics use that name no features of their own."""
    schedule: Annotated[Schedule, Stage("schedule")]
    """How noise grows with t."""
    objective: Annotated[Objective, Stage("objective")]
    """What the network regresses."""
    backbone: Annotated[Backbone, Stage("backbone")]
    """The network."""
    train: Train
    """The training loop."""
    sample: Sample
    """The pictures of the run."""
    evaluate: Evaluate | None = None
    """The scores of the run; none: it is not scored."""
