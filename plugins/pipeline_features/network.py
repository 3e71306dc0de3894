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

from pipeline import InputError


class NetworkExtractor:
    """Resizes images bilinearly, scales them to [-1, 1] and runs a network on them.

    The resize is of the uint8 values as float, with half-pixel centres (``align_corners=False``)
    and no antialias, as TensorFlow's and so the book's.
    """

    def __init__(
        self,
        name: str,
        digest: str,
        image_size: int,
        network: nn.Module,
        features: Callable[[Tensor], Tensor],
        dim: int,
    ) -> None:
        self.id = f"{name}/{digest}/{image_size}/bilinear"
        self.dim = dim
        self._size = image_size
        # Depthwise and small convolutions are about 1.5 times faster so on CPU.
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._features = features
        self._device = "cpu"

    def to(self, device: str) -> NetworkExtractor:
        """Move the network, as ``nn.Module.to`` does, and return the extractor itself."""
        self._network.to(device)
        self._device = device
        return self

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> float32 (N, dim) on the device of ``to``.

        Raises InputError for other than three channels.
        """
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise ValueError(f"needs uint8 (N, 3, H, W), got {images.dtype} {tuple(images.shape)}")
        if images.shape[1] != 3:
            raise InputError(
                f"features {self.id} need images of 3 channels (RGB), these have {images.shape[1]}"
            )
        size = (self._size, self._size)
        x = images.to(self._device).float()
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=False)
        x = (x / 255 - 0.5) / 0.5
        return self._features(x.contiguous(memory_format=torch.channels_last))


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
