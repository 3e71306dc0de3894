"""The commands between images and noise: ``pipeline invert`` and ``pipeline reconstruct``."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import click

from .options import FOLDER, Classes, device, plugin, sampler, spacing, store, trust_plugins

# What they call is imported when they run: help must not wait for torch.


@click.command(
    "invert",
    epilog="""\b
    Examples:
      pipeline invert flowers_ddim rose.jpg --out rose.safetensors
      pipeline invert flowers_ddim photos/ --num-steps 200 --out photos.safetensors
      pipeline invert flowers32_classes rose.jpg --classes rose --out rose.safetensors""",
)
@click.argument("run", type=FOLDER)
@click.argument("images", metavar="IMAGE…", nargs=-1, required=True, type=FOLDER)
@click.option("--num-steps", type=click.IntRange(1), help="Sampling steps  [default: 50]")
@sampler
@spacing
@click.option("--classes", type=Classes(), help="By number or name, in turn  [default: no class]")
@click.option("--checkpoint", type=click.Choice(["best", "last"]), default="best")
@click.option("--weights", type=click.Choice(["ema", "raw"]), default="ema", show_default=True)
@click.option("--out", type=FOLDER, required=True, help="A new file, ….safetensors.")
@plugin
@trust_plugins
@store
@device
def invert_command(**options: Any) -> None:
    """Find the noise from which RUN's model draws each IMAGE, a file or a folder."""
    from ..runs.invert import invert

    noise = invert(**options)
    squares = noise.flatten(1).square().mean(1)
    click.echo(
        f"noise of {_images(noise)}, variance {squares.min():.2f} to {squares.max():.2f}\n"
        f"  noise  {options['out']}\n"
        f"  back   pipeline reconstruct {options['run']} {options['out']} --out back.png"
    )


@click.command(
    "reconstruct",
    epilog="""\b
    Examples:
      pipeline reconstruct flowers_ddim rose.safetensors --out rose_again.png
      pipeline reconstruct flowers32_classes rose.safetensors --classes lily --out as_lily.png""",
)
@click.argument("run", type=FOLDER)
@click.argument("noise", type=FOLDER)
@click.option("--num-steps", type=click.IntRange(1), help="Sampling steps  [default: NOISE's]")
@click.option("--sampler", help="Its name, or {name: …, option: …}  [default: NOISE's]")
@click.option("--spacing", help="Of the noise levels  [default: NOISE's]")
@click.option("--classes", type=Classes(), help="By number or name, in turn  [default: NOISE's]")
@click.option("--checkpoint", type=click.Choice(["best", "last"]), help="[default: NOISE's]")
@click.option("--weights", type=click.Choice(["ema", "raw"]), help="[default: NOISE's]")
@click.option("--out", type=FOLDER, required=True, help="A new PNG: the image, or a grid.")
@plugin
@trust_plugins
@store
@device
def reconstruct_command(**options: Any) -> None:
    """Draw the images of NOISE, a file that ``pipeline invert`` wrote, with RUN's model."""
    from ..runs.invert import reconstruct

    images = reconstruct(**options)
    click.echo(f"{_images(images)} drawn from {options['noise']}\n  picture  {options['out']}")


def _images(batch: Sized) -> str:
    return "1 image" if len(batch) == 1 else f"{len(batch)} images"
