"""Datasets, preprocessors and augmentations."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import InputError
from pipeline.plugin.draws import Draws
from pipeline.store import fetch
from pipeline.store.store import Store
from pipeline_augmentations.horizontal_flip import HorizontalFlip
from pipeline_datasets.flowers102 import CLASS_NAMES, Flowers102
from pipeline_datasets.image_folder import ImageFolder
from pipeline_datasets.procedural_flowers import SPECIES, ProceduralFlowers
from pipeline_preprocessors.center_crop import CenterCrop
from pipeline_preprocessors.greyscale import Greyscale
from pipeline_preprocessors.resize import Resize
from tests.helpers.pictures import digest, save


class TestFlowers102:
    def test_parts_are_joined_in_order(self, flowers_tree: Path) -> None:
        source = Flowers102(root=flowers_tree, verify=False)()
        assert [int(source.image(i).stem[-5:]) for i in range(12)] == [
            *(5, 6, 7, 8),
            *(1, 2, 3, 4),
            *(12, 11, 10, 9),
        ]
        assert source.labels == [1, 2, 0, 1, 0, 1, 2, 0, 2, 1, 0, 2]
        assert source.parts == ["train"] * 4 + ["val"] * 4 + ["test"] * 4
        assert len(source) == 12

    def test_class_names_are_torchvisions(self) -> None:
        from torchvision.datasets import Flowers102 as Torchvision

        assert list(CLASS_NAMES) == Torchvision.classes

    def test_nothing_there_is_one_error_that_says_what_to_do(
        self, tmp_path: Path, offline: list[str]
    ) -> None:
        with pytest.raises(InputError) as caught:
            Flowers102(root=tmp_path)()
        message = str(caught.value)
        for needed in (
            *("102flowers.tgz", "imagelabels.mat", "setid.mat", "recipes/quickstart.yaml"),
            str(tmp_path / "flowers-102"),
            "no network in tests",
        ):
            assert needed in message
        assert offline

    def test_download_false_never_asks(self, tmp_path: Path, offline: list[str]) -> None:
        with pytest.raises(InputError, match="jpg/ is missing"):
            Flowers102(root=tmp_path, download=False)()
        assert not offline

    def test_a_silent_server_is_given_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from threading import Event

        monkeypatch.setattr(fetch, "SECONDS", 0.05)
        monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Event().wait(20))
        with pytest.raises(InputError, match="no answer"):
            Flowers102(root=tmp_path)()

    @pytest.mark.parametrize("download", [True, False])
    def test_verify_notices_another_mat(
        self, flowers_tree: Path, offline: list[str], download: bool
    ) -> None:
        folder = flowers_tree / "flowers-102"
        before = {path.name: path.stat().st_ino for path in folder.iterdir()}
        with pytest.raises(InputError, match=r"imagelabels\.mat has another SHA-256") as caught:
            Flowers102(root=flowers_tree, download=download)()
        assert "setid.mat has another SHA-256; verify: false reads it" in str(caught.value)
        assert bool(offline) == download
        assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before

    def test_an_archive_is_extracted_without_network(
        self, flowers_tree: Path, offline: list[str]
    ) -> None:
        folder = flowers_tree / "flowers-102"
        before = Flowers102(root=flowers_tree, verify=False)().fingerprint(digest)
        with tarfile.open(folder / "102flowers.tgz", "w:gz") as tar:
            tar.add(folder / "jpg", "jpg")
        (folder / "jpg").rename(folder.parent / "old")
        source = Flowers102(root=flowers_tree, verify=False, download=False)()
        assert source.fingerprint(digest) == before
        assert not offline
        assert not list(folder.glob(".extracting*"))

    def test_a_damaged_archive_is_named(self, flowers_tree: Path) -> None:
        folder = flowers_tree / "flowers-102"
        (folder / "jpg").rename(folder / "elsewhere")
        (folder / "102flowers.tgz").write_bytes(b"half")
        with pytest.raises(InputError, match=r"102flowers\.tgz has another SHA-256"):
            Flowers102(root=flowers_tree, download=False)()

    def test_missing_photos_are_named_together(self, flowers_tree: Path) -> None:
        for i in (2, 7):
            (flowers_tree / f"flowers-102/jpg/image_{i:05d}.jpg").unlink()
        with pytest.raises(InputError, match="2 of 12 photos") as caught:
            Flowers102(root=flowers_tree, verify=False)()
        assert "image_00002.jpg" in str(caught.value)
        assert "image_00007.jpg" in str(caught.value)

    def test_a_mat_that_cannot_be_read(self, flowers_tree: Path) -> None:
        (flowers_tree / "flowers-102/setid.mat").write_bytes(b"MATLAB 5.0 MAT-file nonsense")
        with pytest.raises(InputError, match=r"setid\.mat cannot be read"):
            Flowers102(root=flowers_tree, verify=False)()

    def test_one_pixel_changes_the_fingerprint(self, flowers_tree: Path) -> None:
        source = Flowers102(root=flowers_tree, verify=False)()
        before = source.fingerprint(digest)
        image = Image.open(source.image(3)).convert("RGB")
        image.putpixel((0, 0), (0, 0, 0))
        image.save(source.image(3))
        assert source.fingerprint(digest) != before

    def test_the_real_flowers_as_torchvision_reads_them(self, real_flowers: Path) -> None:
        from torchvision.datasets import Flowers102 as Torchvision

        source = Flowers102(root=real_flowers, download=False)()
        paths, labels, parts = [], [], []
        for part in ("train", "val", "test"):
            theirs = Torchvision(root=real_flowers, split=part)
            paths += theirs._image_files
            labels += theirs._labels
            parts += [part] * len(theirs)
        assert [source.image(i) for i in range(len(source))] == paths
        assert source.labels == labels
        assert source.parts == parts

    def test_listing_imports_neither_torch_nor_torchvision(self, flowers_tree: Path) -> None:
        code = (
            "import sys; from pipeline_datasets.flowers102 import Flowers102 as F\n"
            f"F(root={str(flowers_tree)!r}, verify=False)()\n"
            "assert not {'torch', 'torchvision'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestProceduralFlowers:
    def test_an_image_depends_on_seed_and_index_alone(self) -> None:
        few, many = ProceduralFlowers(num_images=3)(), ProceduralFlowers(num_images=30)()
        many.image(20)
        assert few.image(2).tobytes() == many.image(2).tobytes()
        assert few.labels == many.labels[:3]
        assert few.image(2).tobytes() != few.image(1).tobytes()
        other = ProceduralFlowers(num_images=3, seed=1)()
        assert few.image(2).tobytes() != other.image(2).tobytes()

    def test_every_species_is_drawn(self) -> None:
        source = ProceduralFlowers(num_images=200)()
        assert set(source.labels) == set(range(len(SPECIES)))
        assert len(source.class_names) == len(set(source.class_names)) == len(SPECIES)

    @pytest.mark.parametrize("size", [8, 33, 64])
    def test_size_and_mode(self, size: int) -> None:
        image = ProceduralFlowers(num_images=1, size=size)().image(0)
        assert (image.mode, image.size) == ("RGB", (size, size))

    def test_the_same_picture_at_any_size(self) -> None:
        def at(size: int, index: int = 0) -> Any:
            image = ProceduralFlowers(num_images=2, size=size, grain=0)().image(index)
            return np.asarray(image.resize((16, 16), Image.BOX), float)

        assert np.abs(at(64) - at(128)).mean() < 3  # of 255
        assert np.abs(at(64) - at(128, 1)).mean() > 20

    def test_grain_is_independent_noise(self) -> None:
        clean, grainy = (
            np.asarray(ProceduralFlowers(num_images=1, grain=grain)().image(0), float)
            for grain in (0.0, 0.05)
        )
        noise = (grainy - clean)[(clean > 40) & (clean < 215)] / 255
        assert abs(noise.mean()) < 0.005
        assert noise.std() == pytest.approx(0.05, rel=0.05)

    def test_colours_tell_species_apart(self) -> None:
        """Pixels in the middle classify far above chance: labels belong to the pictures."""
        source = ProceduralFlowers(num_images=400, size=32)()
        x = np.stack([np.asarray(source.image(i), float)[8:24, 8:24].ravel() for i in range(400)])
        labels = np.array(source.labels)
        distance = ((x[300:, None] - x[None, :300]) ** 2).sum(-1)
        assert (labels[distance.argmin(1)] == labels[300:]).mean() > 0.4


class TestPreprocessors:
    def test_center_crop(self) -> None:
        image = torch.arange(3 * 5 * 8.0).reshape(3, 5, 8)
        assert torch.equal(CenterCrop()(image), image[:, :, 1:6])
        assert torch.equal(CenterCrop()(image.mT), image.mT[:, 1:6])
        assert torch.equal(CenterCrop()(image[:, :, :5]), image[:, :, :5])

    def test_center_crop_to_a_rectangle(self) -> None:
        image = torch.arange(3 * 6 * 10.0).reshape(3, 6, 10)
        assert torch.equal(CenterCrop(aspect=1.5)(image), image[:, :, :9])
        assert torch.equal(CenterCrop(aspect=0.5)(image), image[:, :, 3:6])
        assert torch.equal(CenterCrop(aspect=2.5)(image), image[:, 1:5])
        assert CenterCrop(aspect=100)(image).shape == (3, 1, 10)

    @pytest.mark.parametrize("shape", [(3, 50, 50), (3, 40, 70), (3, 9, 9), (1, 16, 16)])
    @pytest.mark.parametrize("size", [(16, 16), (16, 24), (31, 7)])
    def test_resize_is_torchvisions(
        self, shape: tuple[int, int, int], size: tuple[int, int]
    ) -> None:
        from torchvision.transforms.v2.functional import resize

        image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        theirs = resize(image, list(size), antialias=True)
        assert torch.equal(Resize(size=size)(image), theirs)
        if size[0] == size[1]:
            assert torch.equal(Resize(size=size[0])(image), theirs)

    def test_greyscale_is_pillows(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        grey = Greyscale()(torch.from_numpy(pixels).permute(2, 0, 1) / 255)
        assert grey.shape == (1, 9, 7)
        difference = (grey[0] * 255).round().numpy() - np.asarray(
            Image.fromarray(pixels).convert("L")
        )
        assert np.abs(difference).max() <= 1  # Pillow cuts off what is below half
        assert Greyscale()(grey) is grey

    def test_resize_halves_like_pillow(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
        pillow = Image.fromarray(pixels).resize((20, 20), Image.BILINEAR)
        ours = Resize(size=20)(torch.from_numpy(pixels)[None] / 255)[0] * 255
        assert np.abs(ours.numpy() - np.asarray(pillow)).max() < 1


class TestHorizontalFlip:
    images = torch.arange(400 * 3 * 2 * 4).reshape(400, 3, 2, 4).to(torch.uint8)

    def flip(self, probability: float, rows: range = range(400)) -> torch.Tensor:
        draws = Draws(0, "train", rows)
        batch = self.images[rows.start : rows.stop]
        return HorizontalFlip(probability=probability)(batch, draws)

    def test_all_and_none(self) -> None:
        assert torch.equal(self.flip(1.0), self.images.flip(-1))
        assert torch.equal(self.flip(0.0), self.images)

    def test_half_of_them_whole(self) -> None:
        flipped = (self.flip(0.5) == self.images.flip(-1)).flatten(1).all(1)
        same = (self.flip(0.5) == self.images).flatten(1).all(1)
        assert torch.all(flipped ^ same)
        assert abs(int(flipped.sum()) - 200) < 50  # 5 standard deviations

    def test_a_row_does_not_depend_on_its_batch(self) -> None:
        assert torch.equal(self.flip(0.5, range(100, 140)), self.flip(0.5)[100:140])

    def test_probability_has_bounds(self) -> None:
        with pytest.raises(ValueError, match="less than or equal to 1"):
            HorizontalFlip(probability=1.5)


class TestContent:
    """What a photo's key is made from is its bytes, and nothing else."""

    def source(self, root: Path) -> Any:
        for name in "ab":
            save(root / f"{name}.png")
        return ImageFolder(root=root)()

    @pytest.mark.parametrize("harm", [b"rubbish!!!" * 500, b""])
    def test_other_photos_have_another_key_whatever_the_memory_of_digests_is(
        self, tmp_path: Path, harm: bytes
    ) -> None:
        store = Store(tmp_path / "store")
        (store.root / "digests.sqlite").write_bytes(harm)
        source = self.source(tmp_path / "photos")
        before = source.fingerprint(store.digest)
        assert source.fingerprint(Store(store.root).digest) == before
        for path in source.paths:
            Image.new("RGB", (8, 8), "black").save(path)
        assert source.fingerprint(Store(store.root).digest) != before
