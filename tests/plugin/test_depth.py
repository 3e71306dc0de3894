"""Pictures of 16 bits a channel."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline import InputError, open_rgb

VALUES = np.random.default_rng(0).integers(0, 2**16, (4, 5, 4), dtype=np.uint16)
VALUES[..., 3] = 2**16 - 1  # opaque


def png(values: np.ndarray, colour_type: int, *chunks: bytes) -> bytes:
    """A PNG of 16 bits, as its specification says: Pillow writes none in colour."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"".join([b"\x89PNG\r\n\x1a\n", header, *chunks, data, chunk(b"IEND", b"")])


def chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def rounded(values: np.ndarray) -> np.ndarray:
    """To the nearest of 256 levels, as RGB."""
    channels = values[..., :3] if values.shape[-1] > 2 else values[..., [0, 0, 0]]
    return np.round(channels / 257).astype(np.uint8)


@pytest.mark.parametrize(
    ("colour_type", "channels"), [(0, [0]), (2, [0, 1, 2]), (4, [0, 3]), (6, [0, 1, 2, 3])]
)
@pytest.mark.parametrize("opened", [False, True], ids=["file", "bytes"])
def test_a_png_is_rounded(
    tmp_path: Path, colour_type: int, channels: list[int], opened: bool
) -> None:
    values = VALUES[..., channels]
    content = png(values, colour_type)
    (tmp_path / "deep.png").write_bytes(content)
    picture = Image.open(BytesIO(content)) if opened else tmp_path / "deep.png"
    assert np.array_equal(np.asarray(open_rgb(picture)), rounded(values))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_is_rounded(
    tmp_path: Path, channels: int, compression: str | None, order: str
) -> None:
    values = VALUES[..., :channels]
    tifffile.imwrite(
        tmp_path / "deep.tif",
        values if channels > 1 else values[..., 0],
        photometric="rgb" if channels > 1 else "minisblack",
        extrasamples=["unassalpha"] if channels == 4 else None,
        compression=compression,
        byteorder=order,
    )
    assert np.array_equal(np.asarray(open_rgb(tmp_path / "deep.tif")), rounded(values))


def test_it_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    turned = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "turned.png").write_bytes(png(VALUES, 6, turned))
    upright = np.rot90(rounded(VALUES), -1)
    assert np.array_equal(np.asarray(open_rgb(tmp_path / "turned.png")), upright)


def test_half_transparent_is_over_white(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[:2, ..., 3] = 0
    (tmp_path / "clear.png").write_bytes(png(values, 6))
    pixels = np.asarray(open_rgb(tmp_path / "clear.png"))
    assert (pixels[:2] == 255).all()
    assert np.array_equal(pixels[2:], rounded(values)[2:])


def test_a_transparent_colour_is_refused(tmp_path: Path) -> None:
    clear = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    (tmp_path / "clear.png").write_bytes(png(VALUES[..., :3], 2, clear))
    with pytest.raises(InputError, match=r"clear\.png: has 16 bits a channel and a transparent"):
        open_rgb(tmp_path / "clear.png")


def test_half_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(png(VALUES, 6)[:120])
    with pytest.raises(InputError, match=r"cut\.png: "):
        open_rgb(tmp_path / "cut.png")
