"""What is checked of stages of every kind, once for all option sets."""

from __future__ import annotations

import json
import pickle
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..plugin.options import Option, options
from ..recipe.build import build_stage
from . import worker
from .core import ClassCheck, Context, Wrong, require
from .same import same
from .variants import changed, examples_of

ROUNDING = 4
"""Units in the last place: options that change no more than that change nothing."""


def is_documented(context: Context) -> str:
    """The class and its options say what they are; the module may say it for the class."""
    cls = context.cls
    texts = (cls.__doc__ or "", getattr(sys.modules[cls.__module__], "__doc__", None) or "")
    # A dataclass without a docstring gets its own signature.
    require(
        any(text and not text.startswith(f"{cls.__name__}(") for text in texts),
        f"{cls.__name__} has no docstring: say what it does, with paper and equation",
    )
    known = options(cls)
    silent = [name for name, option in known.items() if not _described(cls, option.field)]
    require(not silent, f"no string under {', '.join(silent)} says what it is for")
    return f"the class and {', '.join(known)}" if known else "the class; it has no options"


def _described(cls: type, field: str) -> bool:
    """Whether a class, or the one that it has the option from, says what the option is for."""
    known = [vars(base).get("__pydantic_fields__", {}).get(field) for base in cls.__mro__]
    return any(info is not None and info.description for info in known)


def builds_from_defaults_and_examples(context: Context) -> str:
    """As a recipe would."""
    require(not context.unbuildable, "; ".join(context.unbuildable))
    if not options(context.cls):
        return "it has no options"
    count = len(examples_of(context.cls))
    told = f"{count} examples" if count > 1 else "one example"
    return f"and from {told}" if count else "it declares no examples"


def rebuilds_from_its_spec(context: Context) -> str:
    """What a run saves of it makes the same stage again."""
    for variant in context.variants:
        spec = context.registry.spec(variant.stage, context.kind)
        made = build_stage(context.registry, context.kind, json.loads(json.dumps(spec)))
        require(
            made == variant.stage,
            f"built again from {spec} it is not equal{context.place(variant)}",
        )
    return context.sets


def works_in_another_process(context: Context) -> str:
    """Pickled to a worker process, it does there what it does here."""
    for variant in context.variants:
        try:
            again = pickle.loads(pickle.dumps(variant.stage))
        except Exception as error:  # whatever an option holds
            raise Wrong(f"it cannot be pickled: {error}{context.place(variant)}") from error
        require(again == variant.stage, f"unpickled it is not equal{context.place(variant)}")
    first = context.variants[0]
    there = worker.behaviour(context.kind, first.stage)
    require(
        same(there, context.shown(0), rounding=1000),
        f"in another process it does something else{context.place(first)}",
    )
    return "the same there"


def repeats_itself(context: Context) -> str:
    """The same arguments and draws, the same answer."""
    for index, variant in enumerate(context.variants):
        require(
            same(context.behaviour(variant.stage), context.shown(index)),
            f"two calls with the same arguments answer differently{context.place(variant)}",
        )
    return "bit for bit"


def leaves_global_random_state_alone(context: Context) -> str:
    """Neither reads nor moves the generators of torch, numpy and Python."""
    for index, variant in enumerate(context.variants):
        with _other_seeds() as moved:
            found = context.behaviour(variant.stage)
            used = moved()
        require(not used, f"it draws from {used}; draw from draws instead{context.place(variant)}")
        require(
            same(found, context.shown(index)),
            f"what it does depends on a global seed{context.place(variant)}",
        )
    return "torch's, numpy's and Python's are not used"


def every_option_matters(context: Context) -> str:
    """Each option changes what the stage does, in at least one of its option sets."""
    known = options(context.cls)
    places = [name for name, option in known.items() if option.io_only]
    idle = [
        f"option {name} does nothing: {tried}"
        for name, option in known.items()
        if not option.io_only and (tried := _idle(option, context))
    ]
    require(not idle, "; ".join(idle))
    told = ", ".join(name for name in known if name not in places) or "it has none"
    return f"{told}; only places: {', '.join(places)}" if places else told


def _idle(option: Option, context: Context) -> str:
    """What was tried in vain; "" as soon as something changes."""
    tried: dict[str, None] = {}
    for index in range(len(context.variants)):
        for value, stage in changed(context, index, option):
            try:
                found = context.behaviour(stage)
            except InputError:  # it cannot do the small problem of the kit
                continue
            if not same(found, context.shown(index), ROUNDING):
                return ""
            tried[str(value)] = None
    if not tried:
        return "no other value of it could be tried; declare one in examples"
    return f"{', '.join(tried)} change nothing in {context.sets}"


@contextmanager
def _other_seeds() -> Iterator[Any]:
    """Seeds the global generators differently, and restores them; gives which were moved."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(98765)
    np.random.seed(98765)
    torch.default_generator.manual_seed(98765)
    states = _states()
    try:
        yield lambda: " and ".join(
            name for name, state in _states().items() if state != states[name]
        )
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _states() -> dict[str, bytes]:
    return {
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's global generator": pickle.dumps(np.random.get_state()),
        "Python's global generator": pickle.dumps(random.getstate()),
    }


CHECKS: Sequence[ClassCheck] = (
    is_documented,
    builds_from_defaults_and_examples,
    rebuilds_from_its_spec,
    repeats_itself,
    leaves_global_random_state_alone,
    works_in_another_process,
    every_option_matters,
)
