"""The 2015 Inception against torch-fidelity's, with the same random weights and the same images."""

import hashlib
import urllib.request
from pathlib import Path

import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
)
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from pipeline import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_features import inception_fid
from pipeline_features.inception_fid import InceptionFID, tensorflow1
from tests.helpers.inception import LAYERS, SIZES, pictures
from tests.helpers.server import LOGIN, Answer


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


@pytest.fixture
def cached(server, weights, monkeypatch, tmp_path):
    """Where torch.hub keeps the file, which a server here has: the random weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    content = weights.read_bytes()
    monkeypatch.setattr(inception_fid, "URL", server.give("inception.pth", content))
    monkeypatch.setattr(inception_fid, "FILE_SIZE", len(content))
    monkeypatch.setattr(inception_fid, "SHA256", hashlib.sha256(content).hexdigest())
    return tmp_path / "checkpoints/inception.pth"


def test_the_official_file_is_downloaded_once_checked_and_used(cached, server, ours):
    before = torch.get_rng_state()
    for _ in range(2):
        assert InceptionFID()().id == ours[2048].id
    assert torch.equal(torch.get_rng_state(), before)
    assert server.asked == ["inception.pth"]


def test_a_wrong_file_in_the_cache_is_kept_beside_the_right_one(cached, ours):
    cached.parent.mkdir()
    cached.write_bytes(LOGIN)
    assert InceptionFID()().id == ours[2048].id
    assert cached.with_name("inception.pth.wrong").read_bytes() == LOGIN


def test_a_log_in_page_never_gets_into_the_cache(cached, server):
    server.give("inception.pth", Answer(LOGIN, kind="text/html"))
    with pytest.raises(InputError) as error:
        InceptionFID()()
    for part in (inception_fid.URL, "an HTML page came", "features.weights", "efficientnet_lite0"):
        assert part in str(error.value)
    assert list(cached.parent.iterdir()) == []


def test_without_network_one_error_says_what_to_do(monkeypatch, tmp_path):
    def nowhere(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", nowhere)
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
    registry = Registry.load()
    for options, message in (
        ({"dims": 1024}, "dims: should be 64, 192, 768 or 2048, got 1024"),
        ({"dims": 64, "output": "logits"}, "leave out dims 64"),
        ({"output": "logit"}, "did you mean 'logits'"),
    ):
        with pytest.raises(InputError, match=message):
            build_stage(registry, "features", {"name": "inception_fid", **options})
