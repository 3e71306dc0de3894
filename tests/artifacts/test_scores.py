"""Features of images and scores of features, in the store."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline import InputError
from pipeline.artifacts.embed import embed, extractor_id, read_features
from pipeline.artifacts.files import FEATURES, IMAGES, SAMPLES
from pipeline.artifacts.score import read_score, score
from pipeline.artifacts.session import Session
from pipeline.plugin.registry import Registry
from pipeline.store.hdf5 import as_texts
from pipeline.store.store import Artifact, Store
from pipeline_metrics.inception_score import InceptionScore
from pipeline_metrics.kid import KID
from pipeline_metrics.precision_recall import PrecisionRecall
from tests.helpers.means import Means, MeansExtractor, pictures


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(Registry(), Store(tmp_path))


def kept(images: Tensor, session: Session) -> Artifact:
    """Images as an artifact of samples."""

    def build(folder: Path) -> None:
        with h5py.File(folder / SAMPLES, "w") as file:
            file["images"] = images.numpy()

    return session.store.get_or_build("samples", {"sum": int(images.sum())}, build)


def embedded(images: Tensor, session: Session, features: Means | None = None) -> Artifact:
    return embed(kept(images, session), "all", features or Means(), session)


def test_features_are_made_once_for_the_same_images_and_weights(session: Session) -> None:
    images = pictures(100)
    first = embedded(images, session)
    assert torch.equal(read_features(first)[:], MeansExtractor()(images))
    assert extractor_id(first) == "means"
    with h5py.File(first.path / FEATURES) as file:
        assert file["features"].fletcher32
    extractor = session.extractor(Means())
    assert isinstance(extractor, MeansExtractor)
    calls = extractor.calls
    assert calls > 0
    again = embedded(images, session)
    assert (again.key, again.reused, extractor.calls) == (first.key, True, calls)
    changed = images.clone()
    changed[0, 0, 0, 0] ^= 1
    other_weights = Means(weights="other weights")
    for other in (embedded(changed, session), embedded(images, session, other_weights)):
        assert other.key != first.key
        assert not other.reused


def test_each_half_of_prepared_images_has_its_features(session: Session) -> None:
    images, validation = pictures(150), np.arange(150) % 3 == 0

    def build(folder: Path) -> None:
        with h5py.File(folder / IMAGES, "w") as file:
            file["images"], file["validation"] = images.numpy(), validation
            file["labels"] = np.full(150, -1)
            file["class_names"] = as_texts([])

    prepared = session.store.get_or_build("images", {}, build)
    for part, chosen in (("validation", validation), ("train", ~validation)):
        features = read_features(embed(prepared, part, Means(), session))[:]
        assert torch.equal(features, MeansExtractor()(images[torch.from_numpy(chosen)]))


def test_scores_are_kept_with_their_protocol(session: Session) -> None:
    real, fake = (embedded(pictures(n, seed=n), session) for n in (40, 30))
    protocol = {"sampler": {"name": "ddim", "eta": 0.0}, "num_steps": 5, "split": "validation"}
    found = read_score(score(real, fake, KID(), protocol, session))
    expected = KID()(read_features(real)[:], read_features(fake)[:])
    assert (found.value, found.standard_error) == (expected.value, expected.standard_error)
    assert found.protocol == {**expected.protocol, **protocol, "extractor": "means"}
    assert score(real, fake, KID(), protocol, session).reused
    other = KID(estimator="batch_mean", batch_size=8)
    assert not score(real, fake, other, protocol, session).reused


def test_features_of_different_extractors_are_not_compared(session: Session) -> None:
    real, fake = (embedded(pictures(10), session, Means(weights=name)) for name in ("a", "b"))
    with pytest.raises(InputError, match="only features of one extractor"):
        score(real, fake, KID(), {}, session)


def test_parts_and_what_was_not_looked_at_come_back_from_the_store(session: Session) -> None:
    real, fake = (embedded(pictures(n, seed=n), session) for n in (40, 30))
    found = read_score(score(real, fake, PrecisionRecall(k=2), {}, session))
    assert found.parts == PrecisionRecall(k=2)(read_features(real)[:], read_features(fake)[:]).parts
    assert set(found.parts) == {"precision", "recall"}
    assert (found.protocol["num_real"], found.protocol["num_fake"]) == (40, 30)
    blind = read_score(score(real, fake, InceptionScore(), {}, session))
    assert blind.protocol["num_fake"] == 30
    assert "num_real" not in blind.protocol
