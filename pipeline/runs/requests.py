"""Which images a recipe asks for: the pictures of a run, and those that are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..diffusion.generate import SampleRequest
from ..diffusion.images import ImageFacts
from ..diffusion.labels import Labels, chosen_labels, split_labels
from ..diffusion.precision import DTYPES, best_precision, check_precision, tell_imitated
from ..errors import InputError
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.schema import Evaluate, Recipe
from ..records import Plain


def pictures_request(recipe: Recipe, class_names: Sequence[str] | None) -> SampleRequest:
    """The recipe's section ``sample``, for a network that knows these classes, if any."""
    settings = recipe.sample
    return SampleRequest(
        sampler=settings.sampler,
        num_steps=settings.num_steps,
        spacing=settings.spacing,
        labels=drawn_labels(settings.classes, class_names) if class_names else None,
        guidance=settings.guidance,
        guidance_scale=settings.guidance_scale,
        num_images=settings.count,
        seed=recipe.seed,
        batch_size=settings.batch_size,
        precision=settings.precision,
    )


def drawn_labels(wanted: Sequence[int | str] | None, names: Sequence[str]) -> Labels:
    """The labels of pictures; the classes that were chosen are told by their names."""
    labels = chosen_labels(wanted, names)
    if wanted is not None:
        note(f"drawn classes: {', '.join(names[i] for i in dict.fromkeys(labels.values))}")
    return labels


def scored_request(recipe: Recipe, images: ImageFacts) -> SampleRequest:
    """The recipe's section ``evaluate``: other noise than that of pictures and of validation.

    A recipe without the section is scored with the sampler and the levels of its pictures.
    """
    settings = recipe.evaluate or _like_pictures(recipe)
    labels = None
    if recipe.train.condition:
        labels = split_labels(images, settings.split, recipe.seed, fresh=True)
    return SampleRequest(
        sampler=settings.sampler,
        num_steps=settings.num_steps,
        spacing=settings.spacing,
        labels=labels,
        guidance=settings.guidance,
        guidance_scale=settings.guidance_scale,
        num_images=settings.num_images or len(images.indices(settings.split)),
        seed=recipe.seed,
        purpose="evaluate",
        batch_size=settings.batch_size,
        precision=settings.precision,
    )


def _like_pictures(recipe: Recipe) -> Evaluate:
    pictures = recipe.sample
    return Evaluate(
        sampler=pictures.sampler,
        num_steps=pictures.num_steps,
        spacing=pictures.spacing,
        guidance=pictures.guidance,
        guidance_scale=pictures.guidance_scale,
        precision=pictures.precision,
        metrics=[],
    )


def scored_split(recipe: Recipe) -> Literal["validation", "train"]:
    """The real images that a recipe's samples are scored against."""
    return recipe.evaluate.split if recipe.evaluate else "validation"


def scored_protocol(request: SampleRequest, registry: Registry, images: ImageFacts) -> Plain:
    """What the engine knows of how scored images are made."""
    return {
        **request.protocol(registry),
        "nfe": request.nfe,
        **request.model_words(),
        "seed": request.seed,
        "resolution": list(images.shape[1:]),
    }


def precision_of(asked: object, recipe: Mapping[str, Any], section: str, device: str) -> str:
    """The precision to draw in: as ``--precision`` asks, or as a run's recipe has it.

    InputError for one that is unknown, or that the device does not have.
    """
    if asked == "auto":
        best = best_precision(device)
        note(f"precision auto: {best} on {device}")
        return best
    # Runs of older versions have none.
    usual = recipe[section].get("precision", "float32")
    key, value = (f"{section}.precision", usual) if asked is None else ("--precision", asked)
    if value not in DTYPES:
        raise InputError(f"{key} {value}: should be one of {', '.join(DTYPES)}, auto")
    check_precision(str(value), device, key)
    tell_imitated({key: value}, device)
    return str(value)
