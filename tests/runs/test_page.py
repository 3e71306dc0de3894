"""The page of a comparison from files that are damaged or a stranger's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.runs.page import report
from pipeline.store.checked import write_json


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"rubbish",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': '|u1'(\n",
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 99999, 3, 999, 999)}".ljust(
            0x76 - 37
        )
        + b"\n",
        "other shape",
        "other type",
        "objects",
    ],
)
def test_a_damaged_pictures_npy_is_one_line(tmp_path: Path, content: bytes | str) -> None:
    record = {"variants": [{"name": "a"}, {"name": "b"}]}
    write_json(tmp_path / "compare.json", record)
    file = tmp_path / "pictures.npy"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        arrays = {
            "other shape": np.zeros((3, 1, 3, 4, 4), np.uint8),
            "other type": np.zeros((2, 1, 3, 4, 4)),
            "objects": np.array([{}, {}]),
        }
        np.save(file, arrays[content], allow_pickle=True)
    with pytest.raises(InputError, match=r"pictures\.npy is damaged.*compare again") as caught:
        report([tmp_path])
    assert "\n" not in str(caught.value)
