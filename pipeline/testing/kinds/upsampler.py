"""Checks of upsamplers: twice the size, and every pixel made of those near it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...plugin.contracts import Upsampler
from ..context import Check, Context, Wrong, require
from ..problems.forms import forms
from ..problems.gradients import (
    derivative_is_right,
    disturb,
    gradients_reach_all,
    inputs_matter,
)
from ..problems.other_device import on_another_device
from ..same import same, untouched

NEAR, FRESH = 0.4, 8
"""Pixels of the output, from the input pixel's place to the centre of what it changes, over so many
fresh networks: that of random kernels comes within 0.2 on average, and is half a pixel off where
corners are aligned instead of pixels."""


CHANNELS = range(1, 26)
"""Each of these numbers is tried, and some more."""


def behaviour(upsampler: Upsampler) -> list[Tensor]:
    """What it makes of noise, fresh and disturbed, in evaluation and in training."""
    fresh = _fresh(upsampler, 4)
    outs: list[Tensor] = []
    for module in (fresh, disturb(fresh)):
        for train in (False, True):
            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(0)
                outs.append(module.train(train)(_features(2, 4, 5, 6)))
    return outs


def doubles_height_and_width(upsampler: Upsampler, _: Context) -> str:
    """So it is for any size and one channel too; channels and dtype stay."""
    for channels in (1, 3, 8, 40):
        module = _fresh(upsampler, channels)
        for height, width in ((4, 4), (5, 7), (1, 1), (2, 9), (3, 40)):
            for dtype in (torch.float32, torch.float64):
                x = _features(2, channels, height, width).to(dtype)
                with torch.no_grad():
                    out = module.to(dtype).eval()(x)
                wanted, got = (2, channels, 2 * height, 2 * width), tuple(out.shape)
                require(got == wanted, f"{tuple(x.shape)} becomes {got}; it should be {wanted}")
                require(out.dtype == dtype, f"{dtype} becomes {out.dtype}")
    for channels in CHANNELS:
        with torch.no_grad():
            out = _fresh(upsampler, channels).eval()(_features(1, channels, 2, 3))
        got = tuple(out.shape)
        require(got == (1, channels, 4, 6), f"(1, {channels}, 2, 3) becomes {got}")
    return f"1 to {CHANNELS[-1]} and 40 channels; odd sizes; float32, float64"


def every_output_pixel_is_made_of_the_input(upsampler: Upsampler, _: Context) -> str:
    """None of the four of each 2×2 square is constant, and every input pixel is used."""
    module = disturb(_fresh(upsampler, 3)).double().eval()
    with torch.no_grad():
        outs = [module(_features(1, 3, 6, 5, seed=seed).double()) for seed in (0, 1)]
    still = (outs[0] == outs[1]).all(1)[0]
    squares = still.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).double().mean((0, 2))
    dead = [f"({i}, {j})" for i in range(2) for j in range(2) if squares[i, j] == 1]
    require(
        not dead,
        f"{len(dead)} of the 4 pixels of each 2×2 square are the same for any input: "
        f"{', '.join(dead)}; zeros between the pixels make a checkerboard",
    )
    require(not still.any(), f"{still.double().mean():.0%} of the output is the same for any input")
    inputs_matter(module, _features(1, 3, 6, 5).double())
    inputs_matter(disturb(_fresh(upsampler, 40)).double().eval(), _features(1, 40, 2, 3).double())
    inputs_matter(module, _features(1, 3, 45, 70).double())
    return "each of 2×2, and each input pixel"


def keeps_places(upsampler: Upsampler, _: Context) -> str:
    """What an input pixel changes lies around twice its place."""
    modules, farthest = [_fresh(upsampler, 8, seed).double().eval() for seed in range(FRESH)], 0.0
    places = (2, 10, 9), (6, 3, 9), (4, 6, 9), (5, 37, 9), (0, 3, 1), (40, 5, 46)
    for row, column, height in places:
        centres = [_centre_of_change(module, row, column, height) for module in modules]
        below, right = (sum(one) / FRESH for one in zip(*centres, strict=True))
        away = max(abs(below - 2 * row - 0.5), abs(right - 2 * column - 0.5))
        require(
            away < NEAR,
            f"the input pixel ({row}, {column}) changes the output around "
            f"({below:.1f}, {right:.1f}); that should be ({2 * row + 0.5}, {2 * column + 0.5})",
        )
        farthest = max(farthest, away)
    return f"within {farthest:.2f} pixels"


def gradients_reach_every_parameter(upsampler: Upsampler, _: Context) -> str:
    """They are finite, not 0, and say how the answer changes, with 0.02 of noise on the weights."""
    module = disturb(_fresh(upsampler, 3)).double()
    if not any(p.requires_grad for p in module.parameters()):
        return "it has no parameters"
    out = module.train()(_features(2, 3, 4, 6).double())
    count = gradients_reach_all(module, out)
    derivative_is_right(module, _features(2, 3, 4, 6).double())
    return f"{count:,} numbers"


def keeps_images_apart(upsampler: Upsampler, _: Context) -> str:
    """In evaluation mode an image does not depend on the others of its batch."""
    module, x = disturb(_fresh(upsampler, 3)).double().eval(), _features(33, 3, 4, 6).double()
    with torch.no_grad():
        whole, parts = module(x), torch.cat([module(image) for image in x[:, None]])
    away = float((whole - parts).abs().max())
    require(away < 1e-9, f"an image comes out {away:.1e} different alone: rows of a batch mix")
    for form, given in forms(x).items():
        with torch.no_grad():
            away = float((module(given) - whole).abs().max())
        require(away < 1e-9, f"as {form} the same features come out {away:.1e} different")
    return f"alone as in a batch of {len(x)}"


def keeps_the_device(upsampler: Upsampler, _: Context) -> str:
    """The answer is where the features and the weights are, made there or moved there."""

    def elsewhere(device: str) -> tuple[Tensor, ...]:
        x = _features(2, 3, 4, 4).to(device)
        with torch.no_grad():
            moved = _fresh(upsampler, 3).to(device)(x)
            with torch.device(device), torch.random.fork_rng():
                return upsampler(3)(x), moved

    return on_another_device(elsewhere)


def changes_nothing_in_place(upsampler: Upsampler, _: Context) -> str:
    """Neither its input is changed, nor itself in evaluation mode."""
    module, x = _fresh(upsampler, 3).eval(), _features(2, 3, 4, 6)
    with untouched(x=x), torch.no_grad():
        outs = [module(x) for _ in range(2)]
    require(same(outs[0], outs[1]), "two calls in evaluation mode answer differently")
    return "x stays"


CHECKS: Sequence[Check] = (
    doubles_height_and_width,
    every_output_pixel_is_made_of_the_input,
    keeps_places,
    gradients_reach_every_parameter,
    keeps_images_apart,
    keeps_the_device,
    changes_nothing_in_place,
)


def _fresh(upsampler: Upsampler, channels: int, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module: object = upsampler(channels)
    if not isinstance(module, nn.Module):
        raise Wrong(f"it made a {type(module).__name__}, no nn.Module")
    return module


def _features(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, device="cpu")


def _centre_of_change(module: nn.Module, row: int, column: int, height: int) -> tuple[float, float]:
    """Around which place of the output (row, column) a change of one input pixel shows."""
    x = _features(1, 8, height, max(13, column + 6)).double()
    changed = x.clone()
    changed[..., row, column] += 1
    with torch.no_grad():
        weight = (module(changed) - module(x)).square().sum((0, 1))
    require(bool(weight.sum() > 0), f"the input pixel ({row}, {column}) changes nothing")
    # As far on one side as on the other: what reaches beyond an edge would draw the centre inwards.
    ends = [4 * place + 2 for place in (row, column)]
    around = tuple(
        slice(max(0, end - size), end) for end, size in zip(ends, weight.shape, strict=True)
    )
    near = torch.zeros_like(weight)
    near[around] = weight[around]
    require(
        bool(near.sum() > weight.sum() / 2),
        f"what the input pixel ({row}, {column}) changes lies mostly away from twice its place",
    )
    share = near / near.sum()
    below, right = (
        float((share.sum(1 - axis) * torch.arange(share.shape[axis])).sum()) for axis in (0, 1)
    )
    return below, right
