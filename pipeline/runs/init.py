"""``train.init``: the model that a training begins with, found and read before any work."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..plugin.registry import Registry
from ..recipe.build import build_stage
from ..recipe.schema import Recipe
from ..recipe.yaml12 import flow
from ..store.checked import as_written
from ..store.manifest import key_of
from ..store.weights import digest_of, read_weights, without_prefix
from ..training.init import Init
from .finished import other_model
from .resolve import resolve

SUFFIX = ".safetensors"


def init_of(
    recipe: Recipe, registry: Registry, store: Path, own: Path | None = None
) -> Init | None:
    """The weights that ``train.init`` names; None where the recipe has none.

    ``store`` is where a moved run's model is looked for when the run's own store is not there,
    ``own`` the folder of the run that is to begin with them. InputError where they cannot be had,
    or are of another codec.
    """
    given = recipe.train.init
    if given is None:
        return None
    try:
        name, weights = _found(given, store, own)
        return _read(name, weights, recipe, registry)
    except InputError as error:
        raise InputError(f"train.init: {error}") from error


def _found(given: str, store: Path, own: Path | None) -> tuple[str, Path]:
    """The model's name, and its weights as ``read_weights`` takes them."""
    path = resolve(given, store=store)
    if path and path.is_file():
        return given, _pair(path)
    name, model = other_model(path or given, store, own)
    return name, model.path / "best"


def _pair(file: Path) -> Path:
    """A file of weights without its suffix. InputError where its JSON is not beside it."""
    pair = file.with_name(file.name.removesuffix(SUFFIX).removesuffix(".other"))
    beside = pair.with_name(pair.name + ".json")
    if file.suffix != SUFFIX:
        raise InputError(f"{file}: should be a run, or the {SUFFIX} of a model")
    if not beside.is_file():
        raise InputError(f"{file}: should have its {beside.name} beside it, as in the store")
    return pair


def _read(name: str, weights: Path, recipe: Recipe, registry: Registry) -> Init:
    tensors, facts = read_weights(weights)
    if not facts.keys() >= {"stages", "class_names"}:
        raise InputError(f"{weights}: is no model; give best{SUFFIX} or last{SUFFIX} of one")
    with as_written(weights):
        codec, names = facts["stages"]["codec"], facts["class_names"]
        classes = None if names is None else tuple(map(str, names))
        theirs = registry.describe(build_stage(registry, "codec", codec, name))
    if theirs != registry.describe(recipe.codec):
        ours = flow(registry.brief(recipe.codec))
        raise InputError(f"{name} has the codec {flow(codec)}, this recipe {ours}: take the same")
    average, state = (without_prefix(prefix, tensors) for prefix in ("ema", "codec"))
    content = {"tensors": digest_of({**average, **state}), "class_names": classes}
    return Init(name, average, state, classes, key_of("init", content), recipe.train.init_partial)
