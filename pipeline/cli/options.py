"""Options that several commands have."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class Commands(click.Group):
    """Lists commands with their whole first sentences, which click cuts at the width."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A line or two for each."""
        rows = [(name, command.get_short_help_str(1000)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Place(click.Path):
    """A path, in which ``~`` is the home folder also where no shell has said so."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The path."""
        return super().convert(os.path.expanduser(value), param, ctx)


def _be_quiet(ctx: click.Context, _: click.Parameter, quiet: bool) -> None:
    if quiet:
        from ..progress import be_quiet  # help must not wait for rich

        be_quiet()
        logging.getLogger().setLevel(logging.ERROR)
        ctx.call_on_close(lambda: be_quiet(False))


def _be_verbose(_: click.Context, __: click.Parameter, verbose: bool) -> None:
    if verbose:
        logging.getLogger("pipeline").setLevel(logging.INFO)


def loudness(command: Callable[..., Any]) -> Callable[..., Any]:
    """``-q`` and ``-v``: how much is told on stderr."""
    quiet = click.option(
        "-q", "--quiet", is_flag=True, expose_value=False, callback=_be_quiet,
        help="Tell results and errors only.",
    )  # fmt: skip
    verbose = click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=_be_verbose,
        help="Tell each artifact with its key, its time and why it was built.",
    )  # fmt: skip
    return quiet(verbose(command))


class Classes(click.ParamType):  # type: ignore[type-arg]  # click 8.2 has no arguments there
    """``3,17`` or ``rose,sunflower``; a list in brackets where names have commas."""

    name = "CLASS,CLASS,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """Names or numbers; which there are, the model knows."""
        if str(value).startswith("["):
            from ..recipe.load import texts_of  # help must not wait for YAML

            return texts_of(value, "--classes")
        parts = str(value).split(",")
        if not all(part.strip() for part in parts):
            self.fail(f"{value!r} is not like 3,17 or rose,sunflower", param, ctx)
        return parts


FOLDER = Place(path_type=Path)
store = click.option(
    "--store", type=FOLDER, help="Where artifacts are kept  [default: $PIPELINE_STORE or .pipeline]"
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, cuda:1, mps, xpu; auto: the first there is of cuda, mps, xpu, cpu",
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

classes = click.option(
    "--classes",
    type=Classes(),
    help="By number or name, in turn  [default: the recipe's; with --image none]",
)
guidance = click.option(
    "--guidance",
    help="How it is guided: classifier_free, interval, {name: autoguidance, run: …}  "
    "[default: the recipe's]",
)
guidance_scale = click.option(
    "--guidance-scale",
    type=click.FloatRange(0),
    help="Towards the class and beyond; 1 is off  [default: the recipe's]",
)
precision = click.option(
    "--precision",
    type=click.Choice(["float32", "tf32", "bf16", "fp16", "auto"]),
    help="What the network computes in  [default: the recipe's]",
)
ema = click.option(
    "--ema",
    type=float,
    help="Draw with weights averaged over this share of the training, such as 0.1",
)
plugin = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=FOLDER,
    help="A plugin in one Python file.",
)

trust_plugins = click.option(
    "--trust-plugins", is_flag=True, help="Load the plugin files that an exported run brings: code."
)


def photos(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--data``, ``--size`` and ``--conditional``: a folder of photos."""
    data = click.option("--data", type=FOLDER, help="A folder of your own photos.")
    size = click.option(
        "--size", type=int, default=64, show_default=True, help="Of their pictures, in pixels."
    )
    conditional = click.option(
        "--conditional", is_flag=True, help="Tell the network the class: sub-folders are classes."
    )
    return data(size(conditional(command)))
