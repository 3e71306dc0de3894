"""``pipeline export``: a run as others can use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import FOLDER, loudness, plugin, store
from .output import as_json, output

half = click.option("--half", is_flag=True, help="Weights as float16: half the size.")
raw = click.option("--raw", is_flag=True, help="The weights that were averaged too.")
images = click.option("--images", is_flag=True, help="The prepared images too, to compare scores.")
about = click.option("--about", type=FOLDER, help="Markdown for the card: the data, the licence.")


@click.command(
    "export",
    epilog="""\b
    Examples:
      pipeline export flowers_ddim flowers.zip --half
      pipeline export runs/flowers_ddim flowers/ --images
      pipeline export flowers_ddim flowers.onnx --to onnx
      pipeline export my_unet2d unet2d/ --to diffusers   (DiffusionPipeline.from_pretrained)
      pipeline sample flowers.zip                        (on any machine)""",
)
@click.argument("run", type=FOLDER)
@click.argument("out", type=FOLDER)
@half
@raw
@images
@about
@click.option(
    "--to",
    type=click.Choice(["run", "onnx", "diffusers"]),
    default="run",
    help="For other programs: the network, or a DDIMPipeline.",
)
@plugin
@store
@loudness
@as_json
def export_command(as_json: bool, **options: Any) -> None:
    """Write RUN into OUT, a new folder or a new .zip, for use on any machine without the store."""
    from ..format import byte_size
    from ..runs.export import export

    with output(as_json) as give:
        done = export(**options)
        kind = "averaged and raw" if "raw" in done["weights"] else "averaged"
        if options["to"] != "run":
            give(done, f"{done['path']}, {byte_size(done['size'])}: the averaged network, tried")
            return
        lines = [
            f"{done['run']} exported, {byte_size(done['size'])}: {kind} weights in {done['dtype']}"
            + (", prepared images" if done["images"] else ""),
            f"  card    {Path(done['path']) / 'README.md'}",
            f"  use it  pipeline sample {done['path']}",
        ]
        if done["plugins"]:
            names = ", ".join(done["plugins"])
            lines.insert(1, f"  plugin files, code that others must trust: {names}")
        give(done, "\n".join(lines))


@click.command(
    "import",
    epilog="""\b
    Examples:
      pipeline import ddpm-flowers-64/ runs/flowers64
      pipeline sample flowers64 --num-images 4
      pipeline run runs/flowers64/recipe.yaml --set train.init=flowers64 --name mine""",
)
@click.argument("folder", type=FOLDER)
@click.argument("out", type=FOLDER)
@loudness
@as_json
def import_command(as_json: bool, **options: Any) -> None:
    """Make a run, OUT, of a DDPMPipeline or DDIMPipeline that diffusers saved in FOLDER."""
    from ..runs.imported import import_

    with output(as_json) as give:
        done = import_(**options)
        lines = [
            f"{done['run']} imported: {done['parameters']:,} parameters",
            f"  recipe   {Path(done['path']) / 'recipe.yaml'}",
            f"  use it   pipeline sample {done['path']} --num-images 4",
        ]
        give(done, "\n".join(lines))


@click.command(
    "push",
    epilog="""\b
    Examples:
      pipeline push flowers_ddim me/flowers --half --about licence.md
      pipeline sample hf://me/flowers                    (anywhere)""",
)
@click.argument("run", type=FOLDER)
@click.argument("address", metavar="ADDRESS")
@click.option("--private", is_flag=True, help="Only you see it, where it is new.")
@half
@raw
@images
@about
@store
@loudness
@as_json
def push_command(as_json: bool, **options: Any) -> None:
    """Export RUN to the model hub, as ADDRESS (user/name): hf://user/name is a run then."""
    from ..runs.push import push

    with output(as_json) as give:
        done = push(**options)
        lines = [
            f"{done['run']} is {done['address']}",
            f"  use it  pipeline sample {done['address']}",
        ]
        give(done, "\n".join(lines))
