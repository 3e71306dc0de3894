"""Whether a trial has nothing left to do, without doing it."""

from __future__ import annotations

from ..artifacts.trajectory import trajectory_of
from ..errors import InputError
from ..runs.finished import finished_run
from ..store.manifest import canonical
from .setting import Setting
from .trials import Trial


def is_done(trial: Trial, setting: Setting) -> bool:
    """Whether all that its finished run holds is whole and was trained by the stages of today."""
    session = setting.session
    try:
        run = finished_run(trial.folder, plugins=setting.plugins, store=session.store.root)
        if "exported" in run.record:
            return True
        artifacts = {name: run.artifact(name) for name in run.record["artifacts"]}
        recipe = run.checked_recipe
    except InputError:
        return False
    kept = artifacts["model"].manifest["ingredients"]
    init = kept["train"].get("init")
    now = trajectory_of(recipe, run.session.registry, artifacts["images"], init)
    return all(kept.get(key) == value for key, value in canonical(now).items())
