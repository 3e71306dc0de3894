"""``runs/<name>/``: what people look at. It points into the store, where everything is kept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..progress import note
from ..recipe.load import Loaded, show
from ..recipe.show import differences
from ..records import read_history
from ..store import manifest
from ..store.store import Artifact, Store
from ..training.trackers import Trackers

RUNS, RUN = Path("runs"), "run.json"

DIAGNOSIS = "diagnosis.json"
"""Of a run that failed: why. What there is to say of a finished one is in ``run.json``."""


class RunFolder:
    """A run's folder: the recipe first, history and grids as they come, the rest at the end."""

    def __init__(
        self,
        path: Path,
        loaded: Loaded,
        store: Store,
        plugins: Sequence[Path],
        command: str,
    ) -> None:
        """``command`` makes it again."""
        self.path, self.loaded, self.store, self.plugins = path, loaded, store, plugins
        self.command = command
        names = loaded.recipe.train.trackers
        self.trackers = Trackers(names, path, loaded.data) if names else None

    def begin(self) -> None:
        """Make the folder, or clear it if it is another recipe's; the store keeps its results."""
        before = recipe_of(self.path)
        if before != self.loaded.data:
            if before:
                changes = "; ".join(spec_spec_differences(before, self.loaded.data))
                note(f"{self.path} was a run with another recipe ({changes}): replaced")
            pages = ("scores.json", "samples.png", "history.jsonl", "report.html")
            for old in (RUN, DIAGNOSIS, *pages):
                (self.path / old).unlink(missing_ok=True)
            shutil.rmtree(self.path / "grids", ignore_errors=True)
            shutil.rmtree(self.path / "trackers", ignore_errors=True)
        elif not self.store.fresh:
            self.trackers = None  # have been told all of this finished run
        self.path.mkdir(parents=True, exist_ok=True)
        write(self.path / "recipe.yaml", recipe_as_yaml(self.loaded))
        self.store.remember_runs(self.path.parent)

    def watch(self, views: Path) -> None:
        """Copy what training has found so far."""
        shutil.copy(views / "history.jsonl", self.path)
        shutil.copytree(views / "grids", self.path / "grids", dirs_exist_ok=True)
        if self.trackers:
            self.trackers.tell(views)

    def finish(
        self,
        made: Mapping[str, Artifact],
        scores: Mapping[str, Any],
        device: str,
        metrics: Mapping[str, Any],
    ) -> None:
        """The pictures, the scores, and what everything was made from."""
        from ..artifacts.neighbours import read_neighbours
        from ..artifacts.prepare import FILE
        from ..artifacts.sample import read_samples
        from ..diffusion.grid import save_grid
        from ..diffusion.images import Images
        from ..diffusion.labels import captions, chosen_labels
        from ..diffusion.measure import as_data
        from ..diffusion.model import class_names_of, count_parameters
        from ..machine import machine, versions
        from .diagnose import diagnose

        self.watch(made["model"].path)
        if self.trackers:
            self.trackers.close()
        wanted = self.loaded.recipe.sample
        images, names = read_samples(made["samples"]), class_names_of(made["model"].path)
        below = None
        if names:
            labels = chosen_labels(wanted.classes, names)
            below = captions(labels, range(len(images)), names, wanted.guidance_scale)
        save_grid(images, wanted.grid, self.path / "samples.png", below)
        found: dict[str, Any] = {name: as_data(score) for name, score in scores.items()}
        write(self.path / "scores.json", _json(found))
        findings = diagnose(
            self.loaded.recipe.train.ema,
            read_history(made["model"].path),
            read_samples(made.get("scored samples", made["samples"])),
            Images(made["images"].path / FILE),
            read_neighbours(made["neighbours"]),
            found,
        )
        about = {
            "name": self.path.name,
            "recipe": self.loaded.data,
            "store": os.path.relpath(self.store.root, self.path),
            "artifacts": {
                name: {"kind": one.kind, "key": one.key, "reused": one.reused, "why": one.why}
                for name, one in made.items()
            },
            "scores": found,
            "metrics": metrics,
            "parameters": count_parameters(self.loaded.recipe, made["model"].path),
            **({"captions": below} if below else {}),
            "selection": _selection(made["model"].path, found),
            "diagnosis": [finding.record() for finding in findings],
            "device": device,
            "machine": machine(device),
            "plugins": [str(file.absolute()) for file in self.plugins],
            "command": self.command,
            "versions": versions(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write(self.path / RUN, _json(about))
        (self.path / DIAGNOSIS).unlink(missing_ok=True)

    @contextmanager
    def telling_failure(self) -> Iterator[None]:
        """Keep what ended training in the folder, so that it can be told of the unfinished run."""
        from ..diagnosis.finding import Diverged

        try:
            yield
        except Diverged as error:
            write(self.path / DIAGNOSIS, _json([error.finding.record()]))
            raise


def _selection(model: Path, scores: Mapping[str, Any]) -> dict[str, Any]:
    """By what the best checkpoint was chosen, and its scores on samples that did not choose it."""
    record = json.loads((model / "best.json").read_text())["record"]
    name = next(iter(record.get("protocol", {})), "validation_loss")
    chosen = {"name": name, "value": record[name]}
    if (error := f"{name}_standard_error") in record:
        chosen["standard_error"] = record[error]
    if name in record.get("protocol", {}):
        chosen["protocol"] = record["protocol"][name]
    parts = ("value", "standard_error")
    fresh = {one: {k: score[k] for k in parts if k in score} for one, score in scores.items()}
    return {"checkpoint": "best", "step": record["step"], "chosen_by": chosen, "fresh": fresh}


def _what_now(path: Path) -> str:
    """With an unfinished run."""
    for folder in (path, RUNS / path):
        if (folder / DIAGNOSIS).is_file():
            [found] = json.loads((folder / DIAGNOSIS).read_text())
            return f"{found['what']} {found['do']}"
    return "run its recipe again to go on"


def run_name(loaded: Loaded) -> str:
    """The recipe's name and what ``--set`` changed."""
    return short_name("+".join([loaded.base, *loaded.changed]))


def words_of(
    recipe: str | Path,
    overrides: Sequence[str],
    name: str | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> list[str]:
    """``pipeline run`` with these options, as a shell takes it."""
    given = options_as_words(set=overrides, name=name, plugin=plugins, store=store)
    place = [] if device == "auto" else ["--device", device]
    return ["pipeline", "run", str(recipe), *given, *place]


def options_as_words(**options: Any) -> list[str]:
    """``--num-steps 5`` of num_steps=5: nothing of None, once for each of several values."""
    words = []
    for name, given in options.items():
        values = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
        words += [word for v in values for word in ("--" + name.replace("_", "-"), str(v))]
    return words


def short_name(text: str) -> str:
    """Of a folder, short enough for any file system."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return text if len(text) <= 150 else f"{text[:140]}+{digest}"


def recipe_of(folder: Path) -> Any:
    """The resolved recipe of the finished run in this folder; None where there is none."""
    about = folder / RUN
    return json.loads(about.read_text())["recipe"] if about.is_file() else None


def is_run(path: Path) -> bool:
    """Whether this is a run's folder or its name under ``runs/``, finished or not."""
    return any((folder / "recipe.yaml").is_file() for folder in (path, RUNS / path))


def read_run(path: Path) -> dict[str, Any]:
    """``run.json`` of a finished run, given by its folder or its name under ``runs/``."""
    for folder in (path, RUNS / path):
        if (folder / RUN).is_file():
            about: dict[str, Any] = json.loads((folder / RUN).read_text())
            return {**about, "folder": folder}
    if is_run(path):
        raise InputError(f"{path}: this run has not finished; {_what_now(path)}")
    here = sorted(p.parent.name for p in RUNS.glob(f"*/{RUN}"))
    raise InputError(f"{path}: there is no such run. Finished runs: {', '.join(here) or 'none'}")


@contextmanager
def plugins_of(about: Mapping[str, Any], given: Sequence[Path]) -> Iterator[None]:
    """Say with an error that a run was made with plugin files, where not all of them are given."""
    try:
        yield
    except InputError as error:
        files = set(about["plugins"]) - {str(file.absolute()) for file in given}
        if not files:
            raise
        again = " ".join(f"--plugin {file}" for file in sorted(files))
        raise InputError(
            f"{error}\n{about['name']} was made with {again}: give it again"
        ) from error


def store_of(about: Mapping[str, Any], given: Path | None) -> Store:
    """The store a run points to, unless another is given."""
    place = given or Path(os.path.normpath(about["folder"] / about["store"]))
    if not place.is_dir():
        raise InputError(f"{place}: the store of run {about['name']} is not there; give --store")
    return Store(place)


def open_store(given: Path | None, fresh: bool = False) -> Store:
    """The one given, that of PIPELINE_STORE, or ``.pipeline`` beside ``runs``."""
    return Store(given or Path(os.environ.get("PIPELINE_STORE") or ".pipeline"), fresh=fresh)


def live_keys(store: Store) -> set[str]:
    """Keys that finished runs point to, those of their inputs, and of what may go on growing.

    Runs are those here, those beside the store, and where the store was used from. InputError where
    they do not tell what is needed.
    """
    from ..artifacts.train import CHOICE

    places = {RUNS.absolute(), store.root.parent / RUNS, *store.runs()}
    folders = sorted(path.parent for place in places for path in place.glob("*/recipe.yaml"))
    for folder in folders:
        if not (folder / RUN).is_file():
            raise InputError(
                f"{folder}: this run has not finished, so what it needs is not known. "
                "Run its recipe again or delete the folder, then clean up."
            )
    if not folders:
        raise InputError(
            f"{store.root}: no run that uses this store was found, so nothing says what is needed. "
            "If all of it can go, delete the folder."
        )
    found = [json.loads((folder / RUN).read_text()) for folder in folders]
    waiting = [one["key"] for about in found for one in about["artifacts"].values()]
    inputs: dict[str, list[str]] = {}
    for record in store.ls():
        if record.state == "artifact":
            manifest = read_manifest(record.path)
            ingredients = manifest["ingredients"] if manifest else {}
            inputs[record.key] = list(ingredients.get("inputs", {}).values())
            if record.kind == "model":
                trajectory = {k: v for k, v in ingredients.items() if k not in CHOICE}
                inputs[record.key].append(key_of("training", trajectory))
    live: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key not in live:
            live.add(key)
            waiting += inputs.get(key, [])
    return live


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def write(path: Path, text: str) -> None:
    """At once: a reader sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
