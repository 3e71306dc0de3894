"""Features of images and scores of features, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch

from pipeline import InputError, Rows, Score
from pipeline.diffusion.measure import extract, score_features, score_record
from pipeline.diffusion.rows import kept_rows
from pipeline_metrics.kid import KID
from tests.helpers.means import MeansExtractor, pictures


def test_features_come_a_batch_at_a_time() -> None:
    images, extractor = pictures(10), MeansExtractor()
    batches = extract(extractor, images.split(4))
    assert torch.equal(next(batches), MeansExtractor()(images[:4]))
    assert extractor.calls == 1
    assert torch.equal(torch.cat(list(batches)), MeansExtractor()(images[4:]))


def test_features_of_other_dimensions_are_not_compared() -> None:
    with pytest.raises(InputError, match="same features"):
        score_features(torch.zeros(5, 3), torch.zeros(5, 4), KID(), {})


def test_what_was_not_measured_is_absent() -> None:
    record = score_record(Score(1.5, None, {"metric": "x"}))
    assert record == {"value": 1.5, "protocol": {"metric": "x"}}


class Seen:
    """A metric that keeps what it was called with."""

    higher_is_better, ideal, biased, needs, features = True, 0.0, False, None, None

    def __call__(self, real: Rows, fake: Rows) -> Score:
        self.seen = real, fake
        return Score(float(sum(len(side) for side in self.seen)))


class SeenByRows(Seen):
    by_rows: ClassVar[Literal[True]] = True


def test_a_metric_that_reads_rows_is_not_given_all_of_them(tmp_path: Path) -> None:
    real = torch.zeros(5, 3)
    with kept_rows(3, tmp_path) as fake:
        fake.add(torch.ones(4, 3))
        by_rows, whole = SeenByRows(), Seen()
        assert score_features(real, fake, by_rows, {}).value == 9
        assert by_rows.seen == (real, fake)
        assert score_features(real, fake, whole, {}).protocol["num_fake"] == 4
    assert torch.equal(whole.seen[1], torch.ones(4, 3))
