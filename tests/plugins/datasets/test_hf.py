"""Datasets of Hugging Face, made here and read from the disk; the hub is never asked."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features
from PIL import Image

from pipeline import InputError
from pipeline.artifacts.prepare import prepare_images, read_images
from pipeline.artifacts.session import Session
from pipeline.plugin.photo import open_rgb
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline.store.store import Store
from pipeline_datasets.hf import HF
from pipeline_datasets.image_folder import ImageFolder
from tests.helpers.photos import NAMES, pixels, rows


def hf(path: Path, **options: Any) -> Any:
    return HF(path=str(path), **options)()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_splits_are_parts_in_their_order(photos: Path) -> None:
    source = hf(photos)
    assert len(source) == 8
    assert source.parts == ["train"] * 5 + ["test"] * 3
    assert source.labels == [0, 1, 0, 1, 0, 1, 0, 1]
    assert source.class_names == NAMES
    for i in range(8):
        assert np.array_equal(np.asarray(source.image(i)), pixels(i))
    turned = hf(photos, split=["test", "train"])
    assert turned.parts == ["test"] * 3 + ["train"] * 5
    assert np.array_equal(np.asarray(turned.image(3)), pixels(0))
    assert turned.labels == [1, 0, 1, 0, 1, 0, 1, 0]
    one = hf(photos, split="test")
    assert one.parts == ["test"] * 3
    assert np.array_equal(np.asarray(one.image(0)), pixels(5))
    for index in (3, 8):
        with pytest.raises(IndexError):
            one.image(index)


def test_a_single_dataset_is_one_part(tmp_path: Path) -> None:
    rows(0, 3).save_to_disk(tmp_path / "one")
    assert hf(tmp_path / "one").parts == ["all"] * 3
    with pytest.raises(InputError, match="no split is called 'train'"):
        hf(tmp_path / "one", split="train")


def test_other_columns(photos: Path) -> None:
    source = hf(photos, image_column="thumbnail", label_column="species")
    assert np.array_equal(np.asarray(source.image(6)), pixels(6, 4))
    assert source.class_names == ["ash", "elm", "oak"]
    assert source.labels == [2, 0, 1, 2, 0, 1, 2, 0]
    numbers = hf(photos, label_column="number")
    assert numbers.class_names == ["7", "30"]
    assert numbers.labels == [1, 0] * 4


def test_labels_that_are_withheld_or_missing(tmp_path: Path) -> None:
    rows(0, 3, label=[1, -1, None], species=[None, "b", "a"]).save_to_disk(tmp_path / "a")
    assert hf(tmp_path / "a").labels == [1, None, None]
    assert hf(tmp_path / "a", label_column="species").labels == [None, 1, 0]
    rows(0, 2).remove_columns("label").save_to_disk(tmp_path / "b")
    source = hf(tmp_path / "b")
    assert (source.labels, source.class_names) == ([None, None], [])


def test_a_saved_format_and_a_selection_of_rows_are_seen_through(tmp_path: Path) -> None:
    chosen = rows(0, 6).select([4, 1, 3]).with_format("numpy", columns=["label"])
    chosen.save_to_disk(tmp_path / "a")
    source = hf(tmp_path / "a", label_column="species")
    assert [source.class_names[label] for label in source.labels] == ["ash", "ash", "oak"]
    assert np.array_equal(np.asarray(source.image(1)), pixels(1))


def test_the_fingerprint_is_of_the_content(photos: Path, tmp_path: Path) -> None:
    def of(**changed: Any) -> str:
        folder = tmp_path / f"other-{len(list(tmp_path.iterdir()))}"
        DatasetDict(train=rows(0, 5, **changed), test=rows(5, 3)).save_to_disk(folder)
        return hf(folder).fingerprint(digest)

    before = hf(photos).fingerprint(digest)
    assert of() == before  # whatever the library's own fingerprints say
    one_pixel = [pixels(i) for i in range(5)]
    one_pixel[2][0, 0, 0] ^= 1
    assert of(image=[Image.fromarray(p) for p in one_pixel]) != before
    assert of(label=[0, 1, 0, 1, 1]) != before
    assert of(price=[0.0] * 5) == before  # is not read
    assert hf(photos, split=["test", "train"]).fingerprint(digest) != before
    assert hf(photos, label_column="number").fingerprint(digest) != before
    # Other shards, other row order of the history: the same content.
    shards = DatasetDict(train=rows(0, 9).select(range(5)), test=rows(5, 3))
    shards.save_to_disk(tmp_path / "shards", num_shards={"train": 3, "test": 1})
    assert hf(tmp_path / "shards").fingerprint(digest) == before


def test_the_fingerprint_is_the_same_in_another_process(photos: Path) -> None:
    code = (
        "import sys; from pipeline_datasets.hf import HF\n"
        f"print(HF(path={str(photos)!r})().fingerprint(str))\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == hf(photos).fingerprint(digest)


def test_the_same_files_as_a_folder_have_the_same_images(tmp_path: Path) -> None:
    """Stored as they are, JPEG and EXIF rotation and transparency included."""
    folder = tmp_path / "folder"
    for i, (name, suffix) in enumerate([("rose", "jpg"), ("rose", "png"), ("tulip", "png")]):
        (folder / name).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels(i))
        image.putalpha(100 * i) if suffix == "png" else None
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(folder / name / f"{i}.{suffix}", exif=exif)
    files = ImageFolder(root=folder)()
    encoded = [{"bytes": files.image(i).read_bytes(), "path": None} for i in range(3)]
    made = {"image": encoded, "label": list(files.labels)}
    columns = Features(image=datasets.Image(), label=ClassLabel(names=list(files.class_names)))
    Dataset.from_dict(made, features=columns).save_to_disk(tmp_path / "saved")
    source = hf(tmp_path / "saved")
    for i in range(3):
        assert source.image(i).tobytes() == open_rgb(files.image(i)).tobytes()
    assert source.fingerprint(digest) == files.fingerprint(digest)


def test_images_that_are_only_named_are_files(tmp_path: Path) -> None:
    Image.fromarray(pixels(0)).save(tmp_path / "a.png")
    columns = Features(image=datasets.Image())
    there = Dataset.from_dict({"image": [str(tmp_path / "a.png")]}, features=columns)
    # save_to_disk would take the bytes in: a dataset that was loaded from files names them.
    source = HF(path=str(tmp_path / "x"))
    patch = pytest.MonkeyPatch()
    with patch.context() as here:
        here.setattr(HF, "_splits", lambda *_: {"train": there})
        found = source()
    assert found.image(0) == tmp_path / "a.png"
    before = found.fingerprint(digest)
    Image.fromarray(pixels(1)).save(tmp_path / "a.png")
    assert found.fingerprint(digest) != before


def test_images_are_read_from_any_thread(photos: Path) -> None:
    source = hf(photos)
    wanted = [i % 8 for i in range(400)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(source.image, wanted))
    for i, image in zip(wanted, found, strict=True):
        assert np.array_equal(np.asarray(image), pixels(i))


def test_is_prepared_as_any_dataset(photos: Path, tmp_path: Path) -> None:
    session = Session(Registry.load(), Store(tmp_path / "store"))
    stage = build_stage(session.registry, "dataset", {"name": "hf", "path": str(photos)})
    images = read_images(prepare_images(stage, [], session))
    assert images.class_names == NAMES
    assert np.array_equal(images.batch([7])[0].permute(1, 2, 0).numpy(), pixels(7))
    photos.rename(tmp_path / "moved")
    moved = build_stage(
        session.registry, "dataset", {"name": "hf", "path": str(tmp_path / "moved")}
    )
    assert prepare_images(moved, [], session).reused


def test_what_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(buffer, "tiff")
    whole = BytesIO()
    Image.fromarray(pixels(0, 64)).save(whole, "png")
    contents = [b"nonsense", buffer.getvalue(), whole.getvalue()[:2000]]
    encoded = [{"bytes": content, "path": None} for content in contents]
    columns = Features(image=datasets.Image())
    made = Dataset.from_dict({"image": [*encoded, None]}, features=columns)
    made.save_to_disk(tmp_path / "a")
    source = hf(tmp_path / "a")
    for i, reason in enumerate(
        ["cannot identify image file$", "more than 16 bits", "truncated", "no image"]
    ):
        with pytest.raises(InputError, match=reason) as error:
            source.image(i)
        assert str(error.value).startswith(f"{tmp_path / 'a'}, all[{i}]: ")
    assert source.fingerprint(digest)


def test_what_is_not_there_is_one_error_that_lists_what_is(photos: Path, tmp_path: Path) -> None:
    columns = "there are: image (Image), thumbnail (Image), label (ClassLabel), species (Value)"
    (tmp_path / "file").write_text("x")
    for options, parts in (
        ({"image_column": "img"}, ["no column is called 'img'", columns, "dataset.image_column"]),
        ({"label_column": "class"}, ["no column is called 'class'", columns, "label_column"]),
        ({"image_column": "label"}, ["'label' holds ClassLabel", "not images", columns]),
        ({"label_column": "price"}, ["'price' holds Value('float64')", "whole numbers or text"]),
        ({"label_column": "thumbnail"}, ["'thumbnail' holds Image"]),
        ({"split": "val"}, ["no split is called 'val'. There are: train, test"]),
        ({"split": ["train", "val"]}, ["no split is called 'val'"]),
        ({"config": "small"}, ["dataset.config", "leave config out"]),
        ({"path": str(tmp_path / "none")}, ["none: no such folder", "dataset.path"]),
        ({"path": str(tmp_path / "file")}, ["file: is a file"]),
        ({"path": "./none"}, ["./none: no such folder"]),
    ):
        with pytest.raises(InputError) as error:
            HF(**{"path": str(photos), **options})()
        for part in parts:
            assert part in str(error.value)
        assert "\n" not in str(error.value)
    for options in ({"path": ""}, {"path": "x", "split": []}):
        with pytest.raises(ValueError, match="at least 1"):
            HF(**options)


def test_splits_whose_classes_differ_are_refused(tmp_path: Path) -> None:
    other = rows(3, 2).cast_column("label", ClassLabel(names=["rose", "tulip"]))
    both = {"train": rows(0, 3), "test": other}
    for name, split in both.items():
        split.save_to_disk(tmp_path / "a" / name)
    (tmp_path / "a/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(InputError, match="'label' is not the same in all splits"):
        hf(tmp_path / "a")
    assert hf(tmp_path / "a", split="test").class_names == ["rose", "tulip"]


def test_a_damaged_folder_is_named(photos: Path) -> None:
    (arrow,) = (photos / "test").glob("*.arrow")
    arrow.write_bytes(b"half")
    with pytest.raises(InputError, match=f"{photos}: cannot be read"):
        hf(photos)


def test_the_hub_is_asked_for_splits_and_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load(path: str, config: str | None, split: str | None = None) -> Any:
        asked.append((path, config, split))
        both = {"train": rows(0, 3), "test": rows(3, 2)}
        return both[split.partition("[")[0]] if split else DatasetDict(both)

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert HF(path="me/photos", config="small")().parts == ["train"] * 3 + ["test"] * 2
    assert HF(path="photos", split="train[:10%]")().parts == ["train[:10%]"] * 3
    assert asked == [("me/photos", "small", None), ("photos", None, "train[:10%]")]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ConnectionError("Couldn't reach 'me/x' on the Hub (MaxRetryError)"), True),
        (datasets.exceptions.DatasetNotFoundError("Dataset 'me/x' doesn't exist on the Hub"), True),
        (ValueError("Unknown split 'val'.\nShould be one of ['train']."), False),
    ],
)
def test_an_unreachable_hub_is_one_error(error: Exception, advice: bool, monkeypatch) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(InputError) as caught:
        HF(path="me/x", split="val")()
    said = str(caught.value)
    assert said.startswith("dataset 'me/x' cannot be had: " + str(error)[:20])
    assert ("save_to_disk" in said) == advice
    assert "\n" not in said


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'diffusion-pipeline\[hf\]'"):
        HF(path="x")()
