"""What is checked of stages of every kind, once for all option sets."""

from __future__ import annotations

import json
import pickle
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from types import NoneType

import numpy as np
import torch

from ..errors import InputError
from ..plugin.options import Option, atoms, options
from ..recipe.build import build_stage
from .context import Behaviour, ClassCheck, Context, Wrong, require
from .problems.turns import backwards
from .same import same
from .variants import examples_of, variations
from .worker import call_elsewhere

ROUNDING = 4
"""An option that changes no more than this many units in the last place changes nothing."""
MOST_VALUES = 4
"""Other values of an option of time or memory that are tried."""
ELSEWHERE = 1000
"""Units in the last place by which another process, or another option of time or memory, may
differ: it may add up in another order."""


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


def builds_from_defaults_and_examples(context: Context) -> str:
    """Every declared option set can be built, as a recipe would build it."""
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
        again = build_stage(context.registry, context.kind, json.loads(json.dumps(spec)))
        require(
            again == variant.stage,
            f"built again from {spec} it is not equal{context.with_options(variant)}",
        )
    return context.sets


def repeats_itself(context: Context) -> str:
    """The same arguments and draws give the same answer."""
    for index, variant in enumerate(context.variants):
        require(
            same(context.behaviour(variant.stage), context.observed(index)),
            "two calls with the same arguments answer differently" + context.with_options(variant),
        )
    return "bit for bit"


def leaves_global_random_state_alone(context: Context) -> str:
    """It neither reads nor moves the generators of torch, numpy and Python."""
    for index, variant in enumerate(context.variants):
        where = context.with_options(variant)
        with other_seeds() as moved:
            answer = context.behaviour(variant.stage)
            used = moved()
        require(not used, f"it draws from {used}; draw from draws instead{where}")
        require(
            same(answer, context.observed(index)),
            f"what it does depends on a global seed{where}",
        )
    return "torch's, numpy's and Python's are not used"


def leaves_global_settings_alone(context: Context) -> str:
    """The stage changes no setting of the whole process, on which everything else relies."""
    for index in range(len(context.variants)):
        context.observed(index)
    changed = context.changed_settings()
    require(not changed, f"it changes {changed}, for the whole process")
    return "of torch and Pillow, and the working directory"


def works_in_another_process(context: Context) -> str:
    """Pickled to a worker process, it does there what it does here, in whatever order."""
    for variant in context.variants:
        where = context.with_options(variant)
        try:
            again = pickle.loads(pickle.dumps(variant.stage))
        except Exception as error:  # whatever an option holds
            raise Wrong(f"it cannot be pickled: {error}{where}") from error
        require(again == variant.stage, f"unpickled it is not equal{where}")
    first = context.variants[0]
    there = call_elsewhere(partial(_backwards, context.behaviour), first.stage)
    require(
        same(there, context.observed(0), ELSEWHERE),
        "in another process, where the last question comes first, it does something else"
        + context.with_options(first),
    )
    return "the same there, asked the other way round"


def every_option_matters(context: Context) -> str:
    """Each option changes what the stage does, in at least one of its option sets."""
    known = options(context.cls)
    places = [name for name, option in known.items() if option.io_only]
    problems = [
        f"option {name} does nothing: {tried}; if it only changes time or memory, mark it IOOnly()"
        for name, option in known.items()
        if not option.io_only and (tried := _tried_in_vain(option, context))
    ]
    problems += [wrong for name in places if (wrong := _changes_something(known[name], context))]
    require(not problems, "; ".join(problems))
    told = ", ".join(name for name in known if name not in places) or "it has none"
    return f"{told}; not of the result: {', '.join(places)}" if places else told


CHECKS: Sequence[ClassCheck] = (
    is_documented,
    builds_from_defaults_and_examples,
    rebuilds_from_its_spec,
    repeats_itself,
    leaves_global_random_state_alone,
    leaves_global_settings_alone,
    works_in_another_process,
    every_option_matters,
)


@contextmanager
def other_seeds() -> Iterator[Callable[[], str]]:
    """Seed the global generators, and restore them; yields a function that names those moved."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(98765)
    np.random.seed(98765)
    torch.default_generator.manual_seed(98765)
    seeded = _generator_states()
    try:
        yield lambda: " and ".join(
            name for name, state in _generator_states().items() if state != seeded[name]
        )
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _backwards(behaviour: Behaviour, stage: object) -> object:
    with backwards():
        return behaviour(stage)


def _described(cls: type, field: str) -> bool:
    """Whether a class, or the one that it has the option from, says what the option is for."""
    known = [vars(base).get("__pydantic_fields__", {}).get(field) for base in cls.__mro__]
    return any(info is not None and info.description for info in known)


def _tried_in_vain(option: Option, context: Context) -> str:
    """The values that change nothing; "" as soon as one changes something."""
    tried: dict[str, None] = {}
    for index in range(len(context.variants)):
        for value, stage in variations(context, index, option):
            try:
                answer = context.behaviour(stage)
            except InputError:  # it cannot do the small problem of the kit
                continue
            if not same(answer, context.observed(index), ROUNDING):
                return ""
            tried[str(value)] = None
    if not tried:
        return "no other value of it could be tried; declare one in examples"
    return f"{', '.join(tried)} change nothing in {context.sets}"


def _changes_something(option: Option, context: Context) -> str:
    """The message about an option of time or memory that changes what the stage does; else "".

    Options that name files or folders do so by what lies there, and those of downloads fetch it.
    """
    numbers = all(
        atom in (bool, int, float, NoneType) or not isinstance(atom, type)
        for atom in atoms(option.hint)
    )
    if context.kind == "dataset" or not numbers or "download" in option.name:
        return ""
    for value, stage in islice(variations(context, 0, option), MOST_VALUES):
        try:
            answer = context.behaviour(stage)
        except Exception:  # what this machine or these sizes do not allow
            continue
        if not same(answer, context.observed(0), ELSEWHERE):
            return f"option {option.name} is marked IOOnly, and {value} gives something else"
    return ""


def _generator_states() -> dict[str, bytes]:
    return {
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "numpy's global generator": pickle.dumps(np.random.get_state()),
        "Python's global generator": pickle.dumps(random.getstate()),
    }
