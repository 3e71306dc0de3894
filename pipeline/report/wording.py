"""What a page says in words: what was run, scores with intervals, how they were measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..format import clock

NORMAL = 1.96
"""Standard errors from the middle of a 95 % interval to its ends."""

MINUS = "\N{MINUS SIGN}"


def number(value: float, error: float | None = None, *, sign: bool = False) -> str:
    """With the decimals that its standard error allows: two digits of the error; else four."""
    form = "+" if sign else ""
    if error and math.isfinite(error):
        decimals = max(0, 1 - math.floor(math.log10(error)))
        text = f"{value:{form},.{decimals}f}"
    else:
        text = f"{value:{form},.4g}"
    return text.replace("-", MINUS)


def interval(low: float, high: float, error: float | None = None) -> str:
    """``0.010 to 0.032``"""
    error = error or (high - low) / (2 * NORMAL)
    return f"{number(low, error)} to {number(high, error)}"


def score(name: str, found: Mapping[str, Any], direction: Mapping[str, Any] | None) -> Any:
    """A score with its 95 % interval and, in words, what is better and how it was measured."""
    value, error = found["value"], found.get("standard_error")
    ends = (value - NORMAL * error, value + NORMAL * error) if error is not None else None
    return {
        "name": name,
        "value": number(value, error),
        "interval": interval(*ends, error) if ends else None,
        "better": better(direction) if direction else None,
        "parts": {part: number(v) for part, v in found.get("parts", {}).items()},
        "protocol": protocol(found["protocol"]),
    }


def better(direction: Mapping[str, Any]) -> str:
    """``lower is better, 0 is ideal``"""
    which = "higher" if direction["higher_is_better"] else "lower"
    ideal = direction.get("ideal")
    return f"{which} is better" + ("" if ideal is None else f", {ideal:g} is ideal")


def protocol(about: Mapping[str, Any]) -> str:
    """How a score was measured, as one sentence; what the protocol does not tell is left out."""
    parts = _drawn(about)
    if "num_real" in about:
        parts.append(f"compared with {about['num_real']:,} {about.get('split', 'real')} images")
    if "resolution" in about:
        parts.append(f"at {size(about['resolution'])}")
    if "extractor" in about:
        parts.append(f"features {about['extractor']}")
    if "estimator" in about:
        parts.append(f"estimator {about['estimator']}")
    biased = " It is biased: compare equal numbers of images only." if about.get("biased") else ""
    return ", ".join(parts) + "." + biased


def _drawn(about: Mapping[str, Any]) -> list[str]:
    """How the scored samples were made."""
    first = f"{about['num_fake']:,} samples" if "num_fake" in about else "Samples"
    if "sampler" in about:
        first += f" drawn by {_stage(about['sampler'])}"
    if "num_steps" in about:
        first += f" in {about['num_steps']} steps"
    if about.get("spacing", "uniform") != "uniform":
        first += f" ({about['spacing']} spacing)"
    parts = [first]
    if "nfe" in about:
        parts.append(f"{about['nfe']} evaluations of the network each")
    if "labels" in about:
        parts.append(f"classes {about['labels']}")
    if "guidance_scale" in about:
        parts.append(f"guidance {about['guidance_scale']:g}")
    if "weights" in about and "checkpoint" in about:
        parts.append(f"{about['weights']} weights of the {about['checkpoint']} checkpoint")
    if "seed" in about:
        parts.append(f"noise of seed {about['seed']}")
    return parts


def what_was_run(
    about: Mapping[str, Any], last: Mapping[str, Any] | None, data: Mapping[str, int]
) -> str:
    """A run in one sentence. ``last``: its last record of history; ``data``: counts of images."""
    recipe = about["recipe"]
    many = f" of {about['parameters']:,} parameters" if "parameters" in about else ""
    length = f" for {last['step']:,} steps ({last['epoch']:.4g} epochs)" if last else ""
    took = f" in {clock(last['seconds'])}" if last else ""
    drawn = recipe["sample"]
    return (
        f"A {recipe['backbone']['name']}{many} was trained{length} on {data['train']:,} images of "
        f"{recipe['dataset']['name']} at {data['width']} × {data['height']} pixels, with the "
        f"{recipe['schedule']['name']} schedule, the {recipe['objective']['name']} objective and "
        f"{recipe['train']['optimizer']['name']},{took} on {about['device']}; "
        f"{_stage(drawn['sampler'])} drew the images above in {drawn['num_steps']} steps."
    )


def size(shape: Iterable[int]) -> str:
    """[height, width] -> ``width × height``"""
    return " × ".join(str(n) for n in reversed(list(shape)))


def words(name: str) -> str:
    """``noise_loss`` -> ``noise loss``"""
    return name.replace("_", " ")


def amount(size: int) -> str:
    """Bytes for people: 1.2 MB, 34 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def machine(found: Mapping[str, Any]) -> dict[str, Any]:
    """With its memory in words."""
    return {k: amount(v) if k == "memory" else v for k, v in found.items()}


def _stage(spec: Mapping[str, Any]) -> str:
    """A stage with what is set of it: ``ddim (eta 0.5)``."""
    options = ", ".join(f"{k} {v}" for k, v in spec.items() if k != "name")
    return f"{spec['name']} ({options})" if options else str(spec["name"])
