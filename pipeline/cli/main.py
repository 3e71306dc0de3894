"""The command line: a thin shell over the functions of ``pipeline.commands``.

Each command imports its function when it runs, from the function's own module: help and listings
must not wait seconds for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from . import summary
from .cache import cache_group
from .compare import compare_command
from .options import (
    FOLDER,
    changes,
    device,
    guidance_scale,
    num_steps,
    plugin,
    sampler,
    seed,
    spacing,
    store,
)
from .output import as_json, output
from .plugins import plugins_group
from .recipes import diff_command, show_command, validate_command

if TYPE_CHECKING:
    from ..runs.results import DryRunResult, RunResult


class Grid(click.ParamType[tuple[int, int]]):
    """``10x8``: columns and rows."""

    name = "COLUMNSxROWS"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Or an error that says how to write it."""
        parts = str(value).lower().replace("×", "x").split("x")
        if len(parts) != 2 or not all(p.isdecimal() and int(p) for p in parts):
            self.fail(f"{value!r} is not like 10x8", param, ctx)
        return int(parts[0]), int(parts[1])


class Classes(click.ParamType[list[str]]):
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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="diffusion-pipeline", prog_name="pipeline")
def cli() -> None:
    """Image diffusion models from pluggable stages: train, sample and score from one recipe.

    \b
    pipeline run recipes/quickstart.yaml               draw flowers, in minutes, without a download
    pipeline run recipes/flowers_ddim.yaml --dry-run   check a recipe against its data
    pipeline sample runs/quickstart --num-images 80 --grid 10x8
    pipeline plugins                                   what can be named in a recipe
    """


@cli.command(
    "run",
    epilog="""\b
    Examples:
      pipeline run recipes/quickstart.yaml
      pipeline run recipes/flowers_ddim.yaml --set backbone.upsampler=transposed_conv
      pipeline run recipes/flowers_ddim.yaml --set sample.sampler=ddpm   (retrains nothing)
      pipeline run my.yaml --plugin my_sampler.py --set sample.sampler=mine

    The same command again goes on where it stopped, and reuses all that is there.""",
)
@click.argument("recipe")
@changes
@click.option("--name", help="The run's folder under runs/  [default: the recipe's name + changes]")
@plugin
@click.option("--dry-run", is_flag=True, help="Check everything, data and sizes too; then stop.")
@click.option("--fresh", is_flag=True, help="Make everything anew, whatever is in the store.")
@click.option("--replace", is_flag=True, help="Let --name take the place of another recipe's run.")
@store
@device
@as_json
def run_command(as_json: bool, dry_run: bool, **options: Any) -> None:
    """Prepare, train, sample and score as RECIPE says, into runs/<name>/."""
    from ..runs.run import run

    with output(as_json) as give:
        record = run(**options, dry_run=dry_run)
        if dry_run:
            give(record, summary.dry_run_summary(cast("DryRunResult", record)))
        else:
            give(record, summary.run_summary(cast("RunResult", record)))


@cli.command(
    "sample",
    epilog="""\b
    Examples:
      pipeline sample runs/flowers_ddim --num-images 80 --grid 10x8
      pipeline sample flowers_ddim --sampler ddpm --num-steps 100 --seed 1
      pipeline sample flowers_ddim --sampler '{name: ddim, eta: 0.5}' --weights raw --out drawn
      pipeline sample flowers32_classes --classes rose,sunflower --guidance-scale 3 --grid 8x4
      pipeline sample flowers_ddim --interpolate 8      (each row from one image to another)""",
)
@click.argument("run", type=FOLDER)
@click.option("--num-images", type=click.IntRange(1), help="How many  [default: the recipe's]")
@click.option("--grid", type=Grid(), help="Of grid.png  [default: the recipe's columns]")
@num_steps
@spacing
@seed
@sampler
@click.option(
    "--classes", type=Classes(), help="By number or name, in turn  [default: the recipe's]"
)
@guidance_scale
@click.option(
    "--interpolate",
    type=click.IntRange(2),
    help="Images from one starting noise to the next, a row",
)
@click.option("--checkpoint", type=click.Choice(["best", "last"]), default="best")
@click.option("--weights", type=click.Choice(["ema", "raw"]), default="ema", show_default=True)
@click.option("--out", type=FOLDER, help="Folder for the PNGs  [default: in the run's]")
@plugin
@store
@device
@as_json
def sample_command(as_json: bool, **options: Any) -> None:
    """Draw images from the trained model of RUN. The dataset need not be there."""
    from ..runs.sample import sample

    with output(as_json) as give:
        drawn = sample(**options)
        give(drawn, summary.sample_summary(drawn))


@cli.command(
    "evaluate",
    epilog="""\b
    Examples:
      pipeline evaluate runs/flowers_ddim --metric kid
      pipeline evaluate my_samples/ --against my_photos/ --metric kid --features efficientnet_lite0
      pipeline evaluate my_samples/ --against runs/flowers_ddim""",
)
@click.argument("what", metavar="RUN_OR_FOLDER", type=FOLDER)
@click.option(
    "--against", type=FOLDER, help="Real images: a folder, or a run's  [default: its own]"
)
@click.option("--metric", "metrics", multiple=True, default=["kid"], show_default=True)
@click.option("--features", help="Network for the features  [default: the run's]")
@click.option("--size", type=click.IntRange(1), help="Of the images of two folders, in pixels")
@click.option(
    "--num-images", type=click.IntRange(2), help="Samples of a run  [default: its recipe's]"
)
@num_steps
@spacing
@seed
@sampler
@guidance_scale
@plugin
@store
@device
@as_json
def evaluate_command(as_json: bool, **options: Any) -> None:
    """Score a run's samples, or a folder of images, against real images."""
    from ..runs.evaluate import evaluate

    with output(as_json) as give:
        scored = evaluate(**options)
        give(scored, summary.evaluate_summary(scored))


@cli.command("report", epilog="\b\nExample:\n  pipeline report flowers_ddim runs/flowers32_ddim")
@click.argument("runs", metavar="RUN…", nargs=-1, required=True, type=FOLDER)
@store
@as_json
def report_command(as_json: bool, **options: Any) -> None:
    """Write the page of each finished RUN, or comparison, anew: one HTML file."""
    from ..runs.page import report

    with output(as_json) as give:
        pages = report(**options)
        give(pages, "\n".join(page["report"] for page in pages))


for command in (
    compare_command,
    validate_command,
    show_command,
    diff_command,
    plugins_group,
    cache_group,
):
    cli.add_command(command)
