"""A model is what its key says, whatever was trained before in the same store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands import open_run
from pipeline.diffusion.model import model_facts
from pipeline.errors import Failed
from pipeline.store.checked import read_json
from tests.helpers.tiny import run

SPEED = ("seconds", "data_seconds", "images_per_second")


def made(found: dict[str, Any]) -> dict[str, Any]:
    """A run's model: weights by digest, history without the machine's speed, the best step."""
    model = open_run(found["folder"]).artifact("model")
    lines = (model.path / "history.jsonl").read_text().splitlines()
    history = [{k: v for k, v in json.loads(line).items() if k not in SPEED} for line in lines]
    files = {n: f["sha256"] for n, f in model.manifest["files"].items() if "safetensors" in n}
    return {
        "key": model.key,
        "weights": files,
        "history": history,
        "best": model_facts(model.path).best["step"],
        "grids": sorted(path.name for path in Path(found["folder"], "grids").iterdir()),
    }


def trained(
    steps: int, every: int, name: str, store: str = "store", seed: int = 0
) -> dict[str, Any]:
    changes = (f"train.max_steps={steps}", f"train.validate.every={every} steps", "evaluate=null")
    return made(run(*changes, f"seed={seed}", name=name, store=Path(store)))


def test_what_was_validated_otherwise_before_makes_no_difference(here: Path, capsys) -> None:
    ways = [(8, 8), (8, 3), (5, 2), (9, 3), (12, 6)]
    mixed = [trained(steps, every, f"m{steps}-{every}") for steps, every in ways]
    said = capsys.readouterr().err
    assert "was validated in another way until step 8: trained again from the start" in said
    for (steps, every), one in zip(ways, mixed, strict=True):
        assert one == trained(steps, every, f"f{steps}-{every}", f"fresh-{steps}-{every}")


def workspaces(store: str = "store") -> list[Path]:
    return sorted(Path(store, "workspaces/training").iterdir())


def test_a_longer_training_goes_on_and_gives_what_the_start_gives(here: Path, capsys) -> None:
    trained(4, 2, "short")
    went_on = trained(8, 2, "long")
    assert "training goes on from step 4" in capsys.readouterr().err
    assert went_on == trained(8, 2, "fresh", "fresh")
    assert len(workspaces()) == 1


@pytest.mark.parametrize(
    "victim", ["history.json", "best.json", "best.safetensors", "grids/step-00000002.png"]
)
@pytest.mark.parametrize("harm", ["flip", "empty"])
def test_damage_of_what_was_measured_is_told_and_changes_nothing(
    here: Path, capsys, victim: str, harm: str
) -> None:
    seed = 2  # with it the best of two validations is the first, and is kept beside the last
    trained(4, 2, "short", seed=seed)
    (file,) = workspaces()[0].glob(f"turn-*/validations/*/{victim}")
    data = bytearray(file.read_bytes())
    data[data.index(b"validation") if b"validation" in data else len(data) // 2] ^= 1
    file.write_bytes({"flip": bytes(data), "cut": bytes(data[:-9]), "empty": b""}[harm])
    capsys.readouterr()
    assert trained(6, 2, "long", seed=seed) == trained(6, 2, "fresh", "fresh", seed)
    assert "cannot go on (" in capsys.readouterr().err


def test_a_flipped_bit_in_a_checkpoints_words_is_passed_over_aloud(here: Path, capsys) -> None:
    trained(4, 2, "short")
    newest = sorted(workspaces()[0].glob("turn-*/step-*.json"))[-1]
    newest.write_text(newest.read_text().replace('"step": 4', '"step": 6'))
    assert trained(6, 2, "long") == trained(6, 2, "fresh", "fresh")
    said = capsys.readouterr().err
    assert "checkpoint step-00000004 cannot be used" in said
    assert "training goes on from step 2" in said


def test_a_kill_while_history_is_rewritten_loses_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.training.history as module

    trained(4, 2, "short")
    before = [read_json(path) for path in workspaces()[0].glob("turn-*/validations/*/history.json")]

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_json", die)
        with pytest.raises(KeyboardInterrupt):
            trained(6, 2, "long")
    assert [
        read_json(p) for p in workspaces()[0].glob("turn-*/validations/*/history.json")
    ] == before
    assert trained(6, 2, "long") == trained(6, 2, "fresh", "fresh")


def test_averages_that_are_not_finite_are_never_saved(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.diffusion.ema import EmaNetwork

    update = EmaNetwork.update

    def spoil(self: EmaNetwork, step: int) -> None:
        update(self, step)
        if step == 3:
            next(self.average.parameters()).data.fill_(float("nan"))

    with monkeypatch.context() as patch:
        patch.setattr(EmaNetwork, "update", spoil)
        with pytest.raises(Failed, match="no longer finite by step 4"):
            trained(6, 4, "spoilt")
    assert trained(6, 4, "mended") == trained(6, 4, "fresh", "fresh")
