"""``sample --image``: from photos to images, with a strength or a mask, in every form they have."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline import InputError
from pipeline.artifacts.prepare import preprocessed
from pipeline.artifacts.sample import read_samples
from pipeline.commands import open_run
from pipeline.plugin.registry import Registry
from pipeline.runs.asked import SampleOptions, layout_of
from pipeline.runs.given import Room, read_images, read_masks
from pipeline_preprocessors.center_crop import CenterCrop
from pipeline_preprocessors.greyscale import Greyscale
from pipeline_preprocessors.resize import Resize
from tests.helpers.tiny import RECIPE, STAGES, draw, main, run

PREPROCESS = (CenterCrop(), Resize(size=16))
OTHER_SAMPLERS = ("ddpm", "heun", "dpmpp_2m", "unipc", "{name: ddim, eta: 1}")

pytestmark = pytest.mark.usefixtures("beside_painter")


def prepared(name: str = "a.png") -> Tensor:
    """A photo as the run takes it, uint8 (3, 16, 16)."""
    return torch.from_numpy(preprocessed(Path(name), PREPROCESS))


def mask_of(width: int, height: int) -> np.ndarray:
    """White on the right half, bool (height, width)."""
    return np.arange(width) >= width // 2 * np.ones((height, 1))


@pytest.fixture
def hole(tmp_path: Path) -> Path:
    """A mask for a.png."""
    Image.fromarray(mask_of(40, 20)).save(tmp_path / "hole.png")
    return tmp_path / "hole.png"


def away(images: Tensor, other: Tensor) -> float:
    return float((images.float() - other.float()).abs().mean())


def test_the_stronger_the_further_from_the_photo_and_the_dearer() -> None:
    photo, found = prepared(), {}
    for strength in (0.05, 0.5, 1.0):
        told, images = draw("tiny", image="a.png", strength=strength, num_steps=10)
        assert told["strength"] == strength
        assert told["image"] == ["a.png"]
        found[told["nfe"]] = away(images, photo)
    assert list(found) == [1, 5, 10]
    assert sorted(found.values()) == list(found.values())
    assert len(images) == 8


def test_every_form_of_a_photo_is_the_same_photo() -> None:
    picture = Image.open("a.png")
    forms: list[Any] = ["a.png", Path("a.png"), picture, np.array(picture), prepared()]
    forms += [[one] for one in forms] + [prepared()[None]]
    drawn = [draw("tiny", image=form, strength=0.5, num_images=2)[1] for form in forms]
    assert all(torch.equal(one, drawn[0]) for one in drawn)


@pytest.mark.parametrize("sampler", OTHER_SAMPLERS)
def test_what_is_black_stays_to_the_bit_with_any_sampler(hole: Path, sampler: str) -> None:
    told, images = draw("tiny", image="a.png", mask=hole, sampler=sampler, num_images=3)
    assert told["mask"] == [str(hole)]
    assert told["strength"] == 1
    photo = prepared()
    assert all(torch.equal(image[:, :, :8], photo[:, :, :8]) for image in images)
    assert away(images[:, :, :, 8:], photo[:, :, 8:]) > 10
    assert away(images[0], images[1]) > 1
    again, slower = draw("tiny", image="a.png", mask=hole, sampler=sampler, num_images=3, seed=0)
    assert again["reused"]
    assert torch.equal(images, slower)


def test_what_is_under_the_white_does_not_matter_at_strength_1(hole: Path) -> None:
    pixels = np.array(Image.open("a.png"))
    spoilt = np.where(mask_of(40, 20)[..., None], 0, pixels)
    options = {"mask": mask_of(16, 16), "num_images": 2}
    first, second = (
        prepared(),
        torch.from_numpy(preprocessed(Image.fromarray(spoilt), PREPROCESS)),
    )
    second[:, :, :8] = first[:, :, :8]
    drawn = [draw("tiny", image=image, **options)[1] for image in (first, second)]
    assert torch.equal(*drawn)
    weaker = [draw("tiny", image=i, strength=0.5, **options)[1] for i in (first, second)]
    assert not torch.equal(*weaker)


def test_the_batch_size_changes_nothing_and_the_seed_does() -> None:
    given = {"image": ["a.png", "b"], "mask": mask_of(16, 16), "num_images": 6, "sampler": "ddpm"}
    found = []
    for size, seed in ((64, 3), (2, 3), (64, 4)):
        opened = open_run("tiny", plugins=[STAGES], device="cpu")
        opened.record["recipe"]["sample"]["batch_size"] = size
        opened.store.fresh = True
        found.append(read_samples(opened.draw(SampleOptions(**given, seed=seed)).samples)[:])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_images_of_a_folder_come_in_turn_and_are_told(tmp_path: Path) -> None:
    told, images = draw("tiny", image=["b", "a.png"], strength=0.02, out=tmp_path / "out")
    assert told["image"] == ["b/0.png", "b/1.png", "a.png"]
    assert len(images) == 9
    for i, image in enumerate(images):
        nearest = [away(image, prepared(name)) for name in told["image"]]
        assert nearest.index(min(nearest)) == i % 3
    noted = json.loads((tmp_path / "out/samples.json").read_text())
    digest = hashlib.sha256(Path("a.png").read_bytes()).hexdigest()
    assert noted["image"][2] == {"image": "a.png", "sha256": digest}
    assert noted["strength"] == 0.02
    grid = Image.open(tmp_path / "out/grid.png")
    assert grid.width == 4 * 98 + 2  # each image, and its three results
    corner = torch.from_numpy(np.array(grid.crop((2, 2, 98, 98)).resize((16, 16), 0)))
    assert torch.equal(corner.permute(2, 0, 1), prepared("b/0.png"))


def test_a_mask_goes_the_way_of_its_image() -> None:
    room = Room((3, 16, 16), PREPROCESS, Registry.load())
    given = read_images("a.png", room)
    whole = mask_of(40, 20)
    for mask in (whole, whole * np.uint8(200), Image.fromarray(whole), torch.from_numpy(whole)):
        anew, _ = read_masks(mask, given, room)
        assert torch.equal(anew[0, 0], torch.from_numpy(mask_of(16, 16)))
    assert torch.equal(read_masks(mask_of(16, 16), given, room)[0], anew)


def test_what_changes_colours_does_not_change_a_mask() -> None:
    def negative(image: Tensor) -> Tensor:
        return 0.9 - 0.8 * image

    def faded(image: Tensor) -> Tensor:
        return 0 * image

    room = Room((1, 16, 16), (*PREPROCESS, negative, Greyscale()), Registry.load())
    anew, _ = read_masks(mask_of(40, 20), read_images("a.png", room), room)
    assert torch.equal(anew[0, 0], torch.from_numpy(mask_of(16, 16)))
    room = Room((3, 16, 16), (*PREPROCESS, faded), Registry.load())
    with pytest.raises(InputError, match="makes black and white alike"):
        read_masks(mask_of(40, 20), read_images("a.png", room), room)


def test_what_is_as_the_run_has_it_needs_no_preprocessing() -> None:
    def turned(image: Tensor) -> Tensor:
        return image.flip(2)

    room = Room((3, 16, 16), (*PREPROCESS, turned), Registry.load())
    ready, photo = (read_images(form, room) for form in (prepared("b/0.png"), "b/0.png"))
    assert torch.equal(ready.pixels, photo.pixels.flip(3))
    as_it_is, also_turned = (read_masks(mask_of(16, 16), one, room)[0] for one in (ready, photo))
    assert torch.equal(as_it_is[0, 0], torch.from_numpy(mask_of(16, 16)))
    assert torch.equal(also_turned, ~as_it_is)


def test_a_mask_for_each_image() -> None:
    masks = [mask_of(16, 16), ~mask_of(16, 16)]
    _, images = draw("tiny", image="b", mask=masks, num_images=2)
    assert torch.equal(images[0, :, :, :8], prepared("b/0.png")[:, :, :8])
    assert torch.equal(images[1, :, :, 8:], prepared("b/1.png")[:, :, 8:])


REFUSED = [
    ({"strength": 0.5}, "--strength: needs the images"),
    ({"mask": "a.png"}, "--mask: needs the images"),
    ({"image": "a.png", "strength": 0}, "--strength 0: should be above 0"),
    ({"image": "a.png", "strength": 1.01}, "--strength 1.01: should be"),
    ({"image": "a.png", "strength": float("nan")}, "--strength nan: should be"),
    ({"image": "a.png", "interpolate": 4}, "leave it out with --image"),
    ({"image": "no.png"}, "no.png: not there"),
    ({"image": "tiny.yaml"}, "tiny.yaml: cannot identify"),
    ({"image": []}, "images should be files.*got none"),
    ({"image": 3}, "images should be files.*got a int"),
    ({"image": np.zeros((16, 16, 3))}, r"image 1: an array should be uint8.*got float64"),
    ({"image": np.zeros((3, 16, 16), np.uint8)}, r"an array should be uint8 \(height, width, 3\)"),
    ({"image": torch.zeros(3, 8, 8, dtype=torch.uint8)}, r"tensors uint8 \(N, 3, 16, 16\), got"),
    ({"image": "b", "num_images": 1}, "--image: 2 are more than 1 images; ask for 2 at least"),
    ({"image": "a.png", "mask": np.ones((20, 20), bool)}, r"mask is 20×20, but a.png is 40×20"),
    ({"image": "a.png", "mask": np.zeros((20, 40), bool)}, "mask 1: this mask is black all over:"),
    ({"image": "a.png", "mask": np.eye(40, dtype=np.uint8)[:20]}, "of 0 and 1 should be of bool"),
    ({"image": "a.png", "mask": np.ones((20, 40))}, "uint8 or bool .height, width.*float64"),
    ({"image": "b", "mask": ["a.png"] * 3}, "3 masks for 2 images"),
    ({"image": "a.png", "guidance_scale": 2.0}, "goes towards a class; give --classes too"),
    ({"image": "b", "grid": (4, 3), "num_images": 4}, "4 results of 2 images fill 2 rows"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[m[:25] for _, m in REFUSED])
def test_what_cannot_be_begun_from_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw("tiny", **options)


def test_classes_and_guidance_change_what_is_drawn(hole: Path) -> None:
    plain, free = draw("tiny", image="a.png", num_images=2)
    assert plain["labels"] == "no class"
    assert plain["classes"] == {}
    named, of_class = draw("tiny", image="a.png", num_images=2, classes=["lily", 3])
    assert named["classes"] == {"4": "lily", "3": "forget-me-not"}
    guided, far = draw("tiny", image="a.png", num_images=2, classes=[4, 3], guidance_scale=3.0)
    assert guided["nfe"] == 2 * named["nfe"]
    assert not torch.equal(far, of_class)
    assert torch.equal(free, draw("tiny", image="a.png", num_images=2, guidance_scale=1.0)[1])
    masked, _ = draw("tiny", image="a.png", mask=hole, classes=[4], guidance_scale=3.0)
    assert masked["nfe"] == 2 * draw("tiny", image="a.png", mask=hole)[0]["nfe"]


def test_the_shell_says_what_it_did(hole: Path, capsys, tmp_path: Path) -> None:
    out, words = tmp_path / "out", ["--image", "a.png", "--mask", str(hole)]
    assert main("sample", "tiny", *words, "--image", "b") == 2
    assert "hole.png: this mask is 40×20, but b/0.png is 16×16" in capsys.readouterr().err
    words += ["--strength", "0.8", "--num-images", "3", "--out", str(out)]
    assert main("sample", "tiny", *words) == 0
    said = capsys.readouterr()
    assert "3 images of tiny drawn with ddim from a.png within the mask at strength 0.8" in said.out
    assert "50 % of the pixels are drawn anew" in said.err
    assert Image.open(out / "grid.png").width == 5 * 98 + 2  # the image, its mask, three


def test_layouts_of_results_beside_their_images() -> None:
    usual = {"num_images": 80, "grid": [10, 8]}

    def layout(given: int, **options: Any):
        return layout_of(SampleOptions(image="a.png", **options), usual, given)

    assert layout(1).lines == [[*range(8)]]
    assert layout(3).lines == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert layout(100).count == 100
    assert layout(1, classes=[*range(9)]).count == 9
    assert layout(1, num_images=12).lines == [[*range(10)], [10, 11]]
    assert layout(2, grid=(2, 3)).lines == [[0, 2], [4], [1, 3]]
    assert layout(2, num_images=3).lines == [[0, 2], [1]]


def test_grey_models_take_photos_and_masks(here: Path, beside_painter: Path) -> None:
    grey = RECIPE.replace("augment: [trip]", "preprocess: [greyscale]")
    (here / "tiny.yaml").write_text(grey.replace("max_steps: 7", "max_steps: 2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        run()
        photo = beside_painter / "b/0.png"
        _, images = draw("tiny", image=photo, mask=mask_of(16, 16), num_images=2)
    kept = preprocessed(photo, (Greyscale(),))[0, :, :8]
    assert all(np.array_equal(image[0, :, :8], kept) for image in images)
