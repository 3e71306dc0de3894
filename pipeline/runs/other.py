"""The runs that guidances name, whose models draw along."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..diffusion.generate import SampleRequest
from ..errors import InputError
from ..recipe.schema import Recipe
from .finished import other_model, worse_model


def with_worse(request: SampleRequest, store: Path) -> SampleRequest:
    """The request with the model of the run that its guidance names, if any."""
    worse = worse_model(request.guidance, request.guidance_scale, store)
    return replace(request, worse=worse)


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
