"""Class conditioning and guidance, from the recipe to labelled pictures."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest

from pipeline import NO_CLASS, InputError, Rates, commands
from pipeline.cli.options import Classes
from pipeline.commands import open_run
from pipeline.diffusion.generate import SampleRequest, generate, slerp
from pipeline.diffusion.grid import save_grid
from pipeline.diffusion.labels import Labels, captions, chosen_labels, dropped, split_labels
from pipeline.diffusion.model import Model
from pipeline.plugin.draws import Draws
from pipeline_guidances.classifier_free import ClassifierFree
from pipeline_objectives.denoising import Denoising
from pipeline_samplers.ddim import DDIM
from pipeline_samplers.ddpm import DDPM
from pipeline_spacings.uniform import Uniform
from tests.helpers.tiny import CLASSES, STAGES, built, draw, main, reused, run

NAMES = ["daisy", "sunflower", "poppy", "forget-me-not", "lily", "cherry", "cosmos", "dahlia"]
RATES = Rates(0.6, 0.8)


def counting(model: Model) -> tuple[Model, list[torch.Tensor | None]]:
    seen: list[torch.Tensor | None] = []

    class Network(torch.nn.Module):
        def forward(self, x, rates, label=None):
            seen.append(label)
            return model.network(x, rates, label)

    return replace(model, network=Network()), seen


def request(num_images: int, **options: Any) -> SampleRequest:
    """Images by DDIM in three steps."""
    return SampleRequest(
        sampler=DDIM(),
        num_steps=3,
        spacing=Uniform(),
        guidance=ClassifierFree(),
        num_images=num_images,
        seed=0,
        **options,
    )


def samples_of(model: Model, asked: SampleRequest) -> torch.Tensor:
    """All images of a request, uint8 (N, C, H, W)."""
    return torch.cat(list(generate(model, asked, range(asked.num_images))))


# Guidance


def noise(count: int = 4) -> torch.Tensor:
    return Draws(3, "sample", range(count)).normal(torch.empty(count, 3, 16, 16))


def test_scale_1_is_the_unguided_network_bit_for_bit_at_one_evaluation(model: Model) -> None:
    x, label = noise(), torch.tensor([0, 3, 5, NO_CLASS])
    counted, seen = counting(model)
    guided = counted.denoiser(label, ClassifierFree(), 1.0)(x, RATES)
    assert len(seen) == 1
    plain = model.objective.predict(model.network, x, RATES, label)
    assert all(map(torch.equal, guided, plain))


def test_scale_0_is_the_unconditional_network_at_one_evaluation(model: Model) -> None:
    x, label = noise(), torch.tensor([0, 3, 5, 7])
    counted, seen = counting(model)
    guided = counted.denoiser(label, ClassifierFree(), 0.0)(x, RATES)
    assert len(seen) == 1
    for free in (None, torch.full((4,), NO_CLASS)):
        plain = model.objective.predict(model.network, x, RATES, free)
        assert all(map(torch.equal, guided, plain))
    bound = model.objective.predict(model.network, x, RATES, label)
    assert (bound.x0 - plain.x0).abs().max() > 1e-3


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_other_scales_go_from_the_free_prediction_past_the_classes(model: Model, scale) -> None:
    x, label = noise(), torch.tensor([0, 3, 5, 7])
    counted, seen = counting(model)
    guided = counted.denoiser(label, ClassifierFree(), scale)(x, RATES)
    assert len(seen) == 2
    free = model.objective.predict(model.network, x, RATES, None)
    bound = model.objective.predict(model.network, x, RATES, label)
    for found, a, b in zip(guided, free, bound, strict=True):
        torch.testing.assert_close(found, a + scale * (b - a), rtol=0, atol=1e-5)
    whole = RATES.signal * guided.x0 + RATES.noise * guided.eps
    torch.testing.assert_close(whole, x, rtol=0, atol=1e-4)


def test_a_row_of_another_class_is_another_image_and_changes_no_other(model: Model) -> None:
    labels = [chosen_labels(chosen, NAMES) for chosen in ([0, 1, 2], [0, 4, 2])]
    first, second = (
        samples_of(model, request(3, labels=one, guidance_scale=2.0, batch_size=size))
        for one, size in zip(labels, (3, 2), strict=True)
    )
    same = [torch.equal(a, b) for a, b in zip(first, second, strict=True)]
    assert same == [True, False, True]


# Labels


def test_dropped_labels_are_a_share_drawn_for_each_row() -> None:
    label = torch.arange(4000) % 8
    found = dropped(label, 0.1, Draws(0, "train", range(4000)))
    lost = found == NO_CLASS
    assert binomtest(int(lost.sum()), 4000, 0.1).pvalue > 0.01
    assert torch.equal(found[~lost], label[~lost])
    assert torch.equal(dropped(label[5:9], 0.1, Draws(0, "train", range(5, 9))), found[5:9])
    assert not torch.equal(dropped(label, 0.1, Draws(0, "train", range(4000), step=1)), found)


def test_training_hides_labels_and_validation_does_not(here: Path, monkeypatch) -> None:
    asked: list[tuple[str, torch.Tensor]] = []
    plain = Denoising.loss

    def loss(self, network, x0, label, schedule, draws):
        asked.append((draws.purpose, label))
        return plain(self, network, x0, label, schedule, draws)

    monkeypatch.setattr(Denoising, "loss", loss)
    (here / "tiny.yaml").write_text(CLASSES)
    run("train.drop_label=0.5")
    hidden = torch.cat([label for purpose, label in asked if purpose == "train"]) == NO_CLASS
    assert 0.3 < hidden.float().mean() < 0.7
    assert all((label != NO_CLASS).all() for purpose, label in asked if purpose == "validate")
    assert {purpose for purpose, _ in asked} == {"train", "validate"}


def test_scored_images_have_the_labels_of_the_split(conditional: dict) -> None:
    images = open_run(conditional["folder"]).images()
    for split in ("validation", "train"):
        indices = images.indices(split)
        labels = split_labels(images, split, 0)
        assert sorted(labels.values) == sorted(images.labels[indices].tolist())
        assert labels.values != tuple(images.labels[indices].tolist())
        assert split_labels(images, split, 1).values != labels.values
        again = labels.of(range(len(indices), 2 * len(indices)))
        assert torch.equal(again, labels.of(range(len(indices))))
    protocol = conditional["scores"]["kid"]["protocol"]
    assert protocol["labels"] == "as in validation (drawn anew)"
    assert protocol["guidance_scale"] == 1.0
    record = json.loads((Path(conditional["folder"]) / "history.jsonl").read_text().split("\n")[0])
    assert record["protocol"]["kid"]["labels"] == "as in validation"


def test_classes_are_known_by_number_and_by_name() -> None:
    assert chosen_labels(["rose", 1, " 2 ", "ROSE"], ["lily", "rose", "aster"]).values == (
        1, 1, 2, 1,
    )  # fmt: skip
    assert chosen_labels(None, ["lily", "rose"]).of(range(5)).tolist() == [0, 1, 0, 1, 0]
    assert chosen_labels(["7"], ["3", "7"]).values == (1,)  # folders that are named by numbers
    for wrong in ("rse", "3", "-1", "1.0"):
        with pytest.raises(InputError, match=r"no class is called.*There are 3: 0 lily, 1 rose"):
            chosen_labels([wrong], ["lily", "rose", "aster"])
    with pytest.raises(InputError, match="did you mean 'rose'"):
        chosen_labels(["rse"], ["lily", "rose", "aster"])
    with pytest.raises(InputError, match=r"0 n0, .* 18 n18, …, 101 n101"):
        chosen_labels(["102"], [f"n{i}" for i in range(102)])


@pytest.mark.parametrize(
    ("wanted", "index"),
    [("A", 0), ("a", 1), ("B", 2), (" rosé", 3), ("rosé", 4), ("rosé".replace("é", "e\u0301"), 4),
     ("ROSÉ", None), ("9", 5), ("007", None), ("6", 6)],
)  # fmt: skip
def test_an_exact_name_counts_before_one_that_is_nearly_it(wanted: str, index: int | None) -> None:
    names = ["A", "a", "b", " rosé", "rosé", "9", "x", "007 ", " 007"]
    if index is None:
        with pytest.raises(InputError, match="could be any of the classes"):
            chosen_labels([wanted], names)
    else:
        assert chosen_labels([wanted], names).values == (index,)


# Commands


def test_a_run_samples_by_class_and_says_what_it_costs(conditional: dict) -> None:
    plain, images = draw("tiny", num_images=4)
    assert plain["labels"] == "all in turn"
    assert plain["nfe"] == 3
    guided, moved = draw("tiny", num_images=4, guidance_scale=3.0)
    assert guided["nfe"] == 6
    assert not torch.equal(images, moved)
    named, by_name = draw("tiny", num_images=4, classes=["daisy", "sunflower", "poppy", "3"])
    assert named["labels"] == "0, 1, 2, 3"
    assert torch.equal(by_name, images)
    assert named["grid"] != guided["grid"]


def test_the_shell_takes_classes_and_names_them_when_wrong(conditional, capsys) -> None:
    options = ("--num-images", "2", "--grid", "2x1")
    assert main("sample", "tiny", "--classes", "lily,3", "--guidance-scale", "2", *options) == 0
    said = capsys.readouterr()
    assert "labels 4, 3, guidance 2" in said.out
    assert "  classes 4: lily, 3: forget-me-not\n" in said.out
    assert main("sample", "tiny", "--classes", "lilly,3", *options) == 2
    assert "no class is called 'lilly'; did you mean 'lily'?" in capsys.readouterr().err
    assert main("sample", "tiny", "--classes", "3,8", *options) == 2
    assert "no class is called '8'" in capsys.readouterr().err
    assert main("sample", "tiny", "--classes", "3,,4", *options) == 2
    assert main("sample", "tiny", "--guidance-scale", "-1", *options) == 2
    assert main("evaluate", "tiny", "--guidance-scale", "2") == 0
    assert "labels as in validation (drawn anew), guidance 2" in capsys.readouterr().out


def test_what_a_changed_class_or_guidance_makes_anew(conditional: dict) -> None:
    found = run("sample.classes=[3]", "evaluate.guidance_scale=4", name="other")
    assert {"images", "model"} <= reused(found)
    why = built(found)
    assert re.fullmatch("labels changed: .* -> 3", why["samples"])
    assert re.fullmatch("guidance_scale changed: .* -> 4.0", why["scored samples"])


def test_what_cannot_be_drawn_is_refused(conditional, capsys) -> None:
    for scale in ("nan", "inf", "-1"):
        assert main("sample", "tiny", "--guidance-scale", scale) == 2
        assert "Traceback" not in capsys.readouterr().err
    refused = [
        ({"guidance_scale": -1.0}, "from 0 to 100"),
        ({"guidance_scale": 1e20}, "from 0 to 100"),
        ({"guidance_scale": 1e300}, "from 0 to 100"),
        ({"guidance_scale": 0.0, "classes": [1]}, "without regard to classes"),
        ({"classes": [0, 1, 2], "num_images": 2}, "names 3 classes for 2 images"),
        ({"classes": [0, 1, 2], "interpolate": 4, "grid": (4, 2)}, "names 3 classes for 2 rows"),
        ({"classes": []}, "name at least one"),
        ({"interpolate": 1}, "interpolate is 1"),
        ({"num_steps": 0}, "num_steps is 0"),
        ({"num_images": 0}, "num_images is 0"),
        ({"sampler": "{name: ddim, eta: 2}"}, "--sampler: sampler.eta"),
        ({"sampler": "ddin"}, "^--sampler: no sampler"),
        ({"spacing": "even"}, "^--spacing: no spacing"),
    ]
    for options, message in refused:
        with pytest.raises(InputError, match=message):
            draw("tiny", **options)
    with pytest.raises(InputError, match=r"sample.classes: 3 classes are more than num_images 2"):
        run("sample.classes=[0,1,2]", "sample.num_images=2", "sample.grid=[2, 1]")


def test_names_with_commas_are_given_as_a_list() -> None:
    read = Classes().convert
    assert read("rose, 3", None, None) == ["rose", " 3"]
    assert read('["tench, Tinca tinca", 3]', None, None) == ["tench, Tinca tinca", "3"]


def test_pictures_at_scale_0_are_of_no_class() -> None:
    labels = Labels("as given", (0, NO_CLASS))
    assert captions(labels, range(2), ["rose"], 1.0) == ["rose", "no class"]
    assert captions(labels, range(2), ["rose"], 0.0) == ["no class", "no class"]


def test_without_classes_nothing_is_conditional(here: Path, capsys) -> None:
    found = run()
    assert "labels" not in found["scores"]["kid"]["protocol"]
    assert "labels" not in draw("tiny", num_images=1)[0]
    for options in (["--classes", "1"], ["--guidance-scale", "3"]):
        assert main("sample", "tiny", *options) == 2
        assert f"{options[0]}" in (said := capsys.readouterr().err)
        assert "this model knows no classes" in said
    assert main("evaluate", "tiny", "--guidance-scale", "3") == 2
    assert "this model knows no classes" in capsys.readouterr().err


def test_a_model_without_dropped_labels_is_not_guided(here: Path) -> None:
    (here / "tiny.yaml").write_text(CLASSES)
    run("train.drop_label=0", name="tiny")
    with pytest.raises(InputError, match="trained with drop_label 0"):
        draw("tiny", guidance_scale=2.0)
    assert draw("tiny", guidance_scale=1.0, num_images=1)[0]["images"] == 1


UNCONDITIONAL = "has no effect without classes"


@pytest.mark.parametrize(
    ("overrides", "place", "message"),
    [
        (["sample.guidance_scale=3"], "sample.guidance_scale", UNCONDITIONAL),
        (["evaluate.guidance_scale=0"], "evaluate.guidance_scale", UNCONDITIONAL),
        (["train.validate.guidance_scale=2"], "train.validate.guidance_scale", UNCONDITIONAL),
        (["sample.classes=[1]"], "sample.classes", UNCONDITIONAL),
        (["train.drop_label=0.1"], "train.drop_label", UNCONDITIONAL),
        (
            ["train.condition=class", "train.drop_label=0", "sample.guidance_scale=3"],
            "sample.guidance_scale",
            "needs a network that has seen images without their labels",
        ),
        (["train.condition=klass"], "train.condition", "'class'"),
    ],
)
def test_a_recipe_that_cannot_be_guided_is_told_before_any_work(
    here: Path, overrides, place, message
) -> None:
    with pytest.raises(InputError) as error:
        run(*overrides)
    assert f"{place}: " in str(error.value)
    assert message in str(error.value)
    assert not (here / ".pipeline").exists()


def test_scale_1_needs_no_classes(here: Path) -> None:
    commands.check_recipe("tiny.yaml", ["sample.guidance_scale=1"], plugins=[STAGES])


def test_classes_that_the_data_has_not_are_told_before_training(here: Path) -> None:
    with pytest.raises(InputError, match=r"sample.classes: no class is called '8'"):
        run("train.condition=class", "sample.classes=[8]")
    photos = here / "photos"
    photos.mkdir()
    for i in range(8):
        Image.fromarray(np.full((16, 16, 3), 20 * i, np.uint8)).save(photos / f"{i}.png")
    with pytest.raises(InputError, match="the dataset has no classes"):
        run("train.condition=class", "dataset={name: image_folder, root: photos}")
    assert not (here / ".pipeline").exists()


# Pictures


def test_captions_stand_below_their_pictures(tmp_path: Path) -> None:
    black = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    texts = ["rose", "a name of many words that has no room here", "x" * 80]
    save_grid(black, (3, 1), tmp_path / "with.png", texts)
    save_grid(black, (3, 1), tmp_path / "without.png")
    sheet, bare = (np.array(Image.open(tmp_path / f"{n}.png")) for n in ("with", "without"))
    assert bare.shape == (68, 200, 3)
    below = sheet[2 + 96 :]
    assert sheet.shape[1] == 3 * 98 + 2
    inked = [(below[:, 2 + 98 * i : 98 * (i + 1)] < 128).any((1, 2)).sum() for i in range(3)]
    assert inked[0] > 0
    assert inked[1] > 1.5 * inked[0]  # two lines
    assert inked[2] > 0
    gaps = below[:, [0, 1, 98, 99, 196, 197]]
    assert (gaps > 128).all()  # what is too long is cut


def test_the_runs_pictures_are_labelled(conditional: dict) -> None:
    folder = Path(conditional["folder"])
    labelled = Image.open(folder / "samples.png").size
    assert labelled[1] > labelled[0]  # two by two squares, and text
    grid = Image.open(sorted(folder.glob("grids/*.png"))[0]).size
    assert grid[0] == 2 * 98 + 2
    assert grid[1] > 100


# Interpolation


def test_slerp_keeps_the_norm_and_its_ends() -> None:
    a, b = noise(2), torch.roll(noise(2), 1, 0)
    for share in (0.0, 0.3, 1.0):
        mixed = slerp(a, b, torch.full((2,), share))
        expected = (1 - share) * a.flatten(1).norm(dim=1) + share * b.flatten(1).norm(dim=1)
        torch.testing.assert_close(mixed.flatten(1).norm(dim=1), expected, rtol=1e-2, atol=0)
    torch.testing.assert_close(slerp(a, b, torch.zeros(2)), a, rtol=0, atol=1e-5)
    torch.testing.assert_close(slerp(a, b, torch.ones(2)), b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [3, 64])
def test_rows_go_from_one_image_to_the_next(model: Model, batch_size: int) -> None:
    labels = chosen_labels([2, 5], NAMES)
    made = samples_of(model, request(8, labels=labels, interpolate=4, batch_size=batch_size))
    for row, label in enumerate(labels.values):
        asked = request(8, labels=chosen_labels([label], NAMES))
        ends = torch.cat(list(generate(model, asked, range(2 * row, 2 * row + 2))))
        first, *between, last = made[4 * row : 4 * row + 4].float()
        assert (first - ends[0].float()).abs().max() <= 1
        assert (last - ends[1].float()).abs().max() <= 1
        for one in between:
            assert (one - first).abs().mean() < (last - first).abs().mean()


def test_what_a_stochastic_sampler_draws_is_the_same_along_a_row(model: Model) -> None:
    calls: list[torch.Tensor] = []

    class Draw(Draws):
        def normal(self, like):
            calls.append(super().normal(like))
            return calls[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.diffusion.generate.Draws", Draw)
        samples_of(model, replace(request(4, interpolate=4, batch_size=4), sampler=DDPM()))
    start, other, *steps = calls
    assert steps
    assert all(torch.equal(one[0], row) for one in (start, other, *steps) for row in one)


def test_the_shell_interpolates(conditional, capsys) -> None:
    found, images = draw("tiny", interpolate=3, classes=["lily"], grid=(3, 2))
    assert len(images) == found["images"] == 6
    assert draw("tiny", interpolate=5)[0]["images"] == 10  # the recipe's two rows
    for words in (["--grid", "4x2"], ["--num-images", "7"]):
        assert main("sample", "tiny", "--interpolate", "3", *words) == 2
        assert words[0] in capsys.readouterr().err
    assert main("sample", "tiny", "--interpolate", "1") == 2
