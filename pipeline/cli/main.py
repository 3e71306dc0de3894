"""The command line: a thin shell over the functions of ``pipeline.commands``.

Each command imports its function when it runs, from the function's own module: help and listings
must not wait seconds for torch.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, cast

import click

from . import summary
from .cache import cache_group
from .compare import compare_command
from .complete import completion_command, recipes, runs
from .dry_run import dry_run_summary
from .export import export_command, import_command, push_command
from .invert import invert_command, reconstruct_command
from .models import models_command
from .options import (
    FOLDER,
    Commands,
    changes,
    classes,
    device,
    ema,
    guidance,
    guidance_scale,
    loudness,
    num_steps,
    photos,
    plugin,
    precision,
    sampler,
    seed,
    spacing,
    store,
    trust_plugins,
)
from .output import as_json, output
from .plugins import plugins_group
from .processes import check, processes, start, wanted
from .recipes import diff_command, schema_command, show_command, validate_command
from .runs import ls_command, rm_command

if TYPE_CHECKING:
    from ..runs.results import DryRunResult, RunResult


class Grid(click.ParamType):  # type: ignore[type-arg]
    """``10x8``: columns and rows."""

    name = "COLUMNSxROWS"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        """Or an error that says how to write it."""
        parts = str(value).lower().replace("×", "x").split("x")
        if len(parts) != 2 or not all(p.isdecimal() and int(p) for p in parts):
            self.fail(f"{value!r} is not like 10x8", param, ctx)
        return int(parts[0]), int(parts[1])


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
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
      pipeline run my.yaml --smoke                              (does all of it work?)
      pipeline run photos --data holiday --size 32              (your own photos)

    The same command again goes on where it stopped, and reuses all that is there.""",
)
@click.argument("recipe", shell_complete=recipes)
@changes
@click.option("--name", help="The run's folder under runs/  [default: the recipe's name + changes]")
@plugin
@click.option("--dry-run", is_flag=True, help="Check everything, data and sizes too; then stop.")
@click.option(
    "--smoke", is_flag=True, help="Two steps, four images: does all of it work? A run of its own."
)
@click.option("--fresh", is_flag=True, help="Make everything anew, whatever is in the store.")
@click.option("--replace", is_flag=True, help="Let --name take the place of another recipe's run.")
@photos
@store
@device
@processes
@loudness
@as_json
@click.pass_context
def run_command(
    ctx: click.Context,
    /,
    as_json: bool,
    dry_run: bool,
    processes: int | str | None,
    **options: Any,
) -> None:
    """Prepare, train, sample and score as RECIPE says, into runs/<name>/."""
    count = wanted(processes, options["device"])
    if count > 1:
        check(count, options["recipe"], options["overrides"], options["plugins"])
        if not dry_run:  # which times the steps of one process
            ctx.exit(start(count))

    from ..runs.run import run

    with output(as_json) as give:
        record = run(**options, dry_run=dry_run)
        if dry_run:
            give(record, dry_run_summary(cast("DryRunResult", record)))
        else:
            give(record, summary.run_summary(cast("RunResult", record)))


@cli.command(
    "sample",
    epilog="""\b
    Examples:
      pipeline sample runs/flowers_ddim --num-images 80 --grid 8x10
      pipeline sample flowers_ddim --sampler ddpm --num-steps 100 --seed 1
      pipeline sample flowers_ddim --sampler '{name: ddim, eta: 0.5}' --weights raw --out drawn
      pipeline sample flowers32_classes --classes rose,sunflower --guidance-scale 3 --grid 8x4
      pipeline sample flowers32 --guidance '{name: autoguidance, run: small}' --guidance-scale 2
      pipeline sample flowers32_fast --ema 0.05       (see train.ema.snapshot_every)
      pipeline sample flowers_ddim --interpolate 8      (each row from one image to another)
      pipeline sample flowers_ddim --image rose.jpg --strength 0.6    (more like it)
      pipeline sample flowers_ddim --image rose.jpg --mask hole.png   (what is white, anew)""",
)
@click.argument("run", type=FOLDER, shell_complete=runs)
@click.option(
    "--num-images",
    type=click.IntRange(1),
    help="How many  [default: the recipe's; with --image 8 or more]",
)
@click.option("--grid", type=Grid(), help="Of grid.png  [default: fits the number of images]")
@num_steps
@spacing
@seed
@sampler
@classes
@guidance
@guidance_scale
@click.option(
    "--interpolate",
    type=click.IntRange(2),
    help="Images from one starting noise to the next, a row",
)
@click.option(
    "--image",
    multiple=True,
    type=FOLDER,
    help="Begin from this image, or a folder of them. Repeatable.",
)
@click.option(
    "--strength",
    type=float,
    help="How far to change images, above 0 and 1 at most  [default: 0.6; with --mask 1]",
)
@click.option(
    "--mask",
    multiple=True,
    type=FOLDER,
    help="White is drawn anew, black is kept: one for all images, or one for each.",
)
@click.option("--checkpoint", type=click.Choice(["best", "last"]), help="[default: best]")
@click.option("--weights", type=click.Choice(["ema", "raw"]), default="ema", show_default=True)
@ema
@precision
@click.option("--out", type=FOLDER, help="Folder for the PNGs  [default: in the run's]")
@plugin
@trust_plugins
@store
@device
@loudness
@as_json
def sample_command(as_json: bool, **options: Any) -> None:
    """Draw images from the trained model of RUN. The dataset need not be there."""
    from ..runs.sample import sample

    for name in ("image", "mask"):
        options[name] = options[name] or None
    with output(as_json) as give:
        drawn = sample(**options)
        give(drawn, summary.sample_summary(drawn))


@cli.command(
    "evaluate",
    epilog="""\b
    Examples:
      pipeline evaluate runs/flowers_ddim --metric kid
      pipeline evaluate my_samples/ --against my_photos/ --metric kid --features efficientnet_lite0
      pipeline evaluate flowers_ddim --features efficientnet_lite0 --features efficientnet_lite2
      pipeline evaluate my_samples/ --against runs/flowers_ddim""",
)
@click.argument("what", metavar="RUN_OR_FOLDER", type=FOLDER, shell_complete=runs)
@click.option(
    "--against", type=FOLDER, help="Real images: a folder, or a run's  [default: its own]"
)
@click.option("--metric", "metrics", multiple=True, default=["kid"], show_default=True)
@click.option("--features", multiple=True, help="Network, or several  [default: the run's]")
@click.option("--size", type=click.IntRange(1), help="Of the images of two folders, in pixels")
@click.option(
    "--num-images", type=click.IntRange(2), help="Samples of a run  [default: its recipe's]"
)
@num_steps
@spacing
@seed
@sampler
@guidance
@guidance_scale
@ema
@precision
@plugin
@trust_plugins
@store
@device
@loudness
@as_json
def evaluate_command(as_json: bool, **options: Any) -> None:
    """Score a run's samples, or a folder of images, against real images."""
    from ..runs.evaluate import evaluate

    with output(as_json) as give:
        scored = evaluate(**options)
        give(scored, summary.evaluate_summary(scored))


@cli.command(
    "init",
    epilog="""\b
    Examples:
      pipeline init my.yaml --data holiday
      pipeline init my.yaml --data species --size 32 --conditional""",
)
@click.argument("recipe", type=FOLDER)
@photos
@device
def init_command(recipe: Path, data: Path | None, **options: Any) -> None:
    """Write a commented recipe for a folder of photos, to be edited and run."""
    from ..runs.photos import init

    if data is None:
        raise click.UsageError("give the folder of photos: --data DIR")
    init(recipe, data, **options)
    click.echo(f"{recipe}\nNext: pipeline run {quote(str(recipe))} --dry-run")


@cli.command("report", epilog="\b\nExample:\n  pipeline report flowers_ddim runs/flowers32_ddim")
@click.argument("runs", metavar="RUN…", nargs=-1, required=True, type=FOLDER, shell_complete=runs)
@store
@loudness
@as_json
def report_command(as_json: bool, **options: Any) -> None:
    """Write the page of each finished RUN, or comparison, anew: one HTML file."""
    from ..runs.page import report

    with output(as_json) as give:
        pages = report(**options)
        give(pages, "\n".join(page["report"] for page in pages))


for command in (
    export_command,
    import_command,
    push_command,
    models_command,
    invert_command,
    reconstruct_command,
    compare_command,
    ls_command,
    rm_command,
    validate_command,
    show_command,
    diff_command,
    schema_command,
    completion_command,
    plugins_group,
    cache_group,
):
    cli.add_command(command)
