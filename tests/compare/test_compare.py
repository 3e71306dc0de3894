"""``pipeline compare``: what is trained, drawn, judged and refused."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pipeline import InputError, commands
from pipeline.errors import Failed
from pipeline.store.checked import read_json
from tests.helpers.tiny import main, run
from tests.helpers.trials import COST, SWAP, compare, set_cost, trainings


def test_a_comparison_holds_its_runs_scores_and_their_differences(done: dict[str, Any]) -> None:
    first, second = done["variants"]
    assert [first["name"], second["name"]] == ["bilinear", "transposed_conv"]
    assert done["seeds"] == [0, 1]
    (pair,) = done["pairs"]
    assert pair["difference"] == pytest.approx(sum(pair["by_seed"]) / 2)
    for i, folder in enumerate(second["runs"]):
        scores = json.loads((done["root"] / folder / "scores.json").read_text())
        assert second["scores"]["kid"][i] == scores["kid"]
        values = [variant["scores"]["kid"][i]["value"] for variant in (first, second)]
        assert pair["by_seed"][i] == pytest.approx(values[1] - values[0])
    assert pair["training_seeds"]["degrees_of_freedom"] == 1
    assert pair["finite_samples"]["standard_error"] > 0
    assert pair["p_corrected"] is None
    assert second["cost"]["parameters"] > first["cost"]["parameters"] > 0
    assert first["cost"]["seconds_a_step"] > 0 < first["cost"]["images_per_second"]
    assert first["cost"]["nfe"] == 2
    assert first["cost"]["steps"] == 7
    folder = done["root"] / done["folder"]
    kept = read_json(folder / "compare.json")
    assert kept == {k: v for k, v in done.items() if k not in ("folder", "page", "root")}
    assert "bilinear" in (done["root"] / done["page"]).read_text()


def test_protocol_is_what_all_share(done: dict[str, Any]) -> None:
    protocol = done["metrics"]["kid"]["protocol"]
    assert protocol["num_steps"] == 2
    assert protocol["split"] == "validation"
    assert "seed" not in protocol


def test_the_same_comparison_again_trains_nothing(
    done: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(done["root"])
    before = trainings()
    again = compare("tiny.yaml", swaps=[SWAP], seeds=2)
    assert trainings() == before
    assert again["pairs"] == done["pairs"]
    assert again["variants"] == done["variants"]


def test_a_third_seed_is_added(done: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(done["root"])
    before = trainings()
    more = compare("tiny.yaml", swaps=[SWAP], seeds=3, name="three")
    assert len(trainings() - before) == 2
    assert more["pairs"][0]["by_seed"][:2] == done["pairs"][0]["by_seed"]


def test_a_sampler_retrains_nothing(many: Path) -> None:
    found = compare("tiny.yaml", swaps=["evaluate.sampler=ddim,{name: ddim, eta: 1}"], seeds=1)
    assert len(trainings()) == 1
    assert [v["name"] for v in found["variants"]] == ["ddim", "{name: ddim, eta: 1}"]
    assert found["pairs"][0]["difference"] != 0


def test_a_guidance_retrains_nothing(many: Path) -> None:
    recipe = (many / "tiny.yaml").read_text()
    known = recipe.replace("train:\n", "train:\n  condition: class\n  drop_label: 0.2\n")
    (many / "tiny.yaml").write_text(known)
    guided = ["sample.guidance_scale=3"]
    swap = "sample.guidance=classifier_free,{name: interval, high: 2}"
    found = compare("tiny.yaml", swaps=[swap], overrides=guided, seeds=1)
    assert len(trainings()) == 1
    told = [v["scores"]["kid"][0]["protocol"] for v in found["variants"]]
    assert [protocol["guidance_scale"] for protocol in told] == [3, 3]
    assert [protocol["guidance"] for protocol in told] == [
        "classifier_free",
        {"name": "interval", "high": 2.0},
    ]
    assert found["pairs"][0]["difference"] != 0


def test_the_page_written_again_has_the_same_pictures(many: Path) -> None:
    found = compare("tiny.yaml", swaps=["evaluate.sampler=ddim,{name: ddim, eta: 1}"], seeds=1)
    page = Path(found["page"])
    before = page.read_text(encoding="utf-8")
    commands.report([Path(found["name"])])
    assert page.read_text(encoding="utf-8") == before


def test_one_seed_says_nothing_of_recipes(many: Path) -> None:
    alike = "backbone.upsampler=bilinear,nearest"  # which its samples cannot tell apart
    found = compare("tiny.yaml", swaps=[alike], seeds=1)
    (pair,) = found["pairs"]
    assert pair["training_seeds"] is None
    assert "these two networks" in pair["verdict"]
    assert "of the recipes one seed tells nothing" in pair["verdict"]
    assert "may have been missed" not in pair["verdict"]
    finer = compare("tiny.yaml", swaps=[alike], seeds=1, effect=1e-9)
    assert "one of 1e-09 may have been missed" in finer["pairs"][0]["verdict"]


def test_three_variants_are_corrected(many: Path) -> None:
    found = compare(
        "tiny.yaml", swaps=["backbone.upsampler=bilinear,nearest,transposed_conv"], seeds=1
    )
    assert found["metrics"]["kid"]["correction"] == "Holm over 3 pairs"
    raw = sorted(pair["finite_samples"]["p"] for pair in found["pairs"])
    least = min(pair["p_corrected"] for pair in found["pairs"])
    assert least == pytest.approx(min(1, 3 * raw[0]))


def test_finished_runs_are_taken_as_they_are(many: Path) -> None:
    one = run("backbone.upsampler=bilinear")
    other = run("backbone.upsampler=nearest", "seed=5")
    (many / "tiny.yaml").unlink()
    before = trainings()
    found = compare(*(made["name"] for made in (one, other)), num_steps=3)
    assert trainings() == before
    scores = [variant["scores"]["kid"][0]["protocol"] for variant in found["variants"]]
    assert [protocol["seed"] for protocol in scores] == [0, 0]  # the same noise
    assert [protocol["num_steps"] for protocol in scores] == [3, 3]


def test_itself_is_no_different(many: Path) -> None:
    run(name="one")
    run(name="other")
    found = compare("one", "other")
    assert found["pairs"][0]["difference"] == 0
    assert found["pairs"][0]["verdict"] == "no difference: KID is the same for both"


def test_a_budget_in_steps_is_what_each_variant_trains(many: Path) -> None:
    recipe = (many / "tiny.yaml").read_text()
    longer = recipe.replace("max_steps: 7", "max_steps: 9\n  epochs: 1")
    (many / "longer.yaml").write_text(longer.replace("name: tiny", "name: longer"))
    alike = compare("tiny.yaml", "longer.yaml", seeds=1, budget="steps=20")
    assert [variant["cost"]["steps"] for variant in alike["variants"]] == [20, 20]
    assert alike["notes"] == []
    assert alike["budget"] == "20 steps"


def test_unequal_training_is_said(many: Path) -> None:
    found = compare("tiny.yaml", swaps=["train.max_steps=3,6"], seeds=1)
    (note,) = found["notes"]
    assert "max_steps=3 3, max_steps=6 6 steps" in note
    assert "--budget" in note


def test_a_budget_in_minutes_becomes_steps_by_what_a_step_takes(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"bilinear": 0.5, "transposed_conv": 1.0}
    set_cost(monkeypatch, lambda name: {**COST, "seconds_a_step": seconds[name]})
    found = compare("tiny.yaml", swaps=[SWAP], seeds=1, budget="minutes=0.1")
    assert [variant["cost"]["steps"] for variant in found["variants"]] == [12, 6]
    assert "12, transposed_conv 6 steps (of the same time)" in found["notes"][0]


def test_processes_give_the_same(many: Path, done: dict[str, Any]) -> None:
    found = compare("tiny.yaml", swaps=[SWAP], seeds=2, jobs=2)
    assert found["pairs"][0]["by_seed"] == done["pairs"][0]["by_seed"]
    assert len(list(Path(found["folder"]).glob("logs/*.log"))) == 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failing_trial_is_told_and_the_others_are_kept(jobs: int, many: Path) -> None:
    with pytest.raises(Failed, match=r"1e\+30, seed 0: ") as error:
        compare("tiny.yaml", swaps=["train.optimizer.lr=1e+30,1e-3"], seeds=1, jobs=jobs)
    assert "Lower train.optimizer.lr" in str(error.value)
    assert len(list(Path("runs").glob("*/run.json"))) == 1


def test_plan_is_commands_for_any_shell(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("compare", "tiny.yaml", "--swap", SWAP, "--seeds", "2", "--plan") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert not trainings()
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "pipeline"
        assert main(*words, plugin=False) == 0
    before = trainings()
    words = shlex.split(last.removeprefix("# when all have ended: "))
    assert main(*words[1:], plugin=False) == 0
    assert trainings() == before
    assert len(before) == 4


def test_interrupted_it_goes_on(many: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["compare", "tiny.yaml", "--swap", SWAP, "--seeds", "1", "--device", "cpu"]
    assert main(*options, "--set", "augment.trip.step=5") == 143
    assert "stopped at step" in capfd.readouterr().err
    assert main(*options, "--json") == 0
    out, err = capfd.readouterr()
    assert "training goes on from step" in err
    assert len(json.loads(out)["pairs"]) == 1


REFUSED = {
    "resolution": ("size: 16", "size: 24", "resolution 16×16 and 24×24"),
    "split": ("schedule: cosine", "schedule: cosine\nsplit: {seed: 1}", "other real images"),
    "images": ("num_images: 300", "num_images: 301", "dataset.num_images: 300 -> 301"),
    "steps": ("evaluate: {num_steps: 2", "evaluate: {num_steps: 4", "sampling steps 2 and 4"),
    "part": ("evaluate: {", "evaluate: {split: train, ", "split validation and train"),
    "metric": (
        "num_images: 50, metrics: [kid]",
        "num_images: 50, metrics: [{name: kid, estimator: subsets}]",
        "metrics kid with features",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compared_is_refused(name: str, many: Path) -> None:
    old, new, why = REFUSED[name]
    recipe = (many / "tiny.yaml").read_text()
    assert old in recipe
    (many / "other.yaml").write_text(recipe.replace(old, new).replace("name: tiny", "name: other"))
    with pytest.raises(InputError, match="tiny and other: not comparable, because") as error:
        compare("tiny.yaml", "other.yaml")
    assert why in str(error.value)
    assert not trainings()


def test_another_extractor_is_refused(many: Path) -> None:
    (many / "w").write_bytes(b"other weights")
    recipe = (many / "tiny.yaml").read_text().replace("name: tiny", "name: other")
    other = recipe.replace("features: projection", "features: {name: projection, weights: w}")
    (many / "other.yaml").write_text(other)
    with pytest.raises(
        InputError,
        match=r"metrics kid with features projection/.* and kid with features projection/",
    ):
        compare("tiny.yaml", "other.yaml")


BAD = {
    "alone": (("tiny.yaml",), {}, "one alone is nothing to compare"),
    "twice": (("tiny.yaml", "tiny.yaml"), {}, "is there twice"),
    "swap without values": (("tiny.yaml",), {"swaps": ["seed="]}, "should be like"),
    "swap without key": (("tiny.yaml",), {"swaps": ["=1,2"]}, "should be like"),
    "swap of unknown value": (
        ("tiny.yaml",),
        {"swaps": ["backbone.upsampler=bilinear,nearst"]},
        "did you mean 'nearest'",
    ),
    "value twice": (("tiny.yaml",), {"swaps": ["seed=1,1"]}, "seed=1 is there twice"),
    "budget": (("tiny.yaml",), {"swaps": [SWAP], "budget": "hours=1"}, "should be like steps="),
    "no such": (("tiny.yaml", "tony.yaml"), {}, "there is no such recipe"),
    "metric": (("tiny.yaml",), {"swaps": [SWAP], "metrics": ["kod"]}, "did you mean 'kid'"),
    "name": (("tiny.yaml",), {"swaps": [SWAP], "name": "../x"}, "--name ../x: may have letters"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_with_its_remedy(name: str, many: Path) -> None:
    sources, options, said = BAD[name]
    with pytest.raises(InputError, match=re.escape(said)):
        compare(*sources, **options)
    assert not trainings()


def test_a_run_is_not_overwritten(many: Path) -> None:
    run(name="mine")
    with pytest.raises(InputError, match="--name mine: is a run's already"):
        compare("tiny.yaml", swaps=[SWAP], name="mine")


def test_seeds_go_round_before_variants(many: Path) -> None:
    found = compare("tiny.yaml", swaps=[SWAP], seeds=2, plan=True)["commands"]
    upsamplers = [re.search(r"upsampler=(\w+)", line)[1] for line in found]  # type: ignore[index]
    assert upsamplers == ["bilinear", "transposed_conv"] * 2
    assert ["seed=1" in line for line in found] == [False, False, True, True]


def test_two_swaps_make_every_combination(many: Path) -> None:
    found = compare("tiny.yaml", swaps=[SWAP, "objective.loss=mae,mse"], seeds=1, plan=True)
    assert len(found["commands"]) == 4
