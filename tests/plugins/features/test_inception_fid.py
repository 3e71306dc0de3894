"""The 2015 Inception against torch-fidelity's, with the same random weights and the same images."""

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from pipeline import InputError
from pipeline.plugin.registry import Registry
from pipeline_features import inception_fid
from pipeline_features.inception_2015 import Inception2015
from pipeline_features.inception_fid import InceptionFID, tensorflow1
from pipeline_features.network import NetworkExtractor

SIZES = [(32, 32), (320, 401)]
LAYERS = {64: "64", 192: "192", 768: "768", 2048: "2048", "logits": "logits_unbiased"}


def pictures(height: int, width: int) -> Tensor:
    """Two: noise, and darker noise with a bright half. uint8 (2, 3, H, W)."""
    draw = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (2, 3, height, width), generator=draw).float()
    noise[1] *= 0.3
    noise[1, :2, height // 2 :] += 150
    return noise.byte()


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


@pytest.mark.parametrize("layer", LAYERS)
def test_is_torch_fidelitys_extractor(layer, ours, theirs):
    for size in SIZES:
        expected, found = theirs[size][LAYERS[layer]], ours[layer](pictures(*size))
        assert found.dtype == torch.float32
        assert found.shape == expected.shape == (2, ours[layer].dim)
        assert (expected[0] - expected[1]).abs().max() > 0.02 * expected.abs().max()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.std()))


@pytest.mark.parametrize("size", [*SIZES, (299, 299), (1, 7), (299, 1), (1000, 75)])
def test_the_resize_is_tensorflow_1s_bit_for_bit(size):
    images = pictures(*size).float()
    expected = interpolate_bilinear_2d_like_tensorflow1x(images, (299, 299), align_corners=False)
    assert torch.equal(tensorflow1(images, 299), (expected - 128) / 128)


def test_the_resize_by_hand():
    """To twice the size, TensorFlow 1 takes places 0, ½, 1, 1½ of two pixels; the last repeats."""
    row = torch.tensor([0.0, 128.0]).reshape(1, 1, 1, 2).expand(1, 3, 2, 2)
    assert torch.equal(tensorflow1(row, 4)[0, 0, 0], torch.tensor([-1.0, -0.5, 0.0, 0.0]))


def test_the_id_holds_all_that_a_comparison_needs(weights, ours):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    for layer, extractor in ours.items():
        assert extractor.id == f"inception_fid/{digest}/299/tensorflow1/{LAYERS[layer]}"
        assert extractor.output == ("logits" if layer == "logits" else "features")
    assert [extractor.dim for extractor in ours.values()] == [64, 192, 768, 2048, 1008]


def test_the_official_file_is_torch_fidelitys():
    assert inception_fid.URL == URL_INCEPTION_V3
    assert Path(inception_fid.URL).stem.endswith(f"-{inception_fid.SHA256[:8]}")
    assert len(inception_fid.SHA256) == 64


def test_the_official_file_is_checked_and_used(weights, ours, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cached = tmp_path / "checkpoints/weights-inception-2015-12-05-6726825d.pth"
    cached.parent.mkdir()
    cached.write_bytes(weights.read_bytes())
    with pytest.raises(InputError, match="delete it, or set features"):
        InceptionFID()()
    monkeypatch.setattr(inception_fid, "SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    before = torch.get_rng_state()
    assert InceptionFID()().id == ours[2048].id
    assert torch.equal(torch.get_rng_state(), before)


def test_without_network_one_error_says_what_to_do(monkeypatch, tmp_path):
    def nowhere(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", nowhere)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError) as error:
        InceptionFID()()
    for part in (inception_fid.URL, "no network", "features.weights", "efficientnet_lite0"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_options_and_weights_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth do not hold the state dict of Inception2015"):
        InceptionFID(weights=tmp_path / "other.pth")()
    build = Registry.load().build
    for options, message in (
        ({"dims": 1024}, "dims: should be 64, 192, 768 or 2048, got 1024"),
        ({"dims": 64, "output": "logits"}, "leave out dims 64"),
        ({"output": "logit"}, "did you mean 'logits'"),
    ):
        with pytest.raises(InputError, match=message):
            build("features", {"name": "inception_fid", **options})
