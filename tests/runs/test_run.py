"""Whole runs: what is reused or made again and why, where it lands, and what is drawn from it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from pipeline import InputError, commands
from pipeline.commands import evaluate, open_run
from pipeline.diffusion.generate import SampleRequest, generate
from pipeline_guidances.classifier_free import ClassifierFree
from pipeline_spacings.uniform import Uniform
from tests.helpers import tiny
from tests.helpers.paths import ROOT
from tests.helpers.tiny import RECIPE, STAGES, built, draw, model, reused, run, shell

SCORED = {"scored samples", "features of scored samples", "kid"}
REAL = {"images", "features of validation images"}
DRAWN = {"samples", "trace", "neighbours"}
ALL = REAL | SCORED | DRAWN | {"model"}


def test_everything_is_made_once(first: dict[str, Any], after_first: Path) -> None:
    assert set(built(first)) == ALL
    assert set(built(first).values()) == {"first of its kind"}
    again = run()
    assert reused(again) == ALL
    assert again["scores"] == first["scores"]
    folder = after_first / again["folder"]
    there = {path.name for path in folder.iterdir()}
    assert there >= {"run.json", "recipe.yaml", "scores.json", "samples.png", "history.jsonl"}
    assert len(list((folder / "grids").glob("step-*.png"))) == 3
    assert json.loads((folder / "scores.json").read_text()) == first["scores"]


@pytest.mark.parametrize(
    ("change", "made", "why"),
    [
        ("sample.sampler=ddpm", DRAWN | SCORED, "sampler changed: ddim -> ddpm"),
        ("sample.num_images=5", {"samples", "neighbours"}, "num_images changed: 4 -> 5"),
        ("sample.num_steps=5", DRAWN, "num_steps changed: 3 -> 5"),
        ("evaluate.num_steps=3", SCORED, "num_steps changed: 2 -> 3"),
        ("sample.spacing=karras", DRAWN | SCORED, "spacing changed: uniform -> karras"),
        ("evaluate.spacing=log_snr", SCORED, "spacing changed: uniform -> log_snr"),
        (
            "evaluate.metrics.kid.estimator=subsets",
            {"kid"},
            "metric.estimator changed: full -> subs",
        ),
        (
            "backbone.upsampler=transposed_conv",
            ALL - REAL,
            "backbone.upsampler changed: bilinear -> transposed_conv",
        ),
        ("train.ema.warmup=false", ALL - REAL, "train.ema.warmup changed: true -> false"),
        ("seed=1", ALL - REAL, "seed changed: 0 -> 1"),
        ("dataset.seed=1", ALL, "dataset.seed changed: 0 -> 1"),
        ("preprocess=[{name: resize, size: 8}]", ALL, "preprocess changed: [] -> [resize]"),
        ("sample.batch_size=3", set(), ""),
        ("train.trackers=[tensorboard]", set(), ""),
        ("train.checkpoint_every=1 minute", set(), ""),
    ],
)
def test_one_change_makes_anew_what_depends_on_it(
    after_first: Path, change: str, made: set[str], why: str
) -> None:
    found = run(change)
    assert set(built(found)) == made
    assert reused(found) == ALL - made
    if made:
        earliest = next(name for name in found["artifacts"] if name in made)
        assert why in built(found)[earliest]
    assert reused(run(change)) == ALL


@pytest.mark.parametrize(
    "changes", [["backbone.upsampler=nearest"], ["dataset=image_folder", "dataset.root=photos"]]
)
def test_run_folders_are_named_by_their_recipe(
    here: Path, photos: Path, changes: list[str]
) -> None:
    assert run(*changes, dry_run=True)["name"] == "tiny"
    assert run(*changes, dry_run=True, name="mine")["name"] == "mine"
    assert not Path("runs").exists()


def test_a_changed_recipe_has_its_changes_inside_and_finds_its_run(after_first: Path) -> None:
    found = run("sample.num_steps=2")
    assert (found["name"], found["changes"]) == ("tiny-2", ["sample.num_steps=2"])
    again = run("sample.num_steps=2")
    assert (again["name"], reused(again)) == ("tiny-2", ALL)
    assert again["made"] == found["made"]
    assert set(found["made"][0]["built"]) == set(built(found))
    same = run(recipe=Path("runs/tiny-2/recipe.yaml"))
    assert (same["name"], same["changes"]) == ("tiny-2", ["sample.num_steps=2"])


def test_fresh_makes_everything_anew(after_first: Path, first: dict[str, Any]) -> None:
    found = run(fresh=True)
    assert set(built(found)) == ALL
    assert set(built(found).values()) == {"made anew, as --fresh asks"}
    assert tiny.same(model(found), model(first))
    assert found["scores"] == first["scores"]


def test_the_resolved_recipe_is_the_recipe(after_first: Path) -> None:
    assert reused(run(recipe=Path("runs/tiny/recipe.yaml"))) == ALL


def test_one_pixel_makes_everything_anew(here: Path, photos: Path) -> None:
    recipe = yaml.safe_load(RECIPE) | {"dataset": {"name": "image_folder", "root": "photos"}}
    Path("tiny.yaml").write_text(yaml.safe_dump(recipe))
    run()
    assert reused(run()) == ALL
    shutil.copytree(photos, here / "elsewhere")
    moved = run("dataset.root=elsewhere")
    assert (moved["name"], reused(moved)) == ("tiny", ALL)
    with Image.open(photos / "a/04.png") as image:
        image.putpixel((3, 5), (0, 0, 0))
        image.save(photos / "a/04.png")
    found = run()
    assert set(built(found)) == ALL
    assert "dataset.content changed: " in built(found)["images"]
    assert built(found)["model"].startswith("its images changed")
    assert reused(run("dataset.root=elsewhere")) == ALL


def test_one_weight_of_the_features(here: Path) -> None:
    Path("weights").write_bytes(b"one")
    changes = ["features.weights=weights", "train.validate.metrics=[]"]
    run(*changes)
    Path("weights").write_bytes(b"onE")
    found = run(*changes)
    assert set(built(found)) == {
        "features of validation images", "features of scored samples", "kid", "neighbours",
    }  # fmt: skip
    assert "extractor changed: projection/" in built(found)["features of validation images"]


def test_an_edited_stage_is_another_stage(after_first: Path) -> None:
    text = STAGES.read_text()
    edits = {"same": text.replace("an augmentation", "a  stage") + "\n# and a comment\n"}
    edits["other"] = text.replace("return images\n", "return images + 0\n")
    assert all(edited != text for edited in edits.values())
    for name, edited in edits.items():
        file = after_first / f"{name}.py"
        file.write_text(edited)
        found = commands.run("tiny.yaml", plugins=[file], device="cpu")
        if name == "same":
            assert reused(found) == ALL
        else:
            assert "the code of augment.trip (trip) changed" in built(found)["model"]


def test_the_same_images_in_a_new_process_without_the_data(here: Path, photos: Path) -> None:
    recipe = yaml.safe_load(RECIPE) | {"dataset": {"name": "image_folder", "root": "photos"}}
    Path("tiny.yaml").write_text(yaml.safe_dump(recipe))
    run()
    shutil.rmtree(photos)
    _, images = draw(seed=5, num_images=6, out=Path("here"))
    with pytest.raises(InputError, match="another"):
        draw(seed=5, store=Path("another"))
    # A copy of the store that holds the model only: nothing drawn here can be reused there.
    shutil.copytree(".pipeline", "another")
    shutil.rmtree("another/artifacts/samples")
    shutil.rmtree("another/artifacts/images")
    shell(
        "sample", "tiny", "--seed", "5", "--num-images", "6", "--out", "there",
        "--store", "another", "--device", "cpu",
    )  # fmt: skip
    for i in range(6):
        with (
            Image.open(f"here/images/{i:05d}.png") as one,
            Image.open(f"there/images/{i:05d}.png") as other,
        ):
            assert one.tobytes() == other.tobytes()
    assert images.float().std() > 1


def test_image_i_does_not_depend_on_the_batch(after_first: Path, monkeypatch) -> None:
    finished = open_run("tiny", plugins=[STAGES], device="cpu")
    made = finished.model()
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        type(made), "decode", lambda _, x0: seen.append(x0.clone()) or made.codec.decode(x0, state)
    )
    state = made.codec_state
    for name in ("ddim", "ddpm"):
        request = SampleRequest(
            sampler=finished.stage("sampler", name, "--sampler"),
            num_steps=4,
            spacing=Uniform(),
            guidance=ClassifierFree(),
            num_images=8,
            seed=7,
        )
        drawn = []
        for size in (1, 3, 8):
            seen.clear()
            found = generate(made, replace(request, batch_size=size), range(8))
            drawn.append((torch.cat(list(found)), torch.cat(seen)))
        for pixels, x0 in drawn[1:]:
            # After so short a training x0 reaches 90, where rounding alone is above 1e-5.
            torch.testing.assert_close(x0, drawn[0][1], rtol=1e-6, atol=1e-5)
            assert (pixels.int() - drawn[0][0].int()).abs().max() <= 1


def test_more_images_begin_with_the_same(after_first: Path) -> None:
    few, images = draw(num_images=2)
    more, all_images = draw(num_images=6, grid=(3, 2))
    assert not few["reused"]
    assert torch.equal(images, all_images[:2])
    with Image.open(more["grid"]) as grid:
        assert grid.width > grid.height


def test_what_is_drawn_is_what_was_asked(after_first: Path) -> None:
    usual, images = draw()
    assert usual["reused"]  # the run itself has drawn these
    assert len(images) == 4
    asked: list[dict[str, Any]] = [
        {"weights": "raw"}, {"seed": 1}, {"num_steps": 2}, {"sampler": "ddpm"},
        {"sampler": "{name: ddim, eta: 0.5}"},
    ]  # fmt: skip
    folders = {usual["folder"]}
    for options in asked:
        found, others = draw(**options)
        assert not torch.equal(images, others), options
        folders.add(found["folder"])
    assert len(folders) == 1 + len(asked)


def test_the_last_checkpoint_can_be_sampled(here: Path) -> None:
    # Learning at such a rate makes only worse: of the validations at 3 and 6 the first is better.
    worse = ["train.optimizer.lr=0.1", "train.max_steps=6", "train.validate.metrics=[]"]
    found = run(*worse, name="tiny")
    assert not tiny.same(model(found, "best"), model(found, "last"))
    _, best = draw()
    _, last = draw(checkpoint="last")
    assert not torch.equal(best, last)


def test_runs_that_cannot_be_sampled(here: Path) -> None:
    with pytest.raises(InputError, match=r"no such run\. Finished runs: none"):
        commands.sample("nothing")
    Path("runs/half").mkdir(parents=True)
    Path("runs/half/recipe.yaml").write_text("name: half")
    with pytest.raises(InputError, match=r"runs/half/recipe\.yaml:1:1: dataset: is missing"):
        commands.sample("half")


def test_a_finished_run_is_scored_as_it_was(after_first: Path, first: dict[str, Any]) -> None:
    found = evaluate(Path("runs/tiny"), plugins=[STAGES], device="cpu")
    assert found["scores"] == first["scores"]
    other = evaluate(Path("runs/tiny"), num_steps=1, plugins=[STAGES], device="cpu")
    assert other["scores"]["kid"]["value"] != first["scores"]["kid"]["value"]
    assert other["scores"]["kid"]["protocol"]["num_steps"] == 1


CUT = [
    "features=projection", "train.max_steps=2", "train.batch_size=2", "train.validate.num_steps=1",
    "train.validate.num_images=2", "train.validate.grid=[1, 1]", "train.validate.grid_num_steps=1",
    "sample.num_images=1", "sample.grid=[1, 1]", "sample.num_steps=1",
]  # fmt: skip
SMALL = {
    "flowers102": ["dataset.verify=false", "dataset.download=false"],
    "procedural_flowers": ["dataset.num_images=20"],
    "image_folder": ["backbone.widths=[8, 8, 8, 8]"],
}
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def test_recipes_are_shipped() -> None:
    assert len(RECIPES) >= 3


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_runs(recipe: Path, here: Path, flowers_tree: Path) -> None:
    loaded = commands.check_recipe(recipe)
    assert loaded.recipe.name == recipe.stem
    text = recipe.read_text()
    assert f"pipeline run recipes/{recipe.name}" in text.splitlines()[3], "head comment: command"
    dataset = loaded.data["dataset"]["name"]
    changes = [*CUT, *SMALL[dataset]]
    if dataset in ("flowers102", "image_folder"):
        below = "flowers-102/jpg" if dataset == "image_folder" else ""
        changes.append(f"dataset.root={flowers_tree / below}")
    if loaded.data["train"]["lr_schedule"].get("total_steps", 0) is None:  # it ends with step 2
        changes.append("train.lr_schedule.warmup_steps=0")
    if loaded.recipe.evaluate:
        changes += ["evaluate.num_images=2", "evaluate.num_steps=1"]
    found = run(*changes, recipe=recipe, name="two_steps")
    assert tiny.history(found)[-1]["step"] == 2
    assert Path("runs/two_steps/samples.png").is_file()
    assert set(found["scores"]) == {"kid"}
