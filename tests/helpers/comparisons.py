"""A comparison's data, as ``compare.json`` has it, and pictures to go with it."""

from __future__ import annotations

from typing import Any

import numpy as np

PROTOCOL = {
    "metric": "kid",
    "estimator": "full",
    "num_real": 400,
    "num_fake": 400,
    "extractor": "efficientnet_lite0/579344248a93/75/bilinear",
    "sampler": {"name": "ddim", "eta": 0.0},
    "num_steps": 20,
    "spacing": "uniform",
    "nfe": 20,
    "split": "validation",
    "resolution": [32, 32],
}


def variant(name: str, values: list[float]) -> dict[str, Any]:
    scores = [{"value": v, "standard_error": 0.004, "protocol": PROTOCOL} for v in values]
    return {
        "name": name,
        "changes": [f"backbone.upsampler={name}"],
        "recipe": "recipes/flowers32_small.yaml",
        "runs": [f"runs/{name}+seed={seed}" for seed in range(len(values))],
        "scores": {"kid": scores},
        "cost": {
            "parameters": 416307,
            "steps": 2000,
            "seconds_a_step": 0.2123,
            "images_per_second": 12.3,
            "nfe": 20,
            "peak_memory": 123456789,
        },
    }


def pair(first: str, second: str, by_seed: list[float], better: str | None) -> dict[str, Any]:
    mean = sum(by_seed) / len(by_seed)
    seeds = {
        "standard_error": 0.005,
        "interval": [mean - 0.0215, mean + 0.0215],
        "p": 0.0004 if better else 0.41,
        "degrees_of_freedom": len(by_seed) - 1,
        "smallest_seen": 0.03,
    }
    direction = "higher" if mean > 0 else "lower"
    said = (
        f"{second} is {'better' if better == second else 'worse'}: KID {abs(mean):.3f} {direction}"
    )
    return {
        "metric": "kid",
        "first": first,
        "second": second,
        "difference": mean,
        "by_seed": by_seed,
        "finite_samples": {
            "standard_error": 0.004,
            "interval": [mean - 0.008, mean + 0.008],
            "p": 0.01,
            "method": "joint U-statistic variance",
        },
        "training_seeds": seeds if len(by_seed) > 1 else None,
        "p_corrected": None if len(by_seed) == 1 else seeds["p"],
        "better": better,
        "verdict": said if better else "no difference found; about 6 seeds would be needed",
    }


def comparison(seeds: int = 3) -> dict[str, Any]:
    """Four ways of upsampling, of which the last is worse."""
    values = {"bilinear": 0.061, "nearest": 0.063, "transposed_conv": 0.058, "pixel_shuffle": 0.112}
    steps = [0.002 * (i - seeds // 2) for i in range(seeds)]
    names = list(values)
    pairs = [
        pair(a, b, [values[b] - values[a] + s for s in steps], a if b == names[-1] else None)
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    return {
        "name": "flowers32_small+backbone.upsampler",
        "command": "pipeline compare flowers32_small --swap backbone.upsampler=bilinear,nearest",
        "finished": "2026-11-25T15:00:00+00:00",
        "machine": {"cpu": "a processor", "cores": 2, "memory": 25_300_000_000, "device": "cpu"},
        "versions": {"diffusion-pipeline": "0.1.0", "torch": "2.6.0"},
        "seconds": 5400.0,
        "seeds": list(range(seeds)),
        "budget": "2,000 steps",
        "notes": ["nearest trained 4,000 steps, the others 2,000"],
        "metrics": {
            "kid": {
                "higher_is_better": False,
                "ideal": 0.0,
                "protocol": PROTOCOL,
                "correction": "Holm over 6 pairs" if seeds > 1 else None,
            }
        },
        "variants": [variant(name, [v + s for s in steps]) for name, v in values.items()],
        "pairs": pairs,
    }


def sheets(data: dict[str, Any], size: int = 32) -> dict[str, np.ndarray]:
    """Coloured noise, uint8 (10, 3, size, size) for each variant."""
    drawn = np.random.default_rng(0)
    shape = (10, 3, size, size)
    return {one["name"]: drawn.integers(0, 256, shape, np.uint8) for one in data["variants"]}
