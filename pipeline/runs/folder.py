"""``runs/<name>/``: what people look at. It points into the store, where everything is kept."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from ..artifacts.neighbours import read_neighbours
from ..artifacts.prepare import read_images
from ..artifacts.sample import read_samples
from ..artifacts.score import read_score
from ..artifacts.session import Session
from ..artifacts.unusable import left_out
from ..diagnosis.finding import Diverged
from ..diffusion.grid import save_grid
from ..diffusion.labels import captions, chosen_labels
from ..diffusion.lettering import drawable
from ..diffusion.measure import score_record
from ..diffusion.model import ModelFacts, model_facts
from ..errors import Interrupted
from ..machine import machine
from ..recipe.load import Loaded
from ..records import (
    HISTORY,
    AnchorRecord,
    ArtifactRecord,
    FindingRecord,
    HistoryRecord,
    MadeRecord,
    Plain,
    RunRecord,
    ScoreRecord,
    read_history,
)
from ..store.checked import Damaged, read_json, write_json
from ..store.fingerprints import sha256_of
from ..store.folders import make_folder, replacing, write_text
from ..store.store import Artifact
from ..training.trackers import Trackers
from .claim import has_finished, recipe_in, take
from .diagnose import ENOUGH, Measured, diagnose
from .layout import DIAGNOSIS, RECIPE, RUN
from .live import Live, write_unfinished_page
from .metrics import directions
from .origin import all_versions, git_state, keep_plugins
from .selection import selection_of


@dataclass(kw_only=True)
class RunArtifacts:
    """All that a run made."""

    images: Artifact
    encoded: Artifact
    """What the training read: the images, or their latents."""
    model: Artifact
    samples: Artifact
    trace: Artifact
    neighbours: Artifact
    scored_samples: Artifact | None = None
    validation_features: dict[str, Artifact] = field(default_factory=dict)
    """What validation compares with, by what they are features of, in words."""
    scored_features: dict[str, Artifact] = field(default_factory=dict)
    """Those that only the scores needed."""
    scores: dict[str, Artifact] = field(default_factory=dict)
    """By metric."""
    anchors: dict[str, AnchorRecord] = field(default_factory=dict)
    """By metric."""

    def by_name(self) -> dict[str, Artifact]:
        """As the summary and ``run.json`` call them; a metric never takes the engine's name."""
        artifacts = {
            "images": self.images,
            **self.validation_features,
            **({"latents": self.encoded} if self.encoded.kind == "latents" else {}),
            "model": self.model,
            "samples": self.samples,
            "trace": self.trace,
            **({"scored samples": self.scored_samples} if self.scored_samples else {}),
            **self.scored_features,
        }
        last = {"neighbours": self.neighbours}
        scores = {
            f"{name} (metric)" if name in artifacts | last else name: artifact
            for name, artifact in self.scores.items()
        }
        return artifacts | scores | last


class RunFolder:
    """A run's folder: the recipe first, history and grids as they come, the rest at the end."""

    def __init__(
        self,
        path: Path,
        loaded: Loaded,
        session: Session,
        plugins: Sequence[Path],
        command: str,
        chosen: Mapping[str, str] | None = None,
        live: Live | None = None,
    ) -> None:
        """``command`` makes it again; ``chosen`` follows from photos; ``live`` is a notebook."""
        self.chosen, self.live = dict(chosen or {}), live
        self.path, self.loaded, self.session = path, loaded, session
        self.plugins, self.command = plugins, command
        names = loaded.recipe.train.trackers
        self.trackers = Trackers(names, path, loaded.data) if names else None

    def begin(self) -> None:
        """Take the folder, and note that the run needs what it has used of the store and will."""
        if has_finished(self.path, self.loaded):
            told = (recipe_in(self.path) or {})["train"]["trackers"]
            if told != self.loaded.data["train"]["trackers"]:
                shutil.rmtree(self.path / "trackers", ignore_errors=True)  # told anew
            elif not self.session.store.fresh:
                self.trackers = None  # have been told all of this finished run
        take(self.path, self.loaded)
        keep_plugins(self.plugins, self.path)
        self.session.store.needs.begin(self.path)
        if self.live:
            self.live.begin(self.path.name)

    def watch(self, views: Path) -> None:
        """Copy what training has measured so far, and nothing else stays."""
        _copy(views / HISTORY, self.path / HISTORY)
        grids = self.path / "grids"
        make_folder(grids)
        for grid in (views / "grids").iterdir():
            _copy(grid, grids / grid.name)
        for other in {path.name for path in grids.iterdir()} - set(os.listdir(views / "grids")):
            (grids / other).unlink()
        if self.trackers:
            self.trackers.tell(views)
        if not has_finished(self.path, self.loaded):
            write_unfinished_page(self.path)
        if self.live:
            self.live.show(self.path)

    @contextmanager
    def telling_failure(self) -> Iterator[None]:
        """Keep what ended training in the folder, so that it can be told of the unfinished run.

        The folder of a training that was saved stays: its recipe has what ``precision: auto`` is.
        """
        try:
            yield
        except Interrupted:
            make_folder(self.path / "grids")  # none was drawn, where it is not there
            raise
        except Diverged as error:
            write_text(self.path / DIAGNOSIS, _json([error.finding._asdict()]))
            raise

    def finish(self, artifacts: RunArtifacts) -> RunRecord:
        """Write the pictures, the scores, and what everything was made from."""
        self.watch(artifacts.model.path)
        if self.trackers:
            self.trackers.close()
        facts = model_facts(artifacts.model.path)
        texts = self._save_samples(artifacts, facts)
        scores = {n: score_record(read_score(score)) for n, score in artifacts.scores.items()}
        write_text(self.path / "scores.json", _json(scores))
        record = self._record(artifacts, scores, facts)
        given = {
            "anchors": artifacts.anchors,
            "captions": texts,
            "chosen": self.chosen,
            "plugin_files": keep_plugins(self.plugins, self.path),
            "git": git_state(Path()),
        }
        record |= cast("RunRecord", {name: value for name, value in given.items() if value})
        before = _before(self.path / RUN)
        record["made"] = _made(before.get("made", []), record)
        record["changes"] = record["changes"] or before.get("changes", [])
        if reasons := left_out(artifacts.images, self.session.store):
            record["left_out"] = reasons
        record["files"] = {
            path.relative_to(self.path).as_posix(): sha256_of(path)
            for pattern in (RECIPE, "*.png", "scores.json", HISTORY, "grids/*.png")
            for path in sorted(self.path.glob(pattern))
        }
        write_json(self.path / RUN, dict(record))
        (self.path / DIAGNOSIS).unlink(missing_ok=True)
        return record

    def _save_samples(self, artifacts: RunArtifacts, facts: ModelFacts) -> list[str] | None:
        """``samples.png``; returns its captions, where there are classes."""
        settings, images = self.loaded.recipe.sample, read_samples(artifacts.samples)
        texts = shown = None
        if names := facts.class_names:
            labels = chosen_labels(settings.classes, names)
            scale, numbers = settings.guidance_scale, range(len(images))
            texts = captions(labels, numbers, names, scale)
            shown = captions(labels, numbers, drawable(tuple(names)), scale)
        columns, rows = settings.layout
        save_grid(images[: columns * rows], (columns, rows), self.path / "samples.png", shown)
        return texts

    def _record(
        self, artifacts: RunArtifacts, scores: dict[str, ScoreRecord], facts: ModelFacts
    ) -> RunRecord:
        recipe, session = self.loaded.recipe, self.session
        return {
            "name": self.path.name,
            "recipe": self.loaded.data,
            "changes": self.loaded.changed,
            "store": os.path.relpath(session.store.root, self.path),
            "artifacts": {n: _artifact_record(a) for n, a in artifacts.by_name().items()},
            "scores": scores,
            "metrics": directions(recipe, session.registry),
            "parameters": facts.count_parameters(recipe.backbone),
            "training": facts.training,
            "selection": selection_of(HistoryRecord.of(facts.best), scores),
            "diagnosis": self._diagnosis(artifacts, scores),
            "device": session.device,
            "machine": machine(session.device),
            "plugins": [str(file.absolute()) for file in self.plugins],
            "command": self.command,
            "versions": all_versions(recipe, session.registry),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _diagnosis(
        self, artifacts: RunArtifacts, scores: Mapping[str, ScoreRecord]
    ) -> list[FindingRecord]:
        measured = Measured(
            history=read_history(self.path),
            samples=read_samples(artifacts.scored_samples or artifacts.samples)[:ENOUGH],
            real=read_images(artifacts.images),
            neighbours=read_neighbours(artifacts.neighbours),
            scores=scores,
            anchors=artifacts.anchors,
        )
        recipe = self.loaded.recipe
        ways = directions(recipe, self.session.registry)
        findings = diagnose(recipe.train, measured, ways, self.command)
        return [finding.record() for finding in findings]


def _before(file: Path) -> Plain:
    """What ``run.json`` holds of the same run; nothing where there is none that can be read."""
    with suppress(OSError, Damaged):
        return read_json(file)
    return {}


def _made(before: list[MadeRecord], record: RunRecord) -> list[MadeRecord]:
    """How a run was made, with what was built this time, if anything was."""
    artifacts = record["artifacts"].items()
    built = {name: artifact["why"] for name, artifact in artifacts if not artifact["reused"]}
    if not built:
        return before
    finished, command, device = record["finished"], record["command"], record["device"]
    return [*before, {"finished": finished, "command": command, "device": device, "built": built}]


def _copy(file: Path, to: Path) -> None:
    """Copy a file, unless it is there as it is."""
    if not (to.is_file() and filecmp.cmp(file, to, shallow=False)):
        with replacing(to) as partial:
            shutil.copyfile(file, partial)


def _artifact_record(artifact: Artifact) -> ArtifactRecord:
    return {
        "kind": artifact.kind,
        "key": artifact.key,
        "reused": artifact.reused,
        "why": artifact.why,
    }


def _json(data: object) -> str:
    return json.dumps(data, indent=2, allow_nan=False) + "\n"
