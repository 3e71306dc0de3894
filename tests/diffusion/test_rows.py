"""Rows that are read when they are asked for."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from pipeline import InputError
from pipeline.diffusion.rows import StoredRows, kept_rows
from pipeline_metrics.blocks import blocks

VALUES = np.arange(50 * 4, dtype=np.float32).reshape(50, 4)
PARTS = (
    slice(None),
    slice(3, 11),
    slice(45, 99),
    slice(0, 0),
    slice(3, 40, 5),
    torch.tensor([9, 3, 3, 40]),
)


@pytest.fixture
def rows(tmp_path: Path) -> StoredRows:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("features", data=VALUES, chunks=(8, 4), fletcher32=True)
    return StoredRows(tmp_path / "x.h5", "features", np.float32, 2)


def test_rows_are_those_of_the_file(rows: StoredRows) -> None:
    assert (len(rows), rows.shape) == (50, (50, 4))
    for part in (
        slice(None),
        slice(3, 11),
        slice(45, 99),
        slice(0, 0),
        torch.tensor([9, 3, 3, 40]),
    ):
        assert torch.equal(rows[part], torch.from_numpy(VALUES)[part])


def test_blocks_are_all_rows_in_order(rows: StoredRows) -> None:
    sizes = [len(block) for block in blocks(rows, 20)]
    assert sizes == [20, 20, 10]
    assert torch.equal(torch.cat(list(blocks(rows, 20))), torch.from_numpy(VALUES))


def test_a_file_without_them_is_damaged(rows: StoredRows) -> None:
    with pytest.raises(InputError, match="is damaged"):
        StoredRows(rows.path, "images", np.uint8, 4)


@pytest.mark.parametrize("most", [10_000, 100])
def test_rows_are_kept_in_memory_or_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("pipeline.diffusion.rows.MOST_IN_MEMORY", most)
    values = torch.from_numpy(VALUES)
    with kept_rows(4, tmp_path) as kept:
        assert kept.shape == (0, 4)
        for block in values.split(7):
            kept.add(block)
            assert torch.equal(kept[len(kept) - 1 :], block[-1:])
        assert (len(kept), kept.shape) == (50, (50, 4))
        for part in PARTS:
            assert torch.equal(kept[part], values[part])
    assert list(tmp_path.iterdir()) == []
