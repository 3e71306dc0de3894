"""The command ``pipeline compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from . import compared
from .complete import recipes
from .options import changes, device, loudness, num_steps, plugin, store
from .output import as_json, output

if TYPE_CHECKING:
    from ..runs.results import CompareResult, PlanResult


@click.command(
    "compare",
    epilog="""\b
    Examples:
      pipeline compare flowers32_small --swap backbone.upsampler=bilinear,transposed_conv
      pipeline compare mine.yaml theirs.yaml --seeds 5 --budget steps=5000
      pipeline compare my_run my_other_run                                (finished runs)
      pipeline compare mine.yaml --swap sample.sampler=ddim,dpmpp_2m       (retrains nothing)
      pipeline compare mine.yaml theirs.yaml --jobs 4                      (each on a GPU)
      pipeline compare mine.yaml theirs.yaml --on slurm --slurm partition=gpu --slurm gpus=1
      pipeline compare mine.yaml theirs.yaml --plan | parallel             (by other means)

    The same command again goes on where it stopped. Every trial is an ordinary run in runs/.""",
)
@click.argument(
    "sources", metavar="RECIPE_OR_RUN…", nargs=-1, required=True, shell_complete=recipes
)
@click.option(
    "--swap",
    "swaps",
    multiple=True,
    metavar="KEY=V1,V2,…",
    help="Compare these values of one key. Repeatable: every combination.",
)
@changes
@click.option(
    "--seeds",
    type=click.IntRange(1),
    help="Trainings of each, with paired seeds  [default: 3; of finished runs 1]",
)
@click.option("--budget", metavar="steps=N|minutes=N", help="The same training for all.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Repeatable  [default: those that all recipes have, or kid]",
)
@num_steps
@click.option(
    "--effect",
    type=click.FloatRange(0, min_open=True),
    help="The difference that is worth seeing  [default: a tenth of the first's score]",
)
@click.option(
    "--on",
    type=click.Choice(["local", "slurm"]),
    default="local",
    help="Where trials run: here, or as jobs of a cluster  [default: local]",
)
@click.option(
    "--slurm",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of sbatch, like partition=gpu, time=8:00:00 or gpus=1. Repeatable.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Trials at a time  [default: 1 here, on a cluster as many as it lets run]",
)
@click.option("--plan", is_flag=True, help="Print the trials as independent commands; run none.")
@click.option("--name", help="The comparison's folder under runs/  [default: what is compared]")
@plugin
@store
@device
@loudness
@as_json
def compare_command(as_json: bool, plan: bool, **options: Any) -> None:
    """Is it better? Train and score recipes alike, and judge the differences.

    Differences are to the first. With one seed the verdict is about these networks, not about the
    recipes.
    """
    from ..compare.compare import compare  # imports torch

    with output(as_json) as give:
        record = compare(**options, plan=plan)
        if plan:
            give(record, compared.plan_summary(cast("PlanResult", record)))
        else:
            give(record, compared.comparison_summary(cast("CompareResult", record)))
