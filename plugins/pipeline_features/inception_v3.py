"""Inception v3: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, as torchvision has it."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, FilePath
from torch import nn

from pipeline import InputError, IOOnly, stage

from .network import NetworkExtractor, load

_OTHERWISE = (
    "set features.weights to a copy of that file, "
    "or use features without download: --set features=efficientnet_lite0"
)


@stage
class InceptionV3:
    """Global average pool, 2048 features; torchvision's ImageNet weights (IMAGENET1K_V1).

    These are not the weights of the usual FID and KID tables (TensorFlow's of 2015): compare values
    with values of the same extractor id only.
    """

    image_size: Annotated[int, Field(ge=75)] = 75
    """Images are resized to this height and width, in pixels: 75 as in the book, or 299."""
    weights: Annotated[FilePath | None, IOOnly()] = None
    """A .pth file with the state dict; none: torch.hub's cache, downloaded on first use (104 MB).
    The extractor's id holds the file's digest, so what is kept is of these weights."""

    def __call__(self) -> NetworkExtractor:
        """Load the weights. Raises InputError when they cannot be had: never other weights."""
        from torchvision.models import Inception3  # late: takes seconds

        network, digest = load(
            self.weights or _official(),
            lambda: Inception3(transform_input=False, init_weights=False),
        )
        network.fc = nn.Identity()  # the auxiliary head is not run in eval mode
        return NetworkExtractor("inception_v3", digest, self.image_size, network, network, 2048)


def _official() -> Path:
    """Torchvision's file in torch.hub's cache, downloaded if need be and checked either way."""
    from torchvision.models import Inception_V3_Weights

    url = Inception_V3_Weights.IMAGENET1K_V1.url
    file = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[-1])
    wanted = file.stem.rsplit("-", 1)[-1]  # torch.hub's convention: name-<start of SHA-256>.pth
    if not file.exists():
        _download(url, file, wanted)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if not found.startswith(wanted):
        raise InputError(
            f"{file} is not {url}: its SHA-256 starts with {found[:8]}; delete it, or {_OTHERWISE}"
        )
    return file


def _download(url: str, file: Path, digest: str) -> None:
    """To a temporary neighbour, checked, then renamed. Gives up after 10 s without an answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(10)  # torch.hub sets none, and would wait for ever
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), digest)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{url} cannot be downloaded ({error}): {_OTHERWISE}") from error
    finally:
        socket.setdefaulttimeout(before)
