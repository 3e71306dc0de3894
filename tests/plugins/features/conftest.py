"""Networks that take seconds to load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import (
    FeatureExtractorInceptionV3,
)

from pipeline_features.efficientnet_lite import EfficientNetLite0
from pipeline_features.inception_2015 import Inception2015
from pipeline_features.inception_fid import InceptionFID
from pipeline_features.network import NetworkExtractor
from tests.helpers.inception import LAYERS, SIZES, pictures


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Random, so that each of the 94 convolutions passes on about as much as it gets."""
    draw = torch.Generator().manual_seed(0)
    state = Inception2015().state_dict()
    for name, value in state.items():
        if value.dim() > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=draw)
        elif name.endswith(("bn.weight", "running_var")):
            value.uniform_(0.5, 1.5, generator=draw)
        elif value.is_floating_point():
            value.normal_(0, 0.2, generator=draw)
    file = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(state, file)
    return file


@pytest.fixture(scope="module")
def theirs(weights) -> dict[tuple[int, int], dict[str, Tensor]]:
    """All layers of torch-fidelity's, for each size."""
    layers = list(LAYERS.values())
    network = FeatureExtractorInceptionV3("theirs", layers, feature_extractor_weights_path=weights)
    with torch.no_grad():
        return {size: dict(zip(layers, network(pictures(*size)), strict=True)) for size in SIZES}


@pytest.fixture(scope="module")
def ours(weights) -> dict[int | str, NetworkExtractor]:
    """One for each layer."""
    options = [{"output": "logits"} if n == "logits" else {"dims": n} for n in LAYERS]
    return {n: InceptionFID(weights=weights, **o)() for n, o in zip(LAYERS, options, strict=True)}


@pytest.fixture(scope="module")
def lite0():
    return EfficientNetLite0()()
