"""Large photos are read one at a time, and as many small ones as before."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pipeline.artifacts.prepare as module
from pipeline import InputError, open_rgb
from pipeline.artifacts import room as limits
from pipeline.artifacts.prepare import write_images
from pipeline.artifacts.room import LARGE, MOST, Room
from pipeline.diffusion.images import Images
from pipeline_datasets.image_folder import ImageFolder


@pytest.mark.parametrize(
    ("pixels", "most"),
    [(1_000_000, 8), (LARGE, 8), (LARGE + 1, 1), (MOST, 1), (10 * MOST, 1)],
)
def test_photos_at_a_time(pixels: int, most: int) -> None:
    room, lock = Room(), threading.Lock()
    inside, seen = 0, 0

    def read(_: int) -> None:
        nonlocal inside, seen
        with room.of_photo("x.png") as take:
            take(pixels)
            with lock:
                inside += 1
                seen = max(seen, inside)
            time.sleep(0.02)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(16)))
    assert seen == most


def test_the_pixels_of_all_photos_are_bounded() -> None:
    room, lock = Room(), threading.Lock()
    sizes = [LARGE - 1, MOST, 5_000_000, LARGE + 1, 100 * MOST, 0] * 8
    inside: list[int] = []
    broken: list[list[int]] = []

    def read(pixels: int) -> None:
        with room.of_photo("x.png") as take:
            take(pixels)
            with lock:
                inside.append(pixels)
                if sum(inside) > MOST and sum(n > 0 for n in inside) > 1:
                    broken.append(list(inside))
            time.sleep(0.001)
            with lock:
                inside.remove(pixels)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(read, sizes))
    assert not broken


def test_prepared_bytes_do_not_depend_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        noise = np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
    source, none = ImageFolder(root=folder)(), np.arange(6) > 3
    monkeypatch.setattr(module, "cores", lambda: 4)
    write_images(tmp_path / "many.h5", source, (), none)
    monkeypatch.setattr(limits, "LARGE", 100)
    monkeypatch.setattr(limits, "MOST", 200)
    write_images(tmp_path / "one.h5", source, (), none)
    both = [Images(tmp_path / name).batch(range(6)) for name in ("many.h5", "one.h5")]
    assert both[0].equal(both[1])
    assert capsys.readouterr().err.count("photos so large are read one at a time") == 1


def test_pillows_own_warning_is_not_shown(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "x.png")
    program = (
        "from pathlib import Path; from PIL import Image; from pipeline import open_rgb; "
        f"Image.MAX_IMAGE_PIXELS = 1000; open_rgb(Path({str(tmp_path / 'x.png')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stderr == b""


def test_what_has_no_header_takes_no_room(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    os.mkfifo(tmp_path / "pipe.png")
    asked: list[int] = []
    for name in ("x.png", "gone.png", "pipe.png"):
        with pytest.raises(InputError):
            open_rgb(tmp_path / name, asked.append)
    assert not asked
    open_rgb(Image.new("L", (3, 5)), asked.append)
    assert asked == [15]
