"""Stages that keep their contract in unusual ways: the kit has to pass them all."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import conv2d, interpolate, normalize, one_hot, silu
from torch.utils.checkpoint import checkpoint

from pipeline import NO_CLASS, InputError, IOOnly, Prediction, Rates, Score, stage, time_of
from tests.testing.broken.objective import V


@stage
class Sampler:
    """Runge and Kutta's classical method in sigma: fourth order, four evaluations a step."""

    order: ClassVar[int | None] = 4

    def nfe(self, num_steps):
        return 4 * num_steps - 3

    def __call__(self, denoise, x, levels, draws):
        for now, then in pairwise(levels):
            first = denoise(x, now)
            if not then.noise:
                return first.x0
            step, scaled = then.sigma - now.sigma, x / now.signal
            signal = (now.signal + then.signal) / 2
            middle = Rates(signal, signal * (now.sigma + step / 2))
            second = denoise(signal * (scaled + step / 2 * first.eps), middle)
            third = denoise(signal * (scaled + step / 2 * second.eps), middle)
            last = denoise(then.signal * (scaled + step * third.eps), then)
            slope = (first.eps + 2 * second.eps + 2 * third.eps + last.eps) / 6
            x = then.signal * (scaled + step * slope)
        return x


@stage
class SamplerOfThirdOrder:
    """A parabola through three predictions of x0 over half the log-SNR, begun in the middle.

    Its first step is long where the noise is large, so that it takes 256 steps to show its order.
    """

    order: ClassVar[int] = 3

    def nfe(self, num_steps):
        return num_steps + (num_steps > 1)

    def __call__(self, denoise, x, levels, draws):
        times, seen = [], []
        for now, then in pairwise(levels):
            x0 = denoise(x, now).x0
            if not then.noise:
                return then.signal * x0
            h = math.log(now.sigma / then.sigma)
            times, seen = [-math.log(now.sigma), *times][:3], [x0, *seen][:3]
            if len(seen) == 1:
                half = Rates(now.signal, now.noise * math.exp(-h / 2))
                ahead = math.exp(-h / 2) * x - now.signal * math.expm1(-h / 2) * x0
                mean = denoise(ahead, half).x0
            else:
                places = torch.tensor(times, dtype=torch.float64) - times[0]
                mean = self._mean(places / h, seen, h)
            x = then.noise / now.noise * x - then.signal * math.expm1(-h) * mean
        return x

    def _mean(self, places, seen, h):
        """The mean over the step of the polynomial through what was seen, weighed by exp(h s)."""
        s = torch.linspace(0, 1, 2001, dtype=torch.float64)
        weight = 2 + 2 * (torch.arange(2001) % 2).double()  # Simpson's rule
        weight[0] = weight[-1] = 1
        weight = weight * (h * (s - 1)).exp()
        powers = torch.stack([s**k for k in range(len(seen))])
        moments = (powers * weight).sum(1) / weight.sum()
        shares = torch.linalg.solve(places[None] ** torch.arange(len(seen))[:, None], moments)
        return sum(share * x0 for share, x0 in zip(shares.tolist(), seen, strict=True))


@stage
class Guidance:
    """A scale that counts less the more noise there is."""

    needs_labels: ClassVar[bool] = True

    def nfe(self, scale):
        return 1 if scale == 1 else 2

    def __call__(self, predict, x, rates, label, scale):
        own = predict(x, rates, label)
        if scale == 1 or label is None:
            return own
        free, share = predict(x, rates, torch.full_like(label, NO_CLASS)), rates.scaled.signal
        further = 1 + (scale - 1) * share
        return Prediction(*(b + further * (a - b) for a, b in zip(own, free, strict=True)))


@stage
class Codec:
    """Channels without correlation, in float64 within."""

    def fit(self, batches):
        count, total, products = 0, 0.0, 0.0
        for batch in batches:
            pixels = batch.double().movedim(1, -1).flatten(0, 2) / 255
            count += len(pixels)
            total, products = total + pixels.sum(0), products + pixels.T @ pixels
        mean = total / count
        covariance = products / count - mean[:, None] * mean
        values, axes = torch.linalg.eigh(covariance + 1e-4 * torch.eye(len(mean)).double())
        to = axes @ torch.diag(values**-0.5)
        return {"mean": mean, "to": to, "back": torch.linalg.inv(to)}

    def encode(self, images, state):
        pixels = images.double().movedim(1, -1) / 255 - state["mean"]
        return (pixels @ state["to"]).movedim(-1, 1).float().contiguous()

    def decode(self, x0, state):
        pixels = x0.double().movedim(1, -1) @ state["back"] + state["mean"]
        return (pixels.clamp(0, 1) * 255).round().byte().movedim(-1, 1).contiguous()


@stage
class Schedule:
    """log-SNR is proportional to the logit of t."""

    def __call__(self, t):
        inner = 0.002 + 0.996 * t
        log_snr = -2 * (inner / (1 - inner)).log()
        return Rates(log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt())


@stage
class Spacing:
    """Even times down to 0 itself."""

    def __call__(self, schedule, num_steps):
        return torch.linspace(1, 0, num_steps + (num_steps == 1)).double()[:num_steps]


@stage
class Objective(V):
    """v at one of fifty times."""

    def time(self, x0, draws):
        return ((50 * super().time(x0, draws)).floor() + 0.5) / 50


@stage
class ObjectiveOfPairs(V):
    """The network is called twice, with each image's noise and with its opposite."""

    def loss(self, network, x0, label, schedule, draws):
        """The means of both calls."""
        rates, noise = schedule(self.time(x0, draws)).over(x0), draws.normal(x0)
        values = []
        for eps in (noise, -noise):
            out, x, seen = self.call(network, rates.signal * x0 + rates.noise * eps, rates, label)
            watched = (self.read(out, x, seen).eps - eps).abs().mean().detach()
            values.append((self.reduce(out - self.target(x0, eps, seen)), watched))
        (loss, watched), (other, other_watched) = values
        return {"loss": (loss + other) / 2, "noise_loss": (watched + other_watched) / 2}


@stage
class ObjectiveOfSigmas(V):
    """log sigma is normal (Karras et al. 2022), whatever is beyond the schedule's ends at them."""

    def loss(self, network, x0, label, schedule, draws):
        """As for other times."""
        log_sigma = 1.2 * draws.normal(x0[:, 0, 0, 0]).double() - 1.2
        times = time_of(schedule, -2 * log_sigma).to(x0.dtype)
        return super().loss(network, x0, label, lambda _: schedule(times), draws)


class _Normalised(nn.Module):
    """Kernels kept at unit size in training (Karras et al. 2024); a gain that starts as 0."""

    def __init__(self, channels):
        super().__init__()
        self.enter = nn.Parameter(torch.randn(16, channels + 1, 3, 3))
        self.leave = nn.Parameter(torch.randn(channels, 16, 3, 3))
        self.gain = nn.Parameter(torch.zeros(()))

    def unit(self, kernel):
        size = math.sqrt(kernel[0].numel())
        if self.training:
            with torch.no_grad():
                kernel.copy_(kernel / kernel.flatten(1).norm(dim=1)[:, None, None, None] * size)
        return kernel / (kernel.flatten(1).norm(dim=1)[:, None, None, None] + 1e-4)

    def forward(self, x, rates, label=None):
        level = (rates.log_snr / 8)[:, None, None, None].to(x).expand(-1, 1, *x.shape[2:])
        seen = conv2d(torch.cat([x, level], 1), self.unit(self.enter), padding=1)
        return self.gain * conv2d(silu(seen), self.unit(self.leave), padding=1)


class _Recomputed(nn.Module):
    """Two convolutions, of which what lies between is made again for the gradients."""

    def __init__(self, channels, lean):
        super().__init__()
        self.lean = lean
        self.enter = nn.Conv2d(channels + 1, 16, 3, padding=1)
        self.leave = nn.Conv2d(16, channels, 3, padding=1)

    def made(self, x):
        return self.leave(silu(self.enter(x)))

    def forward(self, x, rates, label=None):
        level = (rates.log_snr / 8)[:, None, None, None].to(x).expand(-1, 1, *x.shape[2:])
        x = torch.cat([x, level], 1)
        if self.lean and self.training:
            return checkpoint(self.made, x, use_reentrant=False)
        return self.made(x)


@stage
class BackboneOfLittleMemory:
    """An option changes memory and time alone."""

    lean: Annotated[bool, IOOnly()] = True
    """Gradient checkpointing (Chen et al. 2016)."""

    def __call__(self, shape, num_classes):
        if num_classes is not None:
            raise InputError("it knows no classes")
        return _Recomputed(shape[0], self.lean)


@stage
class Backbone:
    """Normalised weights, and no classes."""

    def __call__(self, shape, num_classes):
        if num_classes is not None:
            raise InputError("it knows no classes")
        return _Normalised(shape[0])


@stage
class Upsampler:
    """Bicubic, and a convolution of single pixels."""

    def __call__(self, channels):
        grow = nn.Upsample(scale_factor=2, mode="bicubic", align_corners=False)
        return nn.Sequential(grow, nn.Conv2d(channels, channels, 1))


class _Signs(torch.optim.Optimizer):
    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                state = self.state[parameter]
                if not state:
                    state["mean"] = torch.zeros_like(parameter)
                way = (0.9 * state["mean"] + 0.1 * parameter.grad).sign()
                parameter.add_(way + 0.1 * parameter, alpha=-group["lr"])
                state["mean"].lerp_(parameter.grad, 0.01)


@stage
class Optimizer:
    """Steps of one size for each weight, by the sign (Chen et al. 2023)."""

    lr: Annotated[float, Field(gt=0)] = 0.001
    """The learning rate."""

    def __call__(self, parameters):
        return _Signs(parameters, self.lr)


@stage
class LrSchedule:
    """Saw teeth."""

    period: Annotated[int, Field(ge=1)] = 50
    """Steps of a tooth."""

    def __call__(self, step):
        return 1 - step % self.period / self.period


class _Pixels:
    dim, output, id = 192, "features", "pixels/8"

    def to(self, device):
        return self

    def __call__(self, images):
        return interpolate(images.float(), (8, 8), mode="area").flatten(1)


@stage
class Features:
    """The pixels themselves, eight by eight."""

    def __call__(self):
        return _Pixels()


class _Colours:
    dim, output, id = 64, "features", "colours/4"

    def to(self, device):
        return self

    def __call__(self, images):
        cells = (images.long() // 64 * torch.tensor([16, 4, 1])[:, None, None]).sum(1)
        return one_hot(cells, 64).float().mean((1, 2))


@stage
class FeaturesOfColours:
    """The share of an image's pixels in each of 64 cells of colour: 64 greys look alike."""

    def __call__(self):
        return _Colours()


@stage
class Metric:
    """How many real images have a generated one within their fifth neighbour (Naeem et al.)."""

    higher_is_better: ClassVar[bool] = True
    ideal: ClassVar[float] = 1.0
    biased: ClassVar[bool] = True
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real, fake):
        if len(real) < 7 or not len(fake) or not all(x.isfinite().all() for x in (real, fake)):
            raise InputError("it needs 7 real images and one generated, all finite")

        def distances(x):
            exact = "donot_use_mm_for_euclid_dist"
            return torch.cdist(real.double(), x.double(), compute_mode=exact)

        covered = distances(fake).min(1).values <= distances(real).kthvalue(6, 1).values
        return Score(float(covered.double().mean()), None, {"metric": "coverage", "k": 5})


@stage
class MetricOfVariety:
    """How many different images there are (Friedman & Dieng 2023), whatever real ones are like."""

    higher_is_better: ClassVar[bool] = True
    ideal: ClassVar[None] = None
    biased: ClassVar[bool] = True
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real, fake):
        if fake.dim() != 2 or not len(fake) or not fake.isfinite().all() or not fake.any(1).all():
            raise InputError("it needs an image or more, with finite features that are not all 0")
        x = normalize(normalize(fake.double(), p=torch.inf))
        share = torch.linalg.eigvalsh((x @ x.T if len(x) < x.shape[1] else x.T @ x) / len(x))
        value = torch.special.entr(share.clamp(min=0)).sum().exp()
        return Score(float(value), None, {"metric": "variety", "images": len(fake)})


@stage
class Preprocessor:
    """Darker middle tones."""

    gamma: Annotated[float, Field(gt=0)] = 1.5
    """The exponent."""

    def __call__(self, image):
        return image.pow(self.gamma)


@stage
class Augmentation:
    """Once in thirty times an image is turned upside down."""

    def __call__(self, images, draws):
        chance = draws.uniform(torch.empty(len(images), device=images.device))
        return torch.where((chance < 0.03)[:, None, None, None], images.flip(-2), images)
