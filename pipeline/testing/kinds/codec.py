"""Checks of codecs: uint8 images come back, by the codec's state alone, clipped at the ends.

A codec that loses something by design declares ``lossless: ClassVar[bool] = False``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import torch
from safetensors.torch import load, save
from torch import Tensor

from ...errors import InputError
from ...plugin.data import Codec, LatentCodec, x0_shape
from ...plugin.stage import options_of
from ...store.fingerprints import sha256_of
from ..context import Check, Context, Wrong
from ..problems.forms import forms
from ..problems.other_device import on_another_device
from ..problems.spots import spots
from ..problems.turns import in_turn
from ..problems.weights import NO_WEIGHTS, tells_other_weights
from ..same import same, untouched

COUNT, MANY, LONG, MOST_NAMED = 24, 312, 1300, 6

State = Mapping[str, Tensor]


def behaviour(stage: Codec) -> list[object]:
    """State, codes and decoded images, also beyond the ends."""

    def answers(images: Tensor) -> list[object]:
        state = stage.fit(iter([images]))
        x0 = stage.encode(images[:4], state)
        return [dict(state), x0, stage.decode(x0 * 1.5, state)]

    return list(in_turn(answers, [spots(COUNT), spots(COUNT, seed=1)]))


def has_a_state_of_tensors(stage: Codec, _: Context) -> str:
    """The state can be kept with the model, in safetensors."""
    state: object = stage.fit(iter(torch.split(spots(COUNT), 8)))
    if not isinstance(state, Mapping):
        raise Wrong(f"fit gives a {type(state).__name__}, not a mapping of names to tensors")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise Wrong(f"of fit's state, {name!r} is a {type(value).__name__}, not a tensor")
        if value.is_floating_point() and not value.isfinite().all():
            raise Wrong(f"fit's {name!r} has NaN or infinity in it")
    told = [f"{name} {tuple(value.shape)}" for name, value in state.items()]
    more = f", and {len(told) - MOST_NAMED} more" * (len(told) > MOST_NAMED)
    return ", ".join(told[:MOST_NAMED]) + more or "none: it fits nothing"


def fits_any_batches(stage: Codec, _: Context) -> str:
    """The state depends on the images, not on how they are cut. Batches can be read once only."""
    images = spots(COUNT)
    whole = stage.fit(iter([images]))
    for sizes in ([8, 8, 8], [1, 16, 7]):
        state = stage.fit(batch for batch in torch.split(images, sizes))
        for name in _others(whole, state):
            raise Wrong(
                f"fit's {name!r} is another one for batches of {sizes} than for all images "
                f"at once, by up to {float((whole[name] - state[name]).abs().max()):.3g}: weigh "
                "batches by their images, and read them once"
            )
    for name in _others(whole, stage.fit(list(torch.split(images, 8)))):
        raise Wrong(
            f"fit's {name!r} is another one for a list of batches than for batches that can be "
            "read once: is it read twice?"
        )
    if _lossless(stage):
        _fits_all_of_many(stage)
    return "the same for batches of 24, of 8, and of 1, 16 and 7"


def encodes_to_float32(stage: Codec, _: Context) -> str:
    """Each image has one finite x0."""
    images, state = _fitted(stage)
    x0 = stage.encode(images, state)
    if x0.dtype != torch.float32 or len(x0) != len(images):
        raise Wrong(f"of {len(images)} images encode makes {x0.dtype} {tuple(x0.shape)}")
    if not x0.isfinite().all():
        raise Wrong("encode makes NaN or infinity")
    channels, height, width = images.shape[1:]
    wanted = x0_shape(stage, (channels, height, width))
    if x0.shape[1:] != wanted:
        raise Wrong(
            f"encode makes x0 of {tuple(x0.shape[1:])}, not {wanted}; where x0 has another shape "
            "than the images, latent_shape(shape) says which"
        )
    shape = "x".join(str(n) for n in x0.shape[1:])
    return f"float32 {shape}, mean {float(x0.mean()):.2f}, deviation {float(x0.std()):.2f}"


def round_trip(stage: Codec, _: Context) -> str:
    """Every level of every channel comes back exactly; near, if it declares to be lossy."""
    images, state = _fitted(stage)
    unseen = spots(4, seed=9)
    if _lossless(stage):
        ramp = torch.arange(256).byte().reshape(1, 1, 16, 16)
        ramp = ramp.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat(1, 3, 1, 1)
        unseen = torch.cat([unseen, ramp])
    worst = max(_round_trip_error(stage, state, given) for given in (images, unseen))
    if _lossless(stage):
        faint = images // 8 + 100  # what is seen later may be far from all that was fitted
        worst = max(worst, _round_trip_error(stage, stage.fit(iter([faint])), images))
        for large in (spots(3, 96, 72, seed=3), spots(1, 200, 264, seed=4)):
            # A codec may be made for the size it was fitted to.
            worst = max(worst, _round_trip_error(stage, stage.fit(iter([large])), large))
        for channels in (1, 4):
            few = torch.cat([images, images], 1)[:, :channels]
            with suppress(InputError):  # it need not take other channels than three
                worst = max(worst, _round_trip_error(stage, stage.fit(iter([few])), few))
    if isinstance(stage, LatentCodec):
        _keeps_odd_sizes(stage)
    return f"at most {worst} of 255 away" if worst else "exact"


def clips_when_it_decodes(stage: Codec, _: Context) -> str:
    """What is beyond white stays white, and beyond black black; uint8 would start anew."""
    white = torch.full((2, 3, 32, 32), 255, dtype=torch.uint8)
    black = torch.zeros_like(white)
    state = _fitted(stage)[1]
    white_x0, black_x0 = (stage.encode(image, state) for image in (white, black))
    if isinstance(stage, LatentCodec):
        return ""  # a network may make anything of x0 that no image has
    allowed = 1 if _lossless(stage) else 64
    for name, image, end, other in (
        ("white", white, white_x0, black_x0),
        ("black", black, black_x0, white_x0),
    ):
        for beyond in (0.01, 0.3, 1.7):
            decoded = _decoded(stage, end + beyond * (end - other), state, image)
            error = float((decoded.float() - image.float()).abs().mean())
            if error > allowed:
                raise Wrong(
                    f"x0 beyond {name} (by {beyond:g} of the way from the other end) is decoded "
                    f"{error:.0f} of 255 away from {name}: clip before rounding to uint8"
                )
    return "beyond white is white, beyond black is black"


def needs_its_state_only(stage: Codec, _: Context) -> str:
    """A fresh stage with the saved state does the same, whatever was fitted in between."""
    images, state = _fitted(stage)
    copies = {name: value.clone() for name, value in state.items()}
    x0 = stage.encode(images, state)
    decoded = stage.decode(x0, state)
    stage.fit(iter([255 - spots(COUNT, seed=5) // 3]))
    for name, value in copies.items():
        if not torch.equal(state[name], value):
            raise Wrong(f"another fit changes {name!r} of a state that was made before")
    loaded = load(save({name: value.contiguous() for name, value in state.items()}))
    fresh = type(stage)(**options_of(stage))
    for who, codec in (("after another fit, the stage", stage), ("a fresh stage", fresh)):
        try:
            answers = codec.encode(images, loaded), codec.decode(x0, loaded)
        except Exception as error:
            raise Wrong(
                f"{who} cannot work with the saved state alone ({type(error).__name__}: "
                f"{error}): fit keeps something elsewhere"
            ) from error
        if not (torch.equal(answers[0], x0) and torch.equal(answers[1], decoded)):
            raise Wrong(f"{who} does otherwise with the same state: fit keeps something elsewhere")
    return "a fresh stage does the same with the saved state"


def survives_constant_channels(stage: Codec, _: Context) -> str:
    """Channels without any contrast are survived."""
    grey = torch.tensor([77, 0, 255], dtype=torch.uint8)[:, None, None].expand(4, 3, 32, 32)
    state = stage.fit(iter([grey.contiguous()]))
    x0 = stage.encode(grey.contiguous(), state)
    if not x0.isfinite().all():
        raise Wrong("for channels of one value encode makes NaN or infinity: it divides by 0")
    error = int((_decoded(stage, x0, state, grey).int() - grey.int()).abs().max())
    if isinstance(stage, LatentCodec):
        return f"finite, and {error} of 255 away when decoded"
    if error > (0 if _lossless(stage) else 64):
        raise Wrong(f"a channel of one value comes back {error} of 255 away")
    return "finite, and back"


def keeps_images_apart(stage: Codec, _: Context) -> str:
    """Encoding and decoding an image alone or among others is the same."""
    images, state = _fitted(stage)
    x0 = stage.encode(images, state)
    apart = torch.cat([stage.encode(image[None], state) for image in images])
    if apart.shape != x0.shape or not torch.allclose(apart, x0, rtol=1e-4, atol=1e-4):
        raise Wrong("an image alone is encoded otherwise than among others")
    times = MANY // COUNT, 1, 1, 1
    many = stage.encode(images.repeat(times), state)
    if not torch.allclose(many, x0.repeat(times), rtol=1e-4, atol=1e-4):
        raise Wrong(f"images among {MANY} are encoded otherwise than in a batch of their own")
    for form, given in forms(images).items():
        if not torch.allclose(stage.encode(given, state), x0, rtol=1e-4, atol=1e-4):
            raise Wrong(f"as {form} the same images are encoded otherwise")
    together = stage.decode(x0, state)
    error = int((stage.decode(many, state).int() - together.repeat(times).int()).abs().max())
    if error > (0 if _lossless(stage) else 1):
        raise Wrong(f"among {MANY} images some are decoded up to {error} of 255 otherwise")
    for form, given in forms(x0).items():
        error = int((stage.decode(given, state).int() - together.int()).abs().max())
        if error > (0 if _lossless(stage) else 1):
            raise Wrong(f"as {form} the same x0 are decoded up to {error} of 255 otherwise")
    alone = torch.cat([stage.decode(own[None], state) for own in x0])
    error = int((alone.int() - together.int()).abs().max())
    if error > (0 if _lossless(stage) else 1):
        raise Wrong(f"an image alone is decoded up to {error} of 255 away from itself in a batch")
    return f"one by one, {len(images)} and {MANY} at once: the same"


def changes_nothing_in_place(stage: Codec, _: Context) -> str:
    """Images, state and x0 are still what they were."""
    images, state = _fitted(stage)
    with untouched(images=images, state=state):
        stage.fit(iter([images]))
        x0 = stage.encode(images, state)
    with untouched(x0=x0, state=state):
        stage.decode(x0, state)
    return "images, state and x0 stay"


def keeps_the_device(stage: Codec, _: Context) -> str:
    """The answers are where images, state and x0 are."""
    images, state = _fitted(stage)

    def elsewhere(device: str) -> tuple[Tensor, Tensor]:
        there = {name: value.to(device) for name, value in state.items()}
        x0 = stage.encode(images.to(device), there)
        return x0, stage.decode(x0, there)

    return on_another_device(elsewhere)


def fingerprint_tells_the_weights(stage: Codec, context: Context) -> str:
    """That of a ``LatentCodec`` changes with each weights file that changes what it does."""
    if not isinstance(stage, LatentCodec):
        return ""
    before = context.observed(context.index_of(stage))

    def look(other: LatentCodec) -> tuple[object, bool]:
        return other.fingerprint(sha256_of), not same(behaviour(other), before)

    tried = tells_other_weights(stage, look, "fingerprint")
    return f"other weights in {', '.join(sorted(tried))}: another one" if tried else NO_WEIGHTS


CHECKS: Sequence[Check] = (
    has_a_state_of_tensors,
    fits_any_batches,
    encodes_to_float32,
    round_trip,
    clips_when_it_decodes,
    needs_its_state_only,
    survives_constant_channels,
    keeps_images_apart,
    changes_nothing_in_place,
    keeps_the_device,
    fingerprint_tells_the_weights,
)


def _others(state: State, other: State) -> list[str]:
    """The names of a state's tensors that are others in another state, beyond rounding."""
    return [
        name
        for name, value in state.items()
        if not torch.allclose(value.double(), other[name].double(), rtol=1e-4, atol=1e-6)
    ]


def _fits_all_of_many(stage: Codec) -> None:
    """Raise Wrong where only some of many small images count; those that it refuses do not."""
    images = spots(LONG, 8, 8)

    def state(images: Tensor, sizes: Sequence[int] = (1, LONG // 2, LONG - LONG // 2 - 1)) -> State:
        return stage.fit(batch for batch in torch.split(images, list(sizes)))

    try:
        known = state(images)
    except InputError:
        return
    if _others(state(images, [LONG]), known):
        raise Wrong(f"of {LONG} images fit makes another state in three batches than in one")
    changes = []
    for start in range(0, LONG, LONG // 10):
        other = images.clone()
        other[start : start + LONG // 10] //= 2
        changes.append(not same(state(other), known))
    if any(changes) and not all(changes):
        first = changes.index(False) * (LONG // 10)
        raise Wrong(f"fit does not look at images from {first} on of {LONG}")


def _keeps_odd_sizes(stage: LatentCodec) -> None:
    """Raise Wrong where images of a size that ``latent_shape`` takes come back as others."""
    for size in ((33, 47), (40, 33), (36, 52)):
        images = spots(2, *size, seed=6)
        try:
            stage.latent_shape((3, *size))
        except InputError:
            continue
        state = stage.fit(iter([images]))
        decoded = stage.decode(stage.encode(images, state), state)
        if decoded.shape != images.shape:
            raise Wrong(
                f"images of {size[0]}x{size[1]} come back as {tuple(decoded.shape[2:])}: raise "
                "InputError in latent_shape for sizes that cannot be kept"
            )
        if _lossless(stage):
            _round_trip_error(stage, state, images)


def _fitted(stage: Codec) -> tuple[Tensor, State]:
    images = spots(COUNT)
    return images, stage.fit(iter(torch.split(images, 8)))


def _lossless(stage: Codec) -> bool:
    return bool(getattr(stage, "lossless", True))


def _decoded(stage: Codec, x0: Tensor, state: State, like: Tensor) -> Tensor:
    """What decode makes. Raises Wrong unless it is of the images' type and shape."""
    decoded = stage.decode(x0, state)
    if decoded.dtype != torch.uint8 or decoded.shape != like.shape:
        raise Wrong(
            f"decode makes {decoded.dtype} {tuple(decoded.shape)} of the x0 of uint8 "
            f"{tuple(like.shape)}"
        )
    return decoded


def _round_trip_error(stage: Codec, state: State, images: Tensor) -> int:
    """The largest error of 255. Raises Wrong where it is too large for what the codec declares."""
    decoded = _decoded(stage, stage.encode(images, state), state, images)
    error = (decoded.int() - images.int()).abs()
    flat = (images.float().mean((2, 3), keepdim=True) - images.float()).abs()
    if _lossless(stage) and error.max() > 0:
        raise Wrong(
            f"decode(encode(images)) is off by up to {int(error.max())} of 255, by "
            f"{float(error.float().mean()):.3g} on average; if it loses something by design, "
            "declare lossless: ClassVar[bool] = False"
        )
    if error.float().mean() > flat.mean() / 2:
        raise Wrong(
            f"decode(encode(images)) is off by {float(error.float().mean()):.3g} of 255 on "
            f"average, where images of one colour would be by {float(flat.mean()):.3g}"
        )
    return int(error.max())
