"""The same results in 1, 2 and 4 processes: to rounding where sums differ, else to the byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.artifacts.embed import read_features
from pipeline.artifacts.sample import read_samples
from pipeline.store.store import Artifact, Store
from tests.helpers.tiny import history
from tests.ranks.conftest import Ended, apart, check_seen, fault, start

SHORTER = ("--set", "evaluate=null", "--set", "sample.num_images=6")
"""The same training, and less after it."""


@pytest.fixture(params=["two", "four"])
def several(request: pytest.FixtureRequest) -> Ended:
    """The recipe in several processes."""
    ended: Ended = request.getfixturevalue(request.param)
    return ended


def artifact(ended: Ended, name: str) -> Artifact:
    where = ended.run["artifacts"][name]
    return Store(Path(ended.run["store"])).open(where["kind"], where["key"])


@pytest.mark.parametrize("which", ["raw", "ema"])
def test_weights_are_those_of_one_process(alone: Ended, several: Ended, which: str) -> None:
    assert 0 < apart(alone, several, which) < 1e-5  # 0: they would not have shared anything


def test_each_step_sees_the_same_images_noise_labels_and_learning_rate(
    alone: Ended, several: Ended
) -> None:
    check_seen(several, alone)


def test_a_signal_saves_and_the_run_goes_on_in_another_number_of_processes(
    alone: Ended, tmp_path: Path
) -> None:
    """To the launcher, to the one process, to one of two; then it is a run never interrupted."""
    legs = [(2, 1, "ctrl-c", 130), (1, 0, "terminated", 143), (2, 1, "terminated", 143)]
    for number, (ranks, rank, what, code) in enumerate(legs):
        step = 12 * number + 11
        ended = fault(tmp_path, what, step=step, rank=rank, ranks=ranks, settings=SHORTER)
        assert ended.code == code
        told = f"stopped at step {step + 1}, saved; the same command goes on there"
        assert ended.err.count(told) == 1
        assert "Traceback" not in ended.err
    ended = start(tmp_path, *SHORTER, "--json", ranks=1)
    assert "training goes on from step 36" in ended.err
    stretches = ended.run["training"]["stretches"]
    told = [(s["first_step"], s.get("processes", 1)) for s in stretches]
    assert told == [(0, 2), (12, 1), (24, 2), (36, 1)]
    check_seen(ended, alone)
    assert 0 < apart(ended, alone, "raw") < 1e-5
    assert 0 < apart(ended, alone, "ema") < 1e-5


def test_losses_and_scores_are_those_of_one_process(alone: Ended, several: Ended) -> None:
    one, other = (
        history({**e.run, "folder": e.folder / e.run["folder"]}) for e in (alone, several)
    )
    assert [line["step"] for line in one] == [line["step"] for line in other] == [25, 50]
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        assert a["protocol"] == b["protocol"]
        assert a["protocol"]["kid"]["num_fake"] == 21
        for name in a:
            if "loss" in name:
                assert b[name] == pytest.approx(a[name], abs=3e-5), name


def test_every_image_is_scored_once_and_samples_are_those_of_one_process(
    alone: Ended, several: Ended
) -> None:
    one, other = (read_samples(artifact(e, "scored samples"))[:] for e in (alone, several))
    assert len(one) == len(other) == 21
    assert int((one.int() - other.int()).abs().max()) <= 1
    assert len(read_features(artifact(several, "features of scored samples"))[:]) == 21
    assert several.run["scores"]["kid"]["protocol"]["num_fake"] == 21


def test_the_same_keys_and_the_number_of_processes_is_told(alone: Ended, several: Ended) -> None:
    for name, where in alone.run["artifacts"].items():
        if name in ("images", "features of validation images", "model"):
            assert several.run["artifacts"][name]["key"] == where["key"]
    (stretch,) = several.run["training"]["stretches"]
    assert stretch["processes"] in (2, 4)
    assert "processes" not in alone.run["training"]["stretches"][0]
    page = (several.folder / several.run["folder"] / "report.html").read_text()
    assert f"1 thread in each of {stretch['processes']} processes" in page


def test_samples_and_features_of_the_same_model_are_equal_to_the_byte(
    alone: Ended, tmp_path: Path
) -> None:
    shutil.copytree(alone.folder, tmp_path, dirs_exist_ok=True)
    made = ("samples", "scored-samples", "sample-features", "features")
    before = {kind: files(tmp_path, kind) for kind in made}
    assert all(before.values())
    for kind in made:
        shutil.rmtree(tmp_path / ".pipeline/artifacts" / kind)
    again = start(tmp_path, "--json", ranks=2)
    assert {n for n, a in again.run["artifacts"].items() if not a["reused"]} >= {"samples"}
    assert again.run["artifacts"]["model"]["reused"]
    assert {kind: files(tmp_path, kind) for kind in made} == before


def files(folder: Path, kind: str) -> dict[str, bytes]:
    """The HDF5 files of artifacts of a kind, by their names in the store."""
    base = folder / ".pipeline/artifacts" / kind
    return {str(file.relative_to(base)): file.read_bytes() for file in base.rglob("*.h5")}


def test_one_document_on_stdout_and_nothing_twice_on_stderr(several: Ended) -> None:
    assert json.loads(several.out)["name"] == "ranks"
    lines = [line for line in several.err.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["25", "50"]
    assert "Warning" not in several.err
