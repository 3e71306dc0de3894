"""Which folder a run has: its own, the next free one, or another's only where that is asked for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import Loaded, load
from pipeline.runs.claim import check_place, claimed, folder_for, take
from tests.helpers.tiny import RECIPE, STAGES


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load([STAGES])


@pytest.fixture
def recipe(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A recipe called ``tiny`` with these lines of its own."""
    monkeypatch.chdir(tmp_path)

    def recipe(seed: int = 0, *overrides: str, name: str | None = None) -> Loaded:
        Path("tiny.yaml").write_text(f"{RECIPE}\nseed: {seed}\n")
        return load("tiny.yaml", overrides, registry=registry, name=name)

    return recipe


def finish(loaded: Loaded, name: str | None = None, replace: bool = False) -> Path:
    """A run, as far as its folder is concerned."""
    with claimed(loaded, name, replace) as folder:
        take(folder, loaded)
        (folder / "run.json").write_text(json.dumps({"recipe": loaded.data}))
        (folder / "samples.png").write_bytes(str(loaded.recipe.seed).encode())
    return folder


def interrupt(loaded: Loaded, name: str | None = None) -> Path:
    with claimed(loaded, name, False) as folder:
        (folder / "history.jsonl").write_text("")
    return folder


@contextmanager
def told(capsys: pytest.CaptureFixture[str], words: str) -> Iterator[None]:
    capsys.readouterr()
    yield
    assert words in capsys.readouterr().err


def test_another_recipe_takes_the_next_name_and_each_finds_its_own_again(recipe, capsys) -> None:
    assert finish(recipe(1)) == Path("runs/tiny")
    with told(capsys, "runs/tiny is another recipe's run: this one is runs/tiny-2"):
        assert finish(recipe(2)) == Path("runs/tiny-2")
    assert interrupt(recipe(3)) == Path("runs/tiny-3")
    for seed, name in ((3, "tiny-3"), (2, "tiny-2"), (1, "tiny"), (4, "tiny-4")):
        assert folder_for(recipe(seed)) == Path("runs", name)
    assert finish(recipe(3)) == Path("runs/tiny-3")
    assert Path("runs/tiny/samples.png").read_bytes() == b"1"


def test_recipes_are_compared_without_name_and_place(recipe) -> None:
    finish(recipe(1), name=None)
    Path("runs/tiny").rename("runs/other")
    assert finish(recipe(1, name="other"), name="other") == Path("runs/other")
    changed = recipe(1, "sample.batch_size=3", "train.checkpoint_every=9 steps", name="other")
    assert finish(changed, name="other") == Path("runs/other")


def test_a_name_of_another_recipes_run_is_refused(recipe) -> None:
    finish(recipe(1, name="mine"), name="mine")
    wanted = r"runs/mine: is the run of another recipe \(seed: 1 -> 2\).*--replace"
    with pytest.raises(InputError, match=wanted):
        finish(recipe(2, name="mine"), name="mine")
    interrupt(recipe(1, name="half"), name="half")
    with pytest.raises(InputError, match="runs/half: is the run of another recipe"):
        finish(recipe(2, name="half"), name="half")
    assert Path("runs/mine/samples.png").read_bytes() == b"1"


def test_what_is_replaced_takes_its_own_with_it_and_nothing_of_the_users(recipe, capsys) -> None:
    folder = finish(recipe(1, name="mine"), name="mine")
    (folder / "grids").mkdir()
    (folder / "samples-ddim-seed3/images").mkdir(parents=True)
    (folder / "notes.txt").write_text("keep")
    with told(capsys, "runs/mine was a run with another recipe (seed: 1 -> 2): replaced"):
        finish(recipe(2, name="mine"), name="mine", replace=True)
    assert {path.name for path in folder.iterdir()} == {
        "recipe.yaml", "run.json", "samples.png", "notes.txt",
    }  # fmt: skip
    assert (folder / "samples.png").read_bytes() == b"2"


def test_a_failure_before_anything_is_made_leaves_all_as_it_was(recipe) -> None:
    finish(recipe(1, name="mine"), name="mine")
    before = {path: path.read_bytes() for path in Path("runs/mine").iterdir()}
    with (
        pytest.raises(ZeroDivisionError),
        claimed(recipe(2, name="mine"), "mine", True),
    ):
        _ = 1 / 0
    with pytest.raises(ZeroDivisionError), claimed(recipe(2), None, False):
        _ = 1 / 0
    assert {path: path.read_bytes() for path in Path("runs/mine").iterdir()} == before
    assert [path.name for path in Path("runs").iterdir() if path.name[0] != "."] == ["mine"]


@pytest.mark.parametrize("text", ["", "{", '{"recipe"', "[]", "null", '{"recipe": 3}', "\xff"])
def test_a_run_whose_record_is_damaged_is_known_by_its_recipe(recipe, text: str) -> None:
    folder = finish(recipe(1))
    (folder / "run.json").write_text(text, encoding="latin-1")
    assert folder_for(recipe(1)) == folder
    assert folder_for(recipe(2)) == Path("runs/tiny-2")


def test_a_folder_that_is_no_run_is_not_touched(recipe) -> None:
    Path("runs/tiny").mkdir(parents=True)
    Path("runs/tiny/letter.txt").write_text("mine")
    assert finish(recipe(1)) == Path("runs/tiny-2")
    for replace in (False, True):
        with pytest.raises(InputError, match="runs/tiny: is there and is no run"):
            finish(recipe(1, name="tiny"), name="tiny", replace=replace)
    assert [path.name for path in Path("runs/tiny").iterdir()] == ["letter.txt"]


def test_where_no_run_can_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_place("花" * 66)
    unfit = {"n" * 130: "has 130 characters; 120 at most", "花" * 100: "has 300 bytes; 200 at most"}
    unfit |= {"NUL": "is the name of a device", "com1.x": "device", "my.": "has '.', which Windows"}
    unfit |= {"a:b": "has ':', which Windows does not allow", "a/b": "has '/'"}
    for name, told in unfit.items():
        with pytest.raises(InputError, match=f"--name.*{told}"):
            check_place(name)
    for place in (lambda: Path("runs").touch(), lambda: Path("runs").symlink_to("nowhere")):
        place()
        with pytest.raises(InputError, match="runs: is not a folder; move it away"):
            check_place(None)
        Path("runs").unlink()


def test_two_recipes_at_once_never_share_a_folder(recipe) -> None:
    """And two of one recipe go through it one after the other."""
    loaded = [recipe(seed) for seed in (1, 2, 1, 2, 1, 3)]
    inside: dict[Path, int] = {}
    seen: dict[int, set[Path]] = {}

    def go(one: Loaded) -> None:
        with claimed(one, None, False) as folder:
            assert inside.setdefault(folder, one.recipe.seed) == one.recipe.seed
            assert not (folder / "busy").exists()
            (folder / "busy").touch()
            time.sleep(0.05)
            (folder / "busy").unlink()
            (folder / "history.jsonl").touch()
            seen.setdefault(one.recipe.seed, set()).add(folder)

    failures: list[BaseException] = []

    def guarded(one: Loaded) -> None:
        try:
            go(one)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(one,)) for one in loaded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert all(len(folders) == 1 for folders in seen.values())
    assert len(inside) == 3
