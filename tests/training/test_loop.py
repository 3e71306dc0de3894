"""Training that is interrupted, extended, shortened or damaged comes to the same end."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from pipeline.errors import Failed
from pipeline.store.weights import read_weights
from pipeline.training import checkpoint, loop
from tests.helpers import tiny
from tests.helpers.tiny import history, main, model, run, same, shell, trained


def assert_same_end(found: dict[str, Any], first: dict[str, Any]) -> None:
    """Weights (EMA and raw), best and last, optimizer's state, and history."""
    assert same(trained(found), trained(first))
    assert any(name.startswith("optimizer.") for name in trained(first))
    for choice in ("best", "last"):
        assert same(model(found, choice), model(first, choice))
    # Where a shorter run ended, between regular validations, it has one more record.
    usual = [record["step"] for record in history(first)]
    assert [r for r in history(found) if r["step"] in usual] == history(first)


TRIP = ["run", "tiny.yaml", "--device", "cpu", "--set", "augment.trip.step=5"]


def test_a_killed_training_comes_to_the_same_end(here: Path, first: dict[str, Any], capsys) -> None:
    shell(*TRIP, "--set", f"augment.trip.signal={int(signal.SIGKILL)}", code=-signal.SIGKILL)
    assert not Path("runs/tiny/run.json").exists()
    found = run()
    assert "training goes on from step 4" in capsys.readouterr().err
    assert_same_end(found, first)


def test_a_terminated_training_comes_to_the_same_end(
    here: Path, first: dict[str, Any], capsys
) -> None:
    done = shell(*TRIP, code=143)
    assert re.search("stopped at step 6, saved; the same command goes on .*there", done.stderr)
    assert "Traceback" not in done.stderr
    found = run()
    assert "training goes on from step 6" in capsys.readouterr().err
    assert_same_end(found, first)


def test_an_interrupted_training_comes_to_the_same_end(
    here: Path, first: dict[str, Any], capfd
) -> None:
    # Twice, the second time in the first step after going on.
    for step in (3, 4):
        changes = [f"augment.trip.step={step}", f"augment.trip.signal={int(signal.SIGINT)}"]
        assert main("run", "tiny.yaml", "--set", changes[0], "--set", changes[1]) == 130
        told = capfd.readouterr().err
        assert f"stopped at step {step + 1}, saved" in told
        assert "Traceback" not in told
    assert_same_end(run(), first)


def test_a_training_interrupted_while_validating_comes_to_the_same_end(
    here: Path, first: dict[str, Any], capfd
) -> None:
    loud = ["--set", "train.validate.sampler=loud"]
    trip = ["--set", f"train.validate.sampler.signal={int(signal.SIGTERM)}"]
    assert main("run", "tiny.yaml", *loud, *trip, "--device", "cpu") == 143
    assert "the same command goes on" in capfd.readouterr().err
    found = run("train.validate.sampler=loud")
    assert "training goes on from step 3" in capfd.readouterr().err
    assert [record["step"] for record in history(found)] == [3, 6, 7]
    losses = [{k: v for k, v in r.items() if "loss" in k} for r in history(found)]
    assert losses == [{k: v for k, v in r.items() if "loss" in k} for r in history(first)]
    assert same(trained(found), trained(first))


@pytest.mark.parametrize("shorter", ["train.max_steps=4", "train.max_steps=3", "train.epochs=1"])
def test_an_extended_training_comes_to_the_same_end(
    here: Path, first: dict[str, Any], capsys, shorter: str
) -> None:
    steps = history(run(shorter, name="tiny"))[-1]["step"]
    assert "goes on" not in capsys.readouterr().err
    found = run()
    assert f"training goes on from step {steps}" in capsys.readouterr().err
    assert tiny.built(found)["model"] == f"steps changed: {steps} -> 7"
    assert_same_end(found, first)


@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("write_weights", 0),
        ("write_weights", 2),
        ("save", 1),
        ("save_samples_grid", 1),
        ("validation_losses", 0),
    ],
)
def test_stopped_in_the_middle_of_anything(
    here: Path, first: dict[str, Any], monkeypatch, where: str, call: int
) -> None:
    module = checkpoint if where in ("write_weights", "save") else loop
    usual, calls = getattr(module, where), iter(range(10))

    def die(*arguments: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return usual(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, where, die)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert_same_end(run(), first)


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [(".safetensors", "flipped"), (".safetensors", "all flipped"), (".json", "cut")],
)
def test_a_damaged_checkpoint_is_told_and_left_out(
    here: Path, first: dict[str, Any], capsys, suffix: str, damage: str
) -> None:
    found = run("train.max_steps=5", "train.checkpoint_every=1 step", name="tiny")
    (folder,) = (Path(found["store"]) / "workspaces/training").iterdir()
    newest = sorted(folder.rglob("step-*" + suffix))
    assert [path.stem for path in newest] == ["step-00000004", "step-00000005"]
    for path in newest if damage == "all flipped" else newest[-1:]:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    found = run()
    said = capsys.readouterr().err
    assert "checkpoint step-00000005 cannot be used" in said
    assert ("goes on from step 4" in said) == (damage != "all flipped")
    assert_same_end(found, first)


def test_fewer_steps_than_trained(here: Path, first: dict[str, Any], capsys) -> None:
    run()
    short = run("train.max_steps=4")
    assert "already gone beyond step 4" in capsys.readouterr().err
    assert [record["step"] for record in history(short)] == [3, 4]
    (here / "alone").mkdir()
    alone = run("train.max_steps=4", store=here / "alone")
    assert same(model(short), model(alone))
    assert same(model(short, "best"), model(alone, "best"))
    assert not same(model(short), model(first))
    assert "model" in tiny.reused(run())


def test_what_is_watched_does_not_change_the_training(here: Path, first: dict[str, Any]) -> None:
    unwatched = run("train.validate.metrics=[]", "train.validate.every=2 steps")
    assert same(trained(unwatched), trained(first))
    assert same(model(unwatched), model(first))


def test_best_is_the_least_of_the_first_metric(first: dict[str, Any]) -> None:
    records = history(first)
    assert [record["step"] for record in records] == [3, 6, 7]
    regular = [r for r in records if r["step"] % 3 == 0 or r is records[-1]]
    least = min(regular, key=lambda record: record["kid"])
    key = first["artifacts"]["model"]["key"]
    path = Path(first["store"]) / "artifacts/model" / key
    for choice, record in (("best", least), ("last", records[-1])):
        kept = read_weights(path / choice)[1]["record"]
        assert kept["step"] == record["step"]
        assert kept["kid"] == record["kid"]


def test_another_seed_is_another_training(here: Path, first: dict[str, Any]) -> None:
    other = run("seed=1")
    assert not same(model(other), model(first))


@pytest.mark.parametrize("lr", ["1e5", "1e11", "1e30"])
def test_divergence_is_told_and_never_saved(here: Path, lr: str) -> None:
    with pytest.raises(Failed, match=r"Lower train\.optimizer\.lr"):
        run(f"train.optimizer.lr={lr}", "train.checkpoint_every=1 step")
    files = list((here / ".pipeline/workspaces").rglob("*.safetensors"))
    for file in files:
        for name, tensor in load_file(file).items():
            assert tensor.isfinite().all(), f"{name} in {file.name}"
    assert not list((here / ".pipeline/artifacts").glob("model/*"))
