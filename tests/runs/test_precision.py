"""What precision a run has is settled once, and refused where the device does not have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline import InputError
from pipeline.commands import compare, evaluate, open_run, sample
from pipeline.diffusion import precision
from pipeline.diffusion.precision import best_precision, has_bf16
from pipeline.machine import cpu_flags, cpu_vendor
from pipeline.runs.claim import recipe_in
from tests.helpers import tiny
from tests.helpers.tiny import RECIPE, STAGES, reused, run

AUTO = ("train.precision=auto", "sample.precision=auto", "evaluate.precision=auto")


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make this CPU one of these instruction sets, and of this maker."""

    def of(*flags: str, vendor: str = "AuthenticAMD") -> None:
        monkeypatch.setattr(precision, "cpu_flags", lambda: set(flags))
        monkeypatch.setattr(precision, "cpu_vendor", lambda: vendor)

    return of


def told(folder: str | Path) -> list[str]:
    """The precisions in a run's ``recipe.yaml``."""
    recipe = recipe_in(Path(folder))
    assert recipe
    return [recipe[section]["precision"] for section in ("train", "sample", "evaluate")]


def test_auto_is_settled_when_training_begins_and_kept_everywhere(here: Path, cpu, capsys) -> None:
    (here / "auto.yaml").write_text(
        RECIPE.replace("name: tiny", "name: auto")
        .replace("train:\n", "train:\n  precision: auto\n")
        .replace("sample: {", "sample: {precision: auto, ")
        .replace("evaluate: {", "evaluate: {precision: auto, ")
    )
    cpu("avx2", "avx512_bf16")
    short = run("train.max_steps=3", recipe="auto.yaml", name="auto")
    assert told(short["folder"]) == ["bf16"] * 3
    assert [short["recipe"][key]["precision"] for key in ("train", "sample", "evaluate")] == [
        "bf16"
    ] * 3
    assert short["scores"]["kid"]["protocol"]["precision"] == "bf16"
    assert "precision auto: bf16 on cpu" in capsys.readouterr().err
    cpu("avx2")  # another machine
    again = run("train.max_steps=3", recipe="auto.yaml", name="auto")
    assert "precision auto" not in capsys.readouterr().err
    assert {"model", "samples", "scored samples"} <= reused(again)
    assert told(again["folder"]) == ["bf16"] * 3
    other = run("seed=1", "train.max_steps=3", recipe="auto.yaml")
    assert told(other["folder"]) == ["float32"] * 3
    assert "precision auto: float32 on cpu" in capsys.readouterr().err


@pytest.mark.parametrize("step", [1, 4])  # before the first validation, and after it
def test_a_run_that_was_stopped_goes_on_in_what_it_began_with(
    here: Path, cpu, capsys, step: int
) -> None:
    cpu("amx_bf16")
    trip = [word for change in (*AUTO, f"augment.trip.step={step}") for word in ("--set", change)]
    assert tiny.main("run", "tiny.yaml", "--device", "cpu", *trip) == 143
    (folder,) = (path for path in Path("runs").iterdir() if path.name[0] != ".")
    cpu()
    found = run(*AUTO)
    assert found["folder"] == str(folder)
    assert f"training goes on from step {step + 1}" in capsys.readouterr().err
    assert told(folder) == ["bf16"] * 3


def test_a_recipe_that_names_another_is_another_run(here: Path, cpu) -> None:
    cpu("amx_bf16")
    first = run(*AUTO, "evaluate=null", name="auto")
    with pytest.raises(InputError, match=r"train\.precision: bf16 -> float32"):
        run(*AUTO, "train.precision=float32", "evaluate=null", name="auto")
    assert first["recipe"]["evaluate"] is None


def test_the_dry_run_tells_it(here: Path, cpu) -> None:
    cpu("amx_bf16")
    assert run(*AUTO, dry_run=True)["recipe"]["train"]["precision"] == "bf16"
    assert not Path("runs").exists()


@pytest.mark.parametrize("section", ["train", "sample", "evaluate"])
@pytest.mark.parametrize("asked", ["fp16", "tf32"])
def test_what_a_cpu_cannot_is_refused_with_its_key(here: Path, section: str, asked: str) -> None:
    with pytest.raises(InputError, match=rf"^{section}\.precision: device cpu cannot .* {asked}"):
        run(f"{section}.precision={asked}")
    assert not Path("runs").exists()


def test_an_unknown_precision_is_refused(here: Path) -> None:
    with pytest.raises(InputError, match=r"train\.precision: should be 'float32', 'tf32', 'bf16'"):
        run("train.precision=half")


def test_a_run_that_is_finished_asks_nothing_of_the_device(here: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(precision, "check_precision", lambda *_: None)
        patch.setattr("pipeline.runs.precision.check_precision", lambda *_: None)
        run("sample.precision=fp16", name="tiny")
    assert "samples" in reused(run("sample.precision=fp16", name="tiny"))
    with pytest.raises(InputError, match=r"^sample\.precision: device cpu cannot .* fp16"):
        sample("tiny", num_images=3, seed=5, plugins=[STAGES], device="cpu")
    drawn = sample("tiny", seed=5, precision="float32", plugins=[STAGES], device="cpu")
    assert drawn["precision"] == "float32"


def test_sample_and_evaluate_in_another_precision(after_first: Path, cpu) -> None:
    given = {"plugins": [STAGES], "device": "cpu"}
    drawn = sample("tiny", precision="bf16", **given)
    assert drawn["precision"] == "bf16"
    assert not drawn["reused"]
    assert Path(drawn["folder"]).name.endswith("-bf16")
    assert sample("tiny", **given)["precision"] == "float32"
    scored = evaluate(Path("tiny"), precision="bf16", **given)
    assert scored["scores"]["kid"]["protocol"]["precision"] == "bf16"
    cpu()
    assert sample("tiny", precision="auto", **given)["precision"] == "float32"
    with pytest.raises(InputError, match="--precision: device cpu cannot compute in fp16"):
        evaluate(Path("tiny"), precision="fp16", **given)
    with pytest.raises(InputError, match="--precision half: should be one of float32"):
        open_run("tiny", **given).sample(2, precision="half")


def test_unlike_precisions_of_samples_are_not_compared(here: Path) -> None:
    for name in ("float32", "bf16"):
        given = f"evaluate: {{precision: {name}, "
        text = RECIPE.replace("name: tiny", f"name: {name}").replace("evaluate: {", given)
        (here / f"{name}.yaml").write_text(text)
    with pytest.raises(InputError, match="precision of sampling float32 and bf16"):
        compare(["float32.yaml", "bf16.yaml"], plan=True, plugins=[STAGES], device="cpu")
    swap = ["evaluate.precision=float32,bf16"]
    planned = compare(["float32.yaml"], swaps=swap, plan=True, plugins=[STAGES], device="cpu")
    assert len(planned["commands"]) == 6, "unless that is what is compared"


def test_the_summaries_tell_a_precision_and_that_it_is_imitated(here: Path, cpu, capsys) -> None:
    cpu()
    words = ["run", "tiny.yaml", "--device", "cpu"]
    for change in ("sample.precision=bf16", "evaluate.precision=bf16", "evaluate.metrics=[kid]"):
        words += ["--set", change]
    assert tiny.main(*words, "--name", "low") == 0
    told = capsys.readouterr()
    assert "8 samples by ddim in 2 steps in bf16 against" in told.out
    assert "sample.precision, evaluate.precision bf16: cpu only imitates it here" in told.err
    assert tiny.main("sample", "low", "--device", "cpu", "--precision", "bf16") == 0
    told = capsys.readouterr()
    assert "with ddim in bf16, 3 network" in told.out
    assert "--precision bf16: cpu only imitates it here" in told.err
    assert tiny.main("sample", "low", "--device", "cpu", "--precision", "auto") == 0
    told = capsys.readouterr()
    assert "drawn with ddim, 3 network" in told.out
    assert "precision auto: float32 on cpu" in told.err


def test_trials_of_auto_have_one_precision(here: Path, cpu) -> None:
    cpu("amx_bf16")
    swaps = ["backbone.block_depth=1,2"]
    given = {"overrides": ["train.precision=auto"], "plugins": [STAGES], "device": "cpu"}
    planned = compare(["tiny.yaml"], swaps=swaps, plan=True, seeds=1, **given)
    assert all("train.precision=bf16" in command for command in planned["commands"])


@pytest.mark.parametrize(
    ("flags", "vendor", "best"),
    [
        ({"avx2"}, "AuthenticAMD", "float32"),
        ({"avx512_bf16"}, "AuthenticAMD", "bf16"),
        ({"avx512_bf16"}, "GenuineIntel", "float32"),
        ({"avx512_bf16", "amx_bf16"}, "GenuineIntel", "bf16"),
        ({"amx_bf16", "avx2"}, "", "bf16"),
    ],
)
def test_auto_is_bf16_only_where_the_cpu_gains_by_it(
    cpu, flags: set[str], vendor: str, best: str
) -> None:
    cpu(*flags, vendor=vendor)
    assert best_precision("cpu") == best
    assert best_precision("meta") == "float32"


def test_the_flags_of_this_cpu_are_read() -> None:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    known = [line for line in lines if line.startswith("flags")]
    assert cpu_flags() == set(known[0].split()[2:] if known else [])
    makers = [line.split()[-1] for line in lines if line.startswith("vendor_id")]
    assert cpu_vendor() == (makers[0] if makers else "")
    assert has_bf16("cpu") == bool({"avx512_bf16", "amx_bf16"} & cpu_flags())
