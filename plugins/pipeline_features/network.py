"""What extractors made from a pretrained network have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline import InputError, Output, fetch

OTHERWISE = (
    "set features.weights to a copy of that file, "
    "or use features without download: --set features=efficientnet_lite0"
)


def bilinear(images: Tensor, size: int) -> Tensor:
    """Resize float images (N, 3, H, W) with values 0 … 255, and scale them to [-1, 1].

    It has half-pixel centres (``align_corners=False``) and no antialias, as in TensorFlow 2 and so
    in the book.
    """
    both = (size, size)
    x = F.interpolate(images, size=both, mode="bilinear", align_corners=False, antialias=False)
    return (x / 255 - 0.5) / 0.5


class NetworkExtractor:
    """Resizes images and runs a network on them."""

    def __init__(
        self,
        name: str,
        digest: str,
        image_size: int,
        network: nn.Module,
        run: Callable[[Tensor], Tensor],
        dim: int,
        *,
        output: Output = "features",
        layer: str = "",
        resize: Callable[[Tensor, int], Tensor] = bilinear,
    ) -> None:
        """``run`` computes (N, dim) from what ``resize`` made of the images, on ``network``.

        ``layer`` is what the id says of where in the network that is.
        """
        at = layer or ("logits" if output == "logits" else "")
        self.id = "/".join(filter(None, [name, digest, str(image_size), resize.__name__, at]))
        self.dim = dim
        self.output: Output = output
        self._size, self._resize = image_size, resize
        # Depthwise and small convolutions are about 1.5 times faster so on CPU.
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._run = run
        self._device = "cpu"

    def to(self, device: str) -> NetworkExtractor:
        """Move the network, as ``nn.Module.to`` does, and return the extractor itself."""
        self._network.to(device)
        self._device = device
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) or grey (N, 1, H, W) -> float32 (N, dim) on the device of ``to``.

        Grey counts as red, green and blue. Raises InputError for other numbers of channels.
        """
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise ValueError(f"needs uint8 (N, 3, H, W), got {images.dtype} {tuple(images.shape)}")
        if images.shape[1] not in (1, 3):
            raise InputError(
                f"features {self.id} need images of 3 channels (RGB) or 1 (grey), "
                f"these have {images.shape[1]}"
            )
        images = images.expand(-1, 3, -1, -1)
        x = self._resize(images.to(self._device).float(), self._size)
        return self._run(x.contiguous(memory_format=torch.channels_last))


def load(file: Path, build: Callable[[], Any]) -> tuple[Any, str]:
    """The network that ``build`` makes, with the weights of a .pth file, and the file's digest.

    The digest is the first 12 hex digits of the SHA-256 of the very bytes that were loaded. Raises
    InputError for a file that is missing or holds anything but exactly this network's weights.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(
            f"weights {file} cannot be read: {error.strerror or error}; correct the path"
        ) from error
    # On the meta device nothing is initialised: faster, and torch's generator stays as it was.
    with torch.device("meta"):
        network = build()
    try:
        state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
        network.load_state_dict(state, assign=True)
    except Exception as error:  # torch names no type for what a wrong file can raise
        raise InputError(
            f"weights {file} do not hold the state dict of {type(network).__name__} "
            f"({str(error).strip().splitlines()[0][:200]}); give the right file"
        ) from error
    return network, hashlib.sha256(content).hexdigest()[:12]


def official(url: str, *, size: int, sha256: str) -> Path:
    """The file of a URL in torch.hub's cache, downloaded if need be and checked either way.

    Another file of this name is kept beside the right one: although the folder is a cache, people
    put weights there by hand. InputError where the file cannot be had.
    """
    file = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[-1])
    try:
        fetch(url, file, size=size, sha256=sha256)
    except (OSError, InputError) as error:
        wrong = isinstance(error, InputError) and file.exists()
        there = f"{file} is another file, and " if wrong else ""
        raise InputError(f"{there}{error}; or {OTHERWISE}") from error
    return file
