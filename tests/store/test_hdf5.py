"""HDF5 files: errors of the disk are raised and crash nothing; strangers' files are refused."""

import errno
import io
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.diffusion.images import Images
from pipeline.errors import InputError
from pipeline.store.checked import Damaged
from pipeline.store.hdf5 import as_texts, check_disk, gather, reading, write_rows, writing

PIXELS = np.arange(40 * 3 * 8 * 8).astype(np.uint8).reshape(40, 3, 8, 8)


def fill(file) -> None:
    images = file.create_dataset(
        "images", PIXELS.shape, np.uint8, chunks=(8, 3, 8, 8), fletcher32=True
    )
    for i in range(0, 40, 8):
        images[i : i + 8] = PIXELS[i : i + 8]
    file["labels"] = np.zeros(40, np.int64)
    file["validation"] = np.arange(40) % 5 == 0
    file["class_names"] = as_texts(["rose", "fléur"])
    file.attrs["id"] = as_texts(["x"])


def write(path: Path) -> Path:
    with writing(path) as file:
        fill(file)
    return path


def test_what_is_written_is_read(tmp_path) -> None:
    path = write(tmp_path / "images.h5")
    images = Images(path)
    assert (images.shape, images.class_names) == ((3, 8, 8), ["rose", "fléur"])
    assert np.array_equal(images.pixels(range(40)), PIXELS)
    with reading(path) as data:
        assert data.text("id") == "x"
    with h5py.File(path) as file:
        assert file["images"].fletcher32


@pytest.mark.parametrize("size", [1, 7, 8, 20, 40])
def test_blocks_of_rows_are_the_file_that_all_of_them_are(tmp_path, size) -> None:
    """Whatever their lengths, to the byte."""
    whole, pieces = tmp_path / "whole.h5", tmp_path / "pieces.h5"
    with writing(whole) as file:
        file.create_dataset("images", data=PIXELS, chunks=(8, 3, 8, 8), fletcher32=True)
    with writing(pieces) as file:
        blocks = (PIXELS[i : i + size] for i in range(0, 40, size))
        write_rows(file, "images", blocks, PIXELS.shape, 8)
    assert pieces.read_bytes() == whole.read_bytes()


def test_a_block_is_written_before_the_next_one_is_asked_for(tmp_path) -> None:
    asked = []

    def blocks(file):
        for i in range(0, 40, 8):
            asked.append([bool(rows.any()) for rows in file["images"][:]] if i else [])
            yield PIXELS[i : i + 8] | 1

    with writing(tmp_path / "images.h5") as file:
        write_rows(file, "images", blocks(file), PIXELS.shape, 8)
    assert [sum(written) for written in asked] == [0, 8, 16, 24, 32]


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ([PIXELS[:39]], "39 rows, not 40"),
        ([PIXELS, PIXELS[:1]], "41 rows, not 40"),
        ([], "0 rows, not 40"),
        ([PIXELS[:8], PIXELS[8:, :1]], "rows of shape"),
    ],
)
def test_other_rows_than_were_said_are_an_error(tmp_path, blocks, told) -> None:
    with (
        pytest.raises(ValueError, match=told),
        writing(tmp_path / "images.h5") as file,
    ):
        write_rows(file, "images", blocks, PIXELS.shape, 8)


@pytest.mark.parametrize("indices", [[3], [39, 0, 0, 17, 16, 3, 39], [], range(40), [30, 2, 31, 3]])
def test_rows_of_any_indices_are_read_in_their_order(tmp_path, indices) -> None:
    path = write(tmp_path / "images.h5")
    wanted = np.array(indices, np.int64)
    with h5py.File(path) as file:
        assert np.array_equal(gather(file["images"], wanted), PIXELS[wanted])


class Failing(io.FileIO):
    """A file of which the k-th write fails."""

    writes, k, number = 0, 0, 0

    def write(self, data: object) -> int:
        type(self).writes += 1
        if self.writes >= self.k > 0:
            raise OSError(self.number, "refused")
        return super().write(data)  # type: ignore[arg-type]


@pytest.fixture
def failing(monkeypatch):
    opened = Path.open

    def open_failing(path, mode="r", buffering=-1, **kwargs):
        return Failing(path, "w+") if buffering == 0 else opened(path, mode, buffering, **kwargs)

    monkeypatch.setattr(Path, "open", open_failing)
    monkeypatch.setattr(Failing, "writes", 0)
    monkeypatch.setattr(Failing, "k", 0)
    return Failing


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT])
def test_an_error_at_any_write_is_raised_with_its_path(tmp_path, failing, number) -> None:
    path = write(tmp_path / "images.h5")
    failing.number = number
    for k in range(1, failing.writes + 1):
        failing.writes, failing.k = 0, k
        with pytest.raises(OSError, match="refused") as caught:
            write(path)
        assert (caught.value.errno, caught.value.filename) == (number, str(path))


def test_a_full_disk_is_told_before_all_is_written(tmp_path, failing) -> None:
    failing.k, failing.number = 1, errno.ENOSPC

    def work() -> None:
        with writing(tmp_path / "images.h5") as file:
            for i in range(1000):
                file[f"{i}"] = PIXELS
                check_disk(file)
                assert i < 10

    with pytest.raises(OSError, match="refused"):
        work()


def test_a_limit_of_the_system_does_not_crash_the_process(tmp_path) -> None:
    code = f"""
import resource
from pathlib import Path
from tests.store.test_hdf5 import write
for size in (0, 100, 2000, 8192):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        write(Path({str(tmp_path / "images.h5")!r}))
    except OSError as error:
        assert error.errno == {errno.EFBIG}, error
    else:
        raise SystemExit("written")
"""
    assert resource.RLIMIT_FSIZE
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# --- strangers


def external_link(file, other: Path) -> None:
    file["images"] = h5py.ExternalLink(str(other), "images")


def soft_link(file, other: Path) -> None:
    file["real"] = PIXELS
    file["images"] = h5py.SoftLink("/real")


def virtual(file, other: Path) -> None:
    layout = h5py.VirtualLayout(PIXELS.shape, np.uint8)
    layout[:] = h5py.VirtualSource(str(other), "images", PIXELS.shape)
    file.create_virtual_dataset("images", layout)


def external_storage(file, other: Path) -> None:
    file.create_dataset("images", PIXELS.shape, np.uint8, external=[(str(other), 0, PIXELS.size)])


def bomb_of_zeros(file, other: Path) -> None:
    file.create_dataset("images", (10**6, 3, 64, 64), np.uint8, chunks=(1000, 3, 64, 64))


def bomb_of_gzip(file, other: Path) -> None:
    file.create_dataset("images", data=np.zeros((2000, 3, 8, 8), np.uint8), compression="gzip")


def bomb_of_a_chunk(file, other: Path) -> None:
    file.create_dataset(
        "images", (8, 3, 8, 8), np.uint8, maxshape=(None, 3, 8, 8), chunks=(10**7, 3, 8, 8)
    )


def group(file, other: Path) -> None:
    file.create_group("images")


def other_type(file, other: Path) -> None:
    file["images"] = PIXELS.astype(np.float32)


def other_shape(file, other: Path) -> None:
    file["images"] = PIXELS[0]


def nothing(file, other: Path) -> None:
    file["images"] = h5py.Empty(np.uint8)


def fewer(file, other: Path) -> None:
    file["images"] = PIXELS[:39]


def renamed(file, other: Path) -> None:
    file["pictures"] = PIXELS


@pytest.mark.parametrize(
    "harm",
    [
        external_link,
        soft_link,
        virtual,
        external_storage,
        bomb_of_zeros,
        bomb_of_gzip,
        bomb_of_a_chunk,
        group,
        other_type,
        other_shape,
        nothing,
        fewer,
        renamed,
    ],
)
def test_images_that_are_not_as_we_write_them_are_refused(tmp_path, harm) -> None:
    other, path = write(tmp_path / "other.h5"), tmp_path / "images.h5"
    with h5py.File(path, "w") as file:
        fill(file)
        del file["images"]
        harm(file, other)
    with pytest.raises(Damaged, match=r"images\.h5 is damaged: \S"):
        Images(path)


def test_texts_of_variable_length_are_refused(tmp_path) -> None:
    path = write(tmp_path / "images.h5")
    with h5py.File(path, "r+") as file:
        del file["class_names"], file.attrs["id"]
        file.create_dataset("class_names", (2,), h5py.string_dtype(), data=["rose", "fléur"])
        file.attrs["id"] = "x"
    with pytest.raises(Damaged, match="class_names is no list of texts"):
        Images(path)
    with reading(path) as data, pytest.raises(Damaged, match="id is no text"):
        data.text("id")


@pytest.mark.parametrize("texts", [[], ["a"], ["", "\N{SNOWMAN} x", "caf\udce9.jpg"]])
def test_texts_are_read_as_they_were_written(tmp_path, texts) -> None:
    with writing(tmp_path / "texts.h5") as file:
        file["texts"] = as_texts(texts)
    with reading(tmp_path / "texts.h5") as data:
        assert data.texts("texts") == texts


@pytest.mark.parametrize("labels", [np.full(40, 2), np.full(40, -2)])
def test_labels_without_a_class_are_refused(tmp_path, labels) -> None:
    path = write(tmp_path / "images.h5")
    with h5py.File(path, "r+") as file:
        file["labels"][:] = labels
    with pytest.raises(Damaged, match="belong together"):
        Images(path)


def test_files_that_are_cut_or_no_hdf5_are_refused(tmp_path) -> None:
    path = write(tmp_path / "images.h5")
    whole = path.read_bytes()
    for data in [b"", b"<html>", *(whole[:n] for n in range(0, len(whole), 97))]:
        path.write_bytes(data)
        with pytest.raises(InputError, match="images"):
            Images(path)
