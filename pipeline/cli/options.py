"""Options that several commands have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


class Place(click.Path):
    """A path, in which ``~`` is the home folder also where no shell has said so."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The path."""
        return super().convert(os.path.expanduser(value), param, ctx)


FOLDER = Place(path_type=Path)
store = click.option(
    "--store", type=FOLDER, help="Where artifacts are kept  [default: $PIPELINE_STORE or .pipeline]"
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, cuda:1, mps; auto: cuda or cpu",
)
changes = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value, such as backbone.upsampler=nearest. Repeatable.",
)
num_steps = click.option(
    "--num-steps", type=click.IntRange(1), help="Sampling steps  [default: the recipe's]"
)
spacing = click.option(
    "--spacing",
    help="Of the noise levels: uniform, log_snr, karras, or {name: …, option: …}  "
    "[default: the recipe's]",
)
seed = click.option("--seed", type=click.IntRange(0), help="Of the noise  [default: the recipe's]")
sampler = click.option(
    "--sampler", help="Its name, or {name: …, option: …}  [default: the recipe's]"
)

guidance_scale = click.option(
    "--guidance-scale",
    type=click.FloatRange(0),
    help="Towards the class and beyond; 1 is off  [default: the recipe's]",
)
plugin = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=FOLDER,
    help="A plugin in one Python file.",
)
