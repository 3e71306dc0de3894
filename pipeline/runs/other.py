"""Models of other runs: those that a training begins with, and those that a guidance names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..diffusion.generate import SampleRequest, Worse
from ..errors import InputError
from ..recipe.schema import Recipe
from ..store.store import Artifact
from .finished import finished_run


def other_model(given: str | Path, store: Path, own: Path | None = None) -> tuple[str, Artifact]:
    """The name and the model of a finished run, given as any RUN.

    ``store`` is where a moved run's model is looked for when the run's own store is not there,
    ``own`` the folder of the run that is to use it. InputError where there is none.
    """
    run = finished_run(given)
    if own and run.folder.resolve() == own.resolve():
        raise InputError(f"{given}: is this very run; give this one another --name")
    if "exported" in run.record or not run.own_store.is_dir():
        run = replace(run, store_path=store)
    if "model" not in run.record["artifacts"]:
        raise InputError(f"{given}: this run has no model")
    return run.name, run.artifact("model")


def with_worse(request: SampleRequest, store: Path) -> SampleRequest:
    """The request with the model of the run that its guidance names, if any."""
    given = getattr(request.guidance, "run", None)
    if given is None or request.guidance_scale == 1:
        return request
    try:
        name, model = other_model(given, store)
    except InputError as error:
        raise InputError(f"guidance: {error}") from error
    return replace(request, worse=Worse(name, model.path, model.content))


def check_guidances(recipe: Recipe, store: Path, own: Path) -> None:
    """InputError where a run that a guidance names has no model, before anything is trained."""
    sections = {"sample": recipe.sample, "evaluate": recipe.evaluate}
    for name, section in sections.items():
        given = getattr(section.guidance, "run", None) if section else None
        if given is not None:
            try:
                other_model(given, store, own)
            except InputError as error:
                raise InputError(f"{name}.guidance: {error}") from error
