"""What a page says, and what writes it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import InputError, commands
from pipeline.commands import open_run
from pipeline.records import HistoryRecord, ScoreRecord
from pipeline.report import wording
from pipeline.report.axes import fit_axis
from pipeline.report.comparison_page import conclusions, standing
from pipeline.report.curves import Series, curves
from pipeline.report.encode import encode, png
from pipeline.report.histograms import histograms
from pipeline.report.intervals import Value, intervals
from pipeline.report.page_data import ImageCounts, RunPage
from pipeline.report.run_page import run_page
from pipeline.report.training_curves import loss_names, training_charts
from pipeline.runs.page import report, write_comparison_page
from pipeline.store.checked import read_json, write_json
from tests.helpers.comparisons import comparison, pair, sheets, variant
from tests.helpers.tiny import run, shell


def test_a_run_writes_its_page_and_tells_where(first: dict[str, Any]) -> None:
    text = (Path(first["folder"]) / "report.html").read_text(encoding="utf-8")
    assert text.count("<img") > 4
    assert "8 samples drawn by ddim (eta 0.0) in 2 steps" in text
    assert "for 7 steps" in text
    assert "on 48 images of procedural_flowers at 16×16 pixels" in text
    assert f"of {first['parameters']:,} parameters" in text


def test_the_page_says_on_what_it_was_trained_and_not_where_it_ended(after_first: Path) -> None:
    record, counts = open_run("tiny").record, ImageCounts(48, 16, 16)
    assert "adamw, on cpu; " in wording.what_was_run(record, None, counts)
    stretch = record["training"]["stretches"][0]
    there = [{**stretch, "device": device} for device in ("cuda", "cpu", "cuda")]
    moved: Any = {**record, "training": {"stretches": there}}
    assert "adamw, on cuda and cpu; " in wording.what_was_run(moved, None, counts)


def test_a_page_is_made_of_plain_data() -> None:
    """No run, no store, no plugins and no torch: whoever has the numbers has the page."""
    code = (
        "import sys\n"
        "from pipeline.report import comparison_page, notebook, run_page\n"
        "loaded = {name for name in sys.modules if name.startswith('pipeline.')}\n"
        "floors = ('runs', 'store', 'artifacts', 'recipe')\n"
        "assert not [name for name in loaded if name.split('.')[1] in floors], loaded\n"
        "assert 'torch' not in sys.modules and 'h5py' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_without_anything_optional_has_a_page(after_first: Path) -> None:
    page = RunPage(
        record=open_run("tiny").record,
        folder=Path("runs/tiny"),
        recipe="name: tiny  # tiny.yaml:1\n",
        counts=ImageCounts(train=48, height=16, width=16),
        samples=np.zeros((2, 3, 16, 16), np.uint8),
        real=np.zeros((2, 3, 16, 16), np.uint8),
        sizes=dict.fromkeys(open_run("tiny").record["artifacts"], 1_234_567),
    )
    text = run_page(page)
    assert "was trained on 48 images" in text
    assert "1.23 MB" in text
    assert '<span class="origin">tiny.yaml:1</span>' in text
    for absent in ("How the samples grew", "From noise to image", "Is it copying?", "Training<"):
        assert absent not in text


def test_the_machine_is_kept(first: dict[str, Any]) -> None:
    found = first["machine"]
    assert found["cores"] >= 1
    assert found["memory"] > 1e8
    assert found["device"] == "cpu"
    assert found["cpu"]
    assert found["python"].startswith("3.")
    assert found["platform"]


def test_the_command_can_be_pasted(here: Path) -> None:
    shell("run", "tiny.yaml", "--set", "train.validate.every=7 steps", "--name", "a")
    command = json.loads(Path("runs/a/run.json").read_text())["command"]
    assert "'train.validate.every=7 steps'" in command


def test_reports_are_written_again(after_first: Path) -> None:
    shutil.copytree("runs/tiny", "runs/other")
    for name in ("tiny", "other"):
        Path(f"runs/{name}/report.html").unlink()
    done = shell("report", "tiny", "runs/other", "--json", plugin=False)
    assert json.loads(done.stdout) == [
        {"run": "tiny", "report": "runs/tiny/report.html"},
        {"run": "runs/other", "report": "runs/other/report.html"},
    ]
    assert "<h1>" in Path("runs/other/report.html").read_text()
    assert shell("report", "tiny", plugin=False).stdout == "runs/tiny/report.html\n"


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (
            {"name": "kid", "value": 14.26, "standard_error": 0.62, "protocol": {"num_fake": 40}},
            "chosen by KID 14.26 (13.04 to 15.48) on other samples.",
        ),
        ({"name": "validation_loss", "value": 0.5}, "chosen by validation loss 0.5</p>"),
    ],
)
def test_what_chose_the_checkpoint(after_first: Path, chosen: dict[str, Any], said: str) -> None:
    file = Path("runs/tiny/run.json")
    selection = {"checkpoint": "best", "step": 1200, "chosen_by": chosen, "fresh": {}}
    write_json(file, {**read_json(file), "selection": selection})
    report([Path("tiny")])
    text = Path("runs/tiny/report.html").read_text(encoding="utf-8")
    assert "The best checkpoint, of step 1,200, was " + said in text
    assert ("Chosen on: 40 samples" in text) == ("protocol" in chosen)


def test_a_run_that_is_not_there_or_not_finished(after_first: Path) -> None:
    said = shell("report", "tinny", code=2, plugin=False).stderr
    assert "tinny: there is no such run. Finished runs: tiny" in said
    Path("runs/tiny/run.json").unlink()
    assert shell("report", "tiny", plugin=False).stdout == "runs/tiny/report.html\n"
    assert "not finished" in Path("runs/tiny/report.html").read_text()


def test_another_recipe_removes_the_page(after_first: Path) -> None:
    Path("runs/tiny/report.html").write_text("of the old recipe")
    with pytest.raises(RuntimeError, match="stopped"):
        stopped_run()
    assert not Path("runs/tiny/report.html").exists()


def stopped_run() -> None:
    """The run of another recipe under the old name, stopped when training begins."""

    def stop(*_: object) -> None:
        raise RuntimeError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.runs.run.train_or_advise", stop)
        run("seed=1", name="tiny", replace=True)


def test_a_comparison_by_its_folder(after_first: Path) -> None:
    data = comparison(1)
    data["variants"] = [variant("a", [0.1]), variant("b", [0.2])]
    data["pairs"] = [pair("a", "b", [0.1], "a")]
    Path("runs/two").mkdir()
    np.save("runs/two/pictures.npy", np.stack([sheets(data)[name] for name in ("a", "b")]))
    write_json(Path("runs/two/compare.json"), data)
    (found,) = commands.report([Path("two")])
    text = Path(found["report"]).read_text(encoding="utf-8")
    assert found["report"] == "runs/two/compare.html"
    assert text.index("b is worse: KID 0.100 higher") < text.index("<img")
    assert 'alt="a, noise 4"' in text
    assert "of these trained networks, not of the recipes" in text


SHARED = {"sampler": {"name": "ddim"}, "num_steps": 2, "labels": "all", "guidance_scale": 3.0}


@pytest.mark.parametrize("swapped", SHARED)
def test_what_variants_do_not_share_is_left_out(swapped: str) -> None:
    said = wording.protocol_words({k: v for k, v in SHARED.items() if k != swapped})
    told = {"sampler": "by ddim", "num_steps": "2 steps", "labels": "all", "guidance_scale": "3"}
    assert [key for key, words in told.items() if words not in said] == [swapped]


def test_a_comparison_says_what_was_not_measured(tmp_path: Path) -> None:
    data = comparison(1)
    text = write_comparison_page(tmp_path, data, sheets(data)).read_text(encoding="utf-8")
    assert text.count("not measured") == 6  # the seeds' interval of each pair
    assert ">0<" not in text


def test_verdicts_in_one_sentence() -> None:
    names = ["a", "b", "c"]
    worst = [
        pair("a", "b", [0.1], None),
        pair("a", "c", [0.2], "a"),
        pair("b", "c", [0.2], "b"),
    ]
    assert standing(names, worst) == "No variant was found better than a or b."
    best = [pair("a", "b", [0.1], "b"), pair("a", "c", [0.1], None), pair("b", "c", [0.1], "b")]
    assert standing(names, best) == "b is better than every other variant."
    none = [pair("a", "b", [0.1], None), pair("a", "c", [0.1], None)]
    assert standing(names, none) == "No difference was found between any two of the 3 variants."
    circle = [pair("a", "b", [0.1], "a"), pair("b", "c", [0.1], "b"), pair("a", "c", [0.1], "c")]
    assert standing(names, circle) is None
    assert standing(names[:2], best[:1]) is None


def test_conclusions_say_how_far_they_reach() -> None:
    one, three = " ".join(conclusions(comparison(1))), " ".join(conclusions(comparison(3)))
    assert "not of the recipes" in one
    assert "0.0300 in KID for nearest against bilinear" in three
    assert "pixel_shuffle" not in three  # that difference was seen
    assert "speaks of the recipes" in three


def test_a_score_without_error_has_no_interval() -> None:
    bare = wording.score_words("fid", {"value": 12.5, "protocol": {"biased": True}}, None)
    assert bare.interval is None
    assert "equal numbers of images only" in bare.protocol
    score: ScoreRecord = {"value": 1.0, "standard_error": 0.1, "protocol": {}}
    assert wording.score_words("kid", score, None).interval == "0.80 to 1.20"


@pytest.mark.parametrize("ends", [(0, 1), (-3, 250), (0.00012, 0.00013), (5e6, 2e7), (7, 7)])
def test_ticks_are_round_numbers_within_the_ends(ends: tuple[float, float]) -> None:
    made = fit_axis(ends, 50, 410)
    ticks = made.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(50 <= tick.at <= 410 for tick in ticks)
    assert len({tick.text for tick in ticks}) == len(ticks)
    for tick in ticks:
        value = float(tick.text.replace(",", "").replace("−", "-"))
        assert made(value) == pytest.approx(tick.at, abs=0.11)


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    made = fit_axis([0.01, 100], 0, 100, log=True, margin=0)
    assert [(tick.at, tick.text) for tick in made.ticks()] == [
        (0, "0.01"),
        (25, "0.10"),
        (50, "1.00"),
        (75, "10.00"),
        (100, "100.00"),
    ]
    assert not fit_axis([-1, 100], 0, 100, log=True).log
    assert not fit_axis([1, 20], 0, 100, log=True).log


def test_curves_show_every_value() -> None:
    steps = list(range(1000))
    chart = curves("loss", [Series("training", steps, [float(s) for s in steps])])
    (line,) = chart.lines
    assert line.path.count("L") == 999
    assert len(line.points) == 100
    assert line.points[0].tip == "training, step 0: 0"
    assert "from 0 at step 0 to 999 at step 999" in chart.alt


def test_losses_and_scores_get_charts() -> None:
    first = HistoryRecord(
        step=10,
        epoch=1.0,
        seconds=2.0,
        train={"noise_loss": 0.5},
        validation={"loss": 0.4, "noise_loss": 0.4},
        raw={"noise_loss": 0.3},
        scores={"kid": {"value": 0.1, "protocol": {}}},
    )
    scores: dict[str, ScoreRecord] = {"kid": {"value": 0.05, "protocol": {}}}
    history = [first, replace(first, step=20, seconds=6.0, scores=scores)]
    assert loss_names(history) == ["noise_loss"]
    made = {chart.title: chart for chart in training_charts(history, {}, images_per_step=8)}
    assert list(made) == ["Noise loss", "KID", "Seconds a step", "Training speed"]
    assert [line.points[1].tip for line in made["Noise loss"].lines] == [
        "training, step 20: 0.5",
        "validation, averaged weights (EMA), step 20: 0.4",
        "validation, raw weights, step 20: 0.3",
    ]
    tips = [point.tip for point in made["Training speed"].lines[0].points]
    assert [tip.rpartition(": ")[2] for tip in tips] == ["40 images/s", "20 images/s"]
    assert made["KID"].lines[0].band == ""  # no standard error, no band


def test_intervals_stand_where_their_values_are() -> None:
    chart = intervals("kid", [("b", [Value(0.5, 0.0, 1.0, 1, "b")])], zero=True)
    (mark,) = chart.rows[0].marks
    assert mark.low is not None
    assert mark.high is not None
    assert chart.zero == mark.low < mark.x < mark.high
    assert mark.x == pytest.approx((mark.low + mark.high) / 2, abs=0.11)


def test_histograms_share_their_bins() -> None:
    chart = histograms("distance", [("samples", [0.0, 0.0, 1.0]), ("validation", [1.0])], "")
    samples, validation = chart.groups
    assert [bar.height for bar in samples.bars] == [37.3, 18.7]
    assert [bar.x for bar in validation.bars] == [samples.bars[1].x]


def test_pictures_are_exact_where_there_is_room() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 3, 64, 64), np.uint8)
    pngs = [png(image) for image in noise]
    exact = encode(pngs, 1_000_000)
    assert exact.exact
    assert all(uri.startswith("data:image/png;base64,") for uri in exact.uris)
    packed = encode(pngs, 20_000)
    assert not packed.exact
    assert sum(map(len, packed.uris)) < 20_000 + 200
    grey = encode([png(noise[0, :1])], 1_000_000)
    assert grey.exact


def test_report_needs_the_store(after_first: Path) -> None:
    shutil.move(".pipeline", "elsewhere")
    with pytest.raises(InputError, match="the store of run tiny is not there; give --store"):
        report([Path("tiny")])
    assert report([Path("tiny")], store=Path("elsewhere"))
