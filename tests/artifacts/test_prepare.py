"""From files to the prepared dataset: decoding, splitting, writing and reading back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from pipeline import InputError
from pipeline.artifacts.files import IMAGES
from pipeline.artifacts.prepare import (
    TOGETHER,
    _in_order,
    prepare,
    preprocessed,
    read_images,
    write_images,
)
from pipeline.artifacts.session import Session
from pipeline.artifacts.split import halves, split_indices
from pipeline.diffusion.grid import to_tensor
from pipeline.diffusion.images import Images
from pipeline.plugin import photo
from pipeline.plugin.photo import open_rgb
from pipeline.plugin.registry import Registry
from pipeline.recipe.schema import Split
from pipeline.store.store import Store
from pipeline_datasets.flowers102 import Flowers102
from pipeline_datasets.image_folder import ImageFolder
from pipeline_datasets.procedural_flowers import ProceduralFlowers
from pipeline_preprocessors.center_crop import CenterCrop
from pipeline_preprocessors.resize import Resize

PARTS = ["train"] * 1020 + ["val"] * 1020 + ["test"] * 6149
SQUARE = (CenterCrop(), Resize(size=16))
RED, WHITE = (255, 0, 0), (255, 255, 255)


def pixel(path: Path) -> Any:
    image = open_rgb(path)
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


class TestOpenRgb:
    @pytest.mark.parametrize(
        ("mode", "colour", "expected"),
        [
            ("RGB", RED, RED),
            ("L", 90, (90, 90, 90)),
            ("1", 1, WHITE),
            ("LA", (0, 0), WHITE),
            ("LA", (90, 255), (90, 90, 90)),
            ("RGBA", (255, 0, 0, 0), WHITE),
            ("RGBA", (255, 0, 0, 255), RED),
            ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
        ],
    )
    def test_modes_become_rgb(
        self, tmp_path: Path, mode: str, colour: Any, expected: tuple[int, int, int]
    ) -> None:
        Image.new(mode, (4, 4), colour).save(tmp_path / "a.png")
        assert pixel(tmp_path / "a.png") == expected

    def test_palette(self, tmp_path: Path) -> None:
        image = Image.new("P", (4, 4), 1)
        image.putpalette([0, 255, 0, 255, 0, 0])
        image.save(tmp_path / "opaque.png")
        image.save(tmp_path / "clear.png", transparency=1)
        assert pixel(tmp_path / "opaque.png") == RED
        assert pixel(tmp_path / "clear.png") == WHITE

    def test_cmyk(self, tmp_path: Path) -> None:
        Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.tif")
        assert pixel(tmp_path / "a.tif") == RED

    def test_exif_rotation(self, tmp_path: Path) -> None:
        image = Image.new("RGB", (6, 4), "white")
        image.putpixel((0, 3), RED)  # bottom left
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned a quarter clockwise: bottom left becomes top left
        image.save(tmp_path / "a.png", exif=exif)
        assert open_rgb(tmp_path / "a.png").size == (4, 6)
        assert pixel(tmp_path / "a.png") == RED

    @pytest.mark.parametrize("mode", ["I", "F"])
    def test_deeper_than_sixteen_bits_is_refused(self, tmp_path: Path, mode: str) -> None:
        Image.new(mode, (4, 4)).save(tmp_path / "deep.tif")
        with pytest.raises(InputError, match=r"deep\.tif: has more than 16 bits"):
            open_rgb(tmp_path / "deep.tif")

    @pytest.mark.parametrize("name", ["a.heic", "a.avif"])
    def test_what_phones_make(self, tmp_path: Path, name: str) -> None:
        pytest.importorskip("pillow_heif").register_heif_opener()
        Image.new("RGB", (16, 8), "red").save(tmp_path / name, quality=95)
        red = np.asarray(open_rgb(tmp_path / name), int)
        assert red.shape == (8, 16, 3)
        assert np.abs(red - [255, 0, 0]).max() < 8

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            (
                "a.heic",
                r"a\.heic: HEIC needs pillow-heif: pip install '.*\[photos\]'",
            ),
            ("a.avif", r"a\.avif: AVIF needs Pillow 11\.3 or newer"),
        ],
    )
    def test_what_is_missing_for_them_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
    ) -> None:
        (tmp_path / name).write_bytes(b"a photo")
        monkeypatch.setattr(photo, "find_spec", lambda name: None)
        monkeypatch.setattr(photo.features, "get_supported", list)
        with pytest.raises(InputError, match=words):
            open_rgb(tmp_path / name)

    def test_decompression_bomb(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Image.new("L", (100, 100)).save(tmp_path / "bomb.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        with pytest.raises(InputError, match=r"bomb\.png: .*decompression bomb"):
            open_rgb(tmp_path / "bomb.png")

    def test_to_tensor(self) -> None:
        pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
        tensor = to_tensor(Image.fromarray(pixels))
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, torch.from_numpy(pixels.transpose(2, 0, 1)) / 255)


class TestSplit:
    def test_counts_of_the_flowers(self) -> None:
        validation = split_indices(PARTS, Split())
        assert (int((~validation).sum()), int(validation.sum())) == (6551, 1638)
        training = Counter(np.array(PARTS)[~validation].tolist())
        assert training == {"train": 816, "val": 816, "test": 4919}

    def test_seed_and_nothing_else(self) -> None:
        assert np.array_equal(split_indices(PARTS, Split()), split_indices(PARTS, Split()))
        other = split_indices(PARTS, Split(seed=1))
        assert 0.6 < (other == split_indices(PARTS, Split())).mean() < 0.76  # 0.8² + 0.2² = 0.68

    def test_a_part_does_not_depend_on_the_others(self) -> None:
        alone, both = split_indices(["a"] * 50, Split()), split_indices(["b", "a"] * 50, Split())
        assert np.array_equal(both[1::2], alone)
        assert not np.array_equal(both[::2], alone)

    def test_is_a_shuffle(self) -> None:
        """Validation images are spread evenly: 25 in each hundred, give or take."""
        per_hundred = split_indices(["a"] * 2000, Split(validation=0.25)).reshape(20, 100).sum(1)
        assert per_hundred.sum() == 500
        assert per_hundred.min() > 8
        assert per_hundred.max() < 42

    @pytest.mark.parametrize(
        ("n", "validation", "training"), [(10, 0.9, 1), (10, 0.3, 7), (9, 0.2, 7), (2, 0.5, 1)]
    )
    def test_rounding(self, n: int, validation: float, training: int) -> None:
        assert int((~split_indices(["a"] * n, Split(validation=validation))).sum()) == training

    def test_too_few(self) -> None:
        with pytest.raises(InputError, match="too few"):
            split_indices(["a"], Split())

    def test_every_real_class_is_in_both(self, real_flowers: Path) -> None:
        source = Flowers102(root=real_flowers)()
        validation = split_indices(source.parts, Split())
        labels = np.array(source.labels)
        assert (int((~validation).sum()), int(validation.sum())) == (6551, 1638)
        assert set(labels[validation]) == set(labels[~validation]) == set(range(102))


class TestWrite:
    def test_content(self, written: Path, flowers_tree: Path) -> None:
        source, images = Flowers102(root=flowers_tree, verify=False)(), Images(written)
        assert images.shape == (3, 16, 16)
        assert images.labels.tolist() == source.labels
        assert images.class_names == list(source.class_names)
        assert np.array_equal(images.is_validation, split_indices(source.parts, Split(seed=2)))
        both = np.concatenate([images.indices("train"), images.indices("validation")])
        assert sorted(both.tolist()) == list(range(12))
        expected = np.stack([preprocessed(source.image(i), SQUARE) for i in range(12)])
        assert np.array_equal(images.batch(range(12)).numpy(), expected)

    def test_pixels_are_rounded_once(self, flowers_tree: Path) -> None:
        """Within half a step of the whole computation in float64."""
        source = Flowers102(root=flowers_tree, verify=False)()
        tensor = torch.from_numpy(np.array(Image.open(source.image(0)))).permute(2, 0, 1).double()
        for stage in SQUARE:
            tensor = stage(tensor)
        ours = torch.from_numpy(preprocessed(source.image(0), SQUARE)).double()
        assert (ours - tensor).abs().max() <= 0.5 + 1e-3

    def test_no_labels(self, tmp_path: Path) -> None:
        for i in range(3):
            Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
        write_images(tmp_path / "x.h5", ImageFolder(root=tmp_path)(), (), np.arange(3) > 1)
        assert Images(tmp_path / "x.h5").labels.tolist() == [-1, -1, -1]
        assert Images(tmp_path / "x.h5").class_names == []

    def test_more_images_than_a_chunk(self, tmp_path: Path) -> None:
        source = ProceduralFlowers(num_images=150, size=8)()
        write_images(tmp_path / IMAGES, source, (), np.arange(150) > 100)
        batch = Images(tmp_path / IMAGES).batch(range(150)).numpy()
        for i in (0, 63, 64, 149):
            assert np.array_equal(batch[i], np.asarray(source.image(i)).transpose(2, 0, 1))

    def test_all_broken_files_in_one_error(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        good = tmp_path / "good.jpg"
        Image.fromarray(noise).save(good)
        (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:3000])
        (tmp_path / "empty.png").touch()
        (tmp_path / "README.doc").write_text("no picture")
        (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
        Image.new("F", (8, 8)).save(tmp_path / "deep.tif")
        source = ImageFolder(root=tmp_path)()
        source.fingerprint(str)
        with pytest.raises(InputError, match="5 of 6 images") as caught:
            write_images(tmp_path / IMAGES, source, SQUARE, np.ones(6, bool))
        lines = str(caught.value).splitlines()[1:]
        reasons = dict(line.strip().removeprefix(f"{tmp_path}/").split(": ", 1) for line in lines)
        assert list(reasons) == ["README.doc", "cut.jpg", "deep.tif", "empty.png", "gone.png"]
        assert "truncated" in reasons["cut.jpg"]
        assert "more than 16 bits" in reasons["deep.tif"]
        assert "cannot identify" in reasons["empty.png"]

    def test_the_datasets_own_split_is_kept(self, tmp_path: Path) -> None:
        names = ["train/a.png", "train/b.png", "val/c.png"]
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.new("RGB", (8, 8)).save(tmp_path / name)
        source = ImageFolder(root=tmp_path)()
        assert halves(source, Split(validation=0.9)).tolist() == [False, False, True]
        short = replace(source, held_out=[True])
        with pytest.raises(InputError, match="3 images and 1 of held_out"):
            halves(short, Split())

    def test_a_long_list_is_cut(self, tmp_path: Path) -> None:
        for i in range(25):
            (tmp_path / f"{i:02d}.jpg").touch()
        with pytest.raises(InputError, match=r"25 of 25(.|\n)*and 5 more"):
            write_images(tmp_path / IMAGES, ImageFolder(root=tmp_path)(), (), np.ones(25, bool))

    def test_shapes_that_differ_name_two_images(self, tmp_path: Path) -> None:
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
        Image.new("RGB", (9, 8)).save(tmp_path / "b.png")
        with pytest.raises(InputError, match=r"a\.png is 8×8 .*b\.png is 9×8 .*center_crop"):
            write_images(tmp_path / IMAGES, ImageFolder(root=tmp_path)(), (), np.ones(2, bool))

    def test_torchs_threads_are_as_before(self, written: Path) -> None:
        assert written.exists()
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            source = ProceduralFlowers(num_images=2, size=8)()
            write_images(written.with_name("x.h5"), source, SQUARE, np.array([True, False]))
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)


class TestInOrder:
    def test_order_and_threads(self) -> None:
        meet = threading.Barrier(2, timeout=10)

        def work(i: int) -> int:
            meet.wait()  # only two threads at once get past it
            time.sleep(0.001 * (i % 3))
            return i

        assert list(_in_order(work, range(4 * TOGETHER), 2)) == list(range(4 * TOGETHER))

    def test_few_are_in_flight(self) -> None:
        items = count()
        results = _in_order(lambda i: i, items, 2)
        assert next(results) == 0
        assert next(items) <= 5 * TOGETHER


class TestImages:
    wanted = (7, 2, 2, 11, 0, 7)

    def test_memory_and_file_agree(self, written: Path) -> None:
        held = Images(written)
        held.hold()
        from_memory, everything = held.batch(self.wanted), held.batch(range(12))
        images = Images(written)
        assert torch.equal(images.batch(self.wanted), from_memory)
        assert torch.equal(from_memory, everything[list(self.wanted)])
        with h5py.File(written, "r+"):  # HDF5 would refuse if it were still open for reading
            pass

    def test_memory_reads_once(self, written: Path) -> None:
        images = Images(written)
        images.hold()
        first = images.batch([3])
        written.unlink()
        assert torch.equal(images.batch([3]), first)

    def test_images_that_take_half_of_what_is_free_are_not_held(
        self, written: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images, size = Images(written), 12 * int(np.prod(Images(written).shape))
        for free, held in ((2 * size, False), (2 * size + 1, True)):
            memory = SimpleNamespace(available=free)
            monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
            assert (images.resident("cpu") is not None) == held

    def test_a_batch_is_a_copy(self, written: Path) -> None:
        images = Images(written)
        images.hold()
        images.batch([3]).fill_(7)
        assert not torch.all(images.batch([3]) == 7)

    def test_a_flipped_bit_is_noticed(self, written: Path) -> None:
        pixels = Images(written).batch([0]).numpy().tobytes()
        data = bytearray(written.read_bytes())
        data[data.index(pixels[:64])] ^= 1
        written.write_bytes(data)
        with pytest.raises(InputError, match=r"is damaged: .*filter returned failure"):
            Images(written).batch([0])


class TestPrepare:
    def run(self, root: Path, store: Path, **changes: Any) -> Any:
        made: dict[str, Any] = {
            "dataset": Flowers102(root=root, verify=False),
            "preprocess": SQUARE,
            "split": Split(),
            "on_error": "error",
        }
        recipe: Any = SimpleNamespace(**made | changes)
        return prepare(recipe, Session(Registry.load(), Store(store)))

    def test_reused_until_a_pixel_an_option_or_the_split_changes(
        self, flowers_tree: Path, tmp_path: Path
    ) -> None:
        store = tmp_path / "store"
        first = self.run(flowers_tree, store)
        assert len(read_images(first)) == 12
        moved = flowers_tree.rename(tmp_path / "moved")
        assert self.run(moved, store).path == first.path
        assert self.run(moved, store, preprocess=SQUARE[::-1]).path != first.path
        assert self.run(moved, store, preprocess=(Resize(size=8),)).path != first.path
        assert self.run(moved, store, split=Split(seed=1)).path != first.path
        Image.new("RGB", (30, 30), "red").save(moved / "flowers-102/jpg/image_00003.jpg")
        assert self.run(moved, store).path != first.path
