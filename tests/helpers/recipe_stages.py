"""Stages and a recipe for the tests of recipes; none needs torch."""

from __future__ import annotations

import pytest

from pipeline.errors import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load

PLUGIN = '''
from pathlib import Path
from typing import Annotated, Literal
from pydantic import Field
from pipeline import IOOnly, Stage, hookimpl, stage

class Whole:
    """Has every member of every contract."""

    order = ideal = needs = None
    higher_is_better = biased = False

    def __call__(self, *given):
        raise NotImplementedError

    nfe = fit = encode = decode = loss = predict = __call__
    needs_labels = True

@stage
class Flowers(Whole):
    root: Annotated[Path, IOOnly()] = Path("data")
    kind: Literal["rose", "tulip"] = "rose"

@stage
class Plain(Whole):
    """No options."""

@stage
class Other(Whole):
    """No options."""

@stage
class Resize(Whole):
    size: Annotated[int, Field(ge=1)]

@stage
class Up(Whole):
    kernel: int = 3

@stage
class Down(Whole):
    factor: float = 2.0

@stage
class Net(Whole):
    widths: tuple[Annotated[int, Field(ge=1)], ...] = (8, 16)
    error: Annotated[Literal["mae", "mse"], Field(alias="loss")] = "mae"
    upsampler: Annotated[object, Stage("upsampler")] = Up()

@stage
class Adam(Whole):
    lr: Annotated[float, Field(gt=0)] = 1e-3

@stage
class Score(Whole):
    blocks: int = 4
    features: Annotated[object, Stage("features")] | None = None

def _hook(**stages):
    return hookimpl(lambda: stages)

register_datasets = _hook(flowers=Flowers, plain=Other)
register_preprocessors = _hook(crop=Plain, resize=Resize)
register_codecs = _hook(pixels=Plain)
register_schedules = _hook(cosine=Plain)
register_objectives = _hook(denoising=Plain)
register_backbones = _hook(net=Net)
register_upsamplers = _hook(up=Up, down=Down)
register_optimizers = _hook(adamw=Adam, sgd=Other)
register_lr_schedules = _hook(constant=Plain)
register_spacings = _hook(uniform=Plain, karras=Other)
register_guidances = _hook(classifier_free=Plain)
register_samplers = _hook(ddim=Plain, ddpm=Other)
register_features = _hook(inception=Resize, small=Plain)
register_metrics = _hook(kid=Score)
'''

BASE = """\
dataset: flowers
preprocess: [crop, {name: resize, size: 8}]
features: small
schedule: cosine
objective: denoising
backbone: {name: net, widths: [4, 8]}
"""


def problems(registry: Registry, file: str, *overrides: str) -> list[str]:
    with pytest.raises(InputError) as error:
        load(file, overrides, registry=registry)
    return str(error.value).splitlines()
