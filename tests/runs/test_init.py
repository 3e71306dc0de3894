"""Warm start: from another run's weights, found by name, folder or file, to a run's page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import InputError, commands
from pipeline.commands import compare, open_run
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load
from pipeline.runs.init import init_of
from pipeline.store.checked import read_json, write_json
from pipeline_optimizers.adamw import AdamW
from tests.helpers.tiny import RECIPE, STAGES, built, draw, main, model, reused, run, same

NEXT = ("train.init=tiny", "train.max_steps=3")
ONE = ("train.max_steps=1", "train.optimizer.lr=1e-30", "evaluate=null")
"""A step that changes no weight, only what batch norm has seen."""


def weights_of(name: str = "tiny") -> Path:
    return open_run(name).artifact("model").path / "best.safetensors"


def trained_parts(found: dict[str, Any], part: str) -> dict[str, torch.Tensor]:
    """The weights of a run's best checkpoint, without buffers: ``ema`` or ``raw``."""
    tensors = model(found, "best")
    return {
        name.removeprefix(f"{part}."): value
        for name, value in tensors.items()
        if name.startswith(part) and "norm" not in name
    }


def files() -> set[Path]:
    """What there is, but for locks and the mark of a process that has opened the store."""
    paths = set(Path().rglob("*"))
    return {path for path in paths if ".locks" not in path.parts and path.suffix != ".held"}


def refused(*overrides: str, **options: Any) -> str:
    """What a run with these overrides is refused with, before it makes anything."""
    before = files()
    with pytest.raises(InputError, match=r"^train\.init: ") as error:
        run(*overrides, **options)
    assert files() == before
    assert "\n" not in str(error.value)
    return str(error.value)


def test_network_and_average_begin_with_the_average_of_the_best(first: dict, after_first) -> None:
    assert not same(trained_parts(first, "ema"), trained_parts(first, "raw"))
    found = run("train.init=tiny", *ONE)
    for part in ("ema", "raw"):
        assert same(trained_parts(found, part), trained_parts(first, "ema"))
    assert not same(trained_parts(run(*ONE, name="new"), "raw"), trained_parts(first, "ema"))


def test_an_optimizer_sees_these_weights_from_the_first(first, after_first, monkeypatch) -> None:
    seen: list[list[float]] = []
    original = AdamW.__call__

    def spied(self: AdamW, parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
        given = list(parameters)
        seen.append([float(p.detach().sum()) for p in given if p.device.type == "cpu"])
        return original(self, given)

    monkeypatch.setattr(AdamW, "__call__", spied)
    run("train.init=tiny", *ONE)
    wanted = [float(value.sum()) for value in trained_parts(first, "ema").values()]
    assert sorted(seen[-1]) == pytest.approx(sorted(wanted), abs=1e-5)


def test_the_names_of_classes_are_part_of_the_content(after_first: Path) -> None:
    shutil.copy(weights_of(), "copy.safetensors")
    state = read_json(weights_of().with_suffix(".json"))
    digests = set()
    for names in (None, ["rose"], ["lily"]):
        write_json(Path("copy.json"), {**state, "class_names": names})
        registry = Registry.load([STAGES])
        loaded = load("tiny.yaml", ["train.init=copy.safetensors"], registry=registry)
        init = init_of(loaded.recipe, registry, Path(".pipeline"))
        assert init
        digests.add(init.digest)
    assert len(digests) == 3


def test_the_first_validation_is_near_the_last_of_the_other(trained: Path, here: Path) -> None:
    last = open_run(trained).validations[-1]
    (here / "tiny.yaml").write_text((trained.parents[1] / "tiny.yaml").read_text())
    short = ("train.max_steps=2", "train.optimizer.lr=1e-5", "evaluate=null")
    (warm,) = open_run(run(f"train.init={trained}", *short)["folder"]).validations
    (new,) = open_run(run(*short)["folder"]).validations
    assert warm.validation["loss"] == pytest.approx(last.validation["loss"], rel=0.02)
    assert new.validation["loss"] > 1.4 * last.validation["loss"]


def test_it_is_told_by_the_command_the_record_and_the_page(after_first: Path, capsys) -> None:
    found = run(*NEXT)
    init = found["training"]["init"]
    assert (init["name"], init["started"], init["tensors"]) == ("tiny", 29, 29)
    told = f"training begins with the averaged weights of tiny ({init['digest'][:8]})\n"
    assert told in capsys.readouterr().err
    page = Path(found["folder"], "report.html").read_text()
    assert f"averaged weights of tiny (29 of 29 tensors, {init['digest']})" in page
    assert found["recipe"]["train"]["init"] == "tiny"
    assert Path(found["folder"]).name == "tiny-2"
    assert found["changes"] == ["init=tiny", "max_steps=3"]
    assert "init" not in run("train.max_steps=3")["training"]


def test_a_moved_run_and_a_file_of_it_are_the_same_weights(after_first: Path) -> None:
    found = run(*NEXT)
    assert built(found)["model"].endswith(f"train.init changed: none -> {digest(found)[:8]}")
    file = weights_of()
    Path("elsewhere/deep").mkdir(parents=True)
    shutil.move("runs/tiny", "elsewhere/deep/tiny")  # its store is not where it says
    for given in ("elsewhere/deep/tiny", file, "copy.safetensors"):
        for suffix in (".safetensors", ".json"):
            shutil.copy(file.with_suffix(suffix), f"copy{suffix}")
        again = run(f"train.init={given}", "train.max_steps=3", name=f"from-{Path(given).stem}")
        assert {"model", "samples"} <= reused(again)
        assert digest(again) == digest(found)


def digest(found: dict[str, Any]) -> str:
    text: str = found["training"]["init"]["digest"]
    return text


def test_other_weights_under_the_same_name_train_anew(after_first: Path) -> None:
    found = run(*NEXT)
    run("train.max_steps=5", name="other")
    shutil.rmtree("runs/tiny")
    shutil.move("runs/other", "runs/tiny")
    again = run(*NEXT)
    changed = f"{digest(found)[:8]} -> {digest(again)[:8]}"
    assert built(again)["model"] == f"train.init changed: {changed}"
    assert again["folder"] == found["folder"]


def test_what_was_interrupted_goes_on_and_begins_only_once(after_first: Path, capsys) -> None:
    more = ("train.init=tiny", "train.max_steps=6")
    whole = run(*more, "train.checkpoint_every=5 minutes", store=Path("fresh"))
    words = [word for change in more for word in ("--set", change)]
    assert (
        main("run", "tiny.yaml", "--device", "cpu", *words, "--set", "augment.trip.step=3") == 143
    )
    assert "training begins with" in capsys.readouterr().err
    found = run(*more)
    told = capsys.readouterr().err
    assert "training goes on from step 4" in told
    assert "training begins with" not in told
    assert same(model(found), model(whole))
    assert digest(found) == digest(whole)


def test_a_run_whose_beginning_is_gone_is_refused_and_can_still_be_used(after_first: Path) -> None:
    found = run(*NEXT, name="next")
    shutil.move("runs/tiny", "gone")
    assert refused(*NEXT, name="next").startswith("train.init: tiny: there is no such run. ")
    sample, images = draw("next", num_images=2)
    assert sample["run"] == found["name"]
    assert len(images) == 2


def test_what_is_no_model_is_refused_before_any_work(after_first: Path) -> None:
    assert "tinny: there is no such run. Finished runs: tiny" in refused("train.init=tinny")
    assert "tiny: is this very run" in refused("train.init=tiny", name="tiny", replace=True)
    told = refused("train.init=tiny.yaml")
    assert told.endswith("tiny.yaml: should be a run, or the .safetensors of a model")
    (step,) = Path(".pipeline/workspaces/training").glob("*/*/step-*7.safetensors")
    assert f"{step.with_suffix('')}: is no model; give best.saf" in refused(f"train.init={step}")
    shutil.copy(weights_of(), "alone.safetensors")
    assert "should have its alone.json beside it" in refused("train.init=alone.safetensors")
    data = bytearray(weights_of().read_bytes())
    data[-5] ^= 1
    Path("alone.safetensors").write_bytes(data)
    shutil.copy(weights_of().with_suffix(".json"), "alone.json")
    assert "alone.safetensors is damaged" in refused("train.init=alone.safetensors")


def test_a_run_that_cannot_give_its_model_is_refused(after_first: Path) -> None:
    unfinished = Path("runs/unfinished")
    unfinished.mkdir()
    (unfinished / "recipe.yaml").write_text("seed: 1")
    assert "this run has not finished" in refused("train.init=unfinished")
    file = Path("runs/tiny/run.json")
    record = read_json(file)
    artifacts = {k: v for k, v in record["artifacts"].items() if k != "model"}
    write_json(file, {**record, "artifacts": artifacts})
    assert "tiny: this run has no model" in refused(*NEXT)
    write_json(file, record)
    shutil.rmtree(weights_of().parent)
    assert "is not there; run the recipe again" in refused(*NEXT)


def test_what_does_not_fit_is_refused_or_left_new_as_asked(after_first: Path, capsys) -> None:
    deeper = (*NEXT, "backbone.widths=[8,8,8]", "evaluate=null")
    assert "down.1.0.first.weight (8, 8, 3, 3) is missing in it" in refused(*deeper)
    assert "is missing in it" in refused(*deeper, dry_run=True)
    init = run(*deeper, "train.init_partial=true")["training"]["init"]
    assert 0 < init["started"] < init["tensors"]
    left = init["tensors"] - init["started"]
    told = f"{init['started']} tensors; {left} are new: down.1.0.norm.running_mean, "
    assert told in capsys.readouterr().err
    changes = ("backbone=dense", "train.init_partial=true")
    assert "tiny has nothing that fits this network" in refused(*NEXT, *changes)


def test_a_part_without_a_whole_is_refused(here: Path) -> None:
    with pytest.raises(InputError, match=r"train\.init_partial: has no effect without train\.init"):
        run("train.init_partial=true")


def save_photos(root: Path, names: str) -> None:
    """Ten grey pictures of each class, brighter ones for later names."""
    for i in range(20):
        file = root / names[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), ord(names[i % 2]) + i, np.uint8)).save(file)


def test_the_names_of_classes_count_and_the_space_is_the_others(here: Path) -> None:
    save_photos(here / "first", "ab")
    save_photos(here / "like", "ab")
    save_photos(here / "other", "yz")
    short = ("train.condition=class", "train.max_steps=2", "train.batch_size=4", "evaluate=null")

    def on(root: str, *more: str) -> dict[str, Any]:
        return run(f"dataset={{name: image_folder, root: {root}}}", *short, *more, name=root)

    (here / "tiny.yaml").write_text(RECIPE.replace("metrics: [kid]", "metrics: []"))
    base = on("first")
    assert on("like", "train.init=first")["training"]["init"]["started"] == 32
    with pytest.raises(InputError, match=r"classes\.weight \(3, 8\) is of other classes"):
        on("other", "train.init=first")
    found = on("other", "train.init=first", "train.init_partial=true")
    assert found["training"]["init"]["started"] == 29
    assert torch.equal(model(found)["codec.mean"], model(base)["codec.mean"])


CODEC = """
from collections.abc import Iterable, Mapping
from torch import Tensor
from pipeline import hookimpl, stage
from pipeline_codecs.pixels import Pixels

@stage
class Flat:
    gain: float = 1.0

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        return Pixels().fit(batches)

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return self.gain * Pixels().encode(images, state)

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return Pixels().decode(x0 / self.gain, state)

@hookimpl
def register_codecs():
    return {"flat": Flat}
"""


def test_another_codec_is_refused_by_name(after_first: Path) -> None:
    Path("codec.py").write_text(CODEC)
    changes = [*NEXT, "codec={name: flat, gain: 2}", "train.init_partial=true"]
    with pytest.raises(InputError) as error:
        commands.run("tiny.yaml", changes, plugins=[STAGES, Path("codec.py")], device="cpu")
    assert str(error.value) == (
        "train.init: tiny has the codec {name: pixels, to: unit_variance}, "
        "this recipe {name: flat, gain: 2.0}: take the same"
    )


def test_variants_by_what_they_begin_with_are_compared(after_first: Path) -> None:
    given = {"overrides": ["train.max_steps=3"], "plugins": [STAGES], "device": "cpu"}
    swap = ["train.init=tiny,null"]
    planned = compare(["tiny.yaml"], swaps=swap, plan=True, seeds=2, **given)
    assert sum("train.init=tiny" in command for command in planned["commands"]) == 2
    compared = compare(["tiny.yaml"], swaps=swap, seeds=1, **given)
    assert [variant["name"] for variant in compared["variants"]] == ["tiny", "null"]
    assert not [note for note in compared["notes"] if "begin" in note]
    runs = [Path(folder, "run.json") for v in compared["variants"] for folder in v["runs"]]
    inits = [json.loads(file.read_text())["training"].get("init") for file in runs]
    assert [init and init["name"] for init in inits] == ["tiny", None]
    with pytest.raises(InputError, match=r"^train\.init: tinny: there is no such run"):
        compare(["tiny.yaml"], swaps=["train.init=tinny,null"], plan=True, **given)
    (after_first / "warm.yaml").write_text("extends: tiny.yaml\ntrain: {init: tiny}\n")
    both = compare(["tiny.yaml", "warm.yaml"], seeds=1, **given)
    said = "trainings do not begin with the same weights: tiny new, warm tiny."
    assert said in both["notes"]
