"""Samplers."""

import math
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from pipeline import stage


class Euler:
    """What is right in most of them: DDIM, first order, one evaluation a step."""

    order: ClassVar[int | None] = 1

    def nfe(self, num_steps):
        return num_steps

    def step(self, x, seen, now, then):
        return then.signal * seen.x0 + then.noise * seen.eps

    def __call__(self, denoise, x, levels, draws):
        for now, then in pairwise(levels):
            x = self.step(x, denoise(x, now), now, then)
        return x


class Ancestral(Euler):
    """DDPM."""

    order = None

    def fresh(self, x, draws):
        return draws.normal(x)

    def share(self, now, then):
        """The share of the noise at ``then`` that is new."""
        return (1 - (then.sigma / now.sigma) ** 2) ** 0.5

    def __call__(self, denoise, x, levels, draws):
        for now, then in pairwise(levels):
            seen, share = denoise(x, now), self.share(now, then)
            x = then.signal * seen.x0 + then.noise * (1 - share**2) ** 0.5 * seen.eps
            x = x + then.noise * share * self.fresh(x, draws)
        return x


@stage
class EndsInDouble(Euler):
    """It computes in float64, and stays there where the last level is a noisy one."""

    caught_by: ClassVar = "keeps shape and dtype"

    def __call__(self, denoise, x, levels, draws):
        kind, x = x.dtype, x.double()
        for now, then in pairwise(levels):
            seen = denoise(x.to(kind), now)
            x = then.signal * seen.x0.double() + then.noise * seen.eps.double()
        return x if then.noise else x.to(kind)


@stage
class StopsEarly(Euler):
    """The last step is off by one: it stops a level short."""

    caught_by: ClassVar = "ends in the last x0"

    def __call__(self, denoise, x, levels, draws):
        for now, then in pairwise(levels[:-1]):
            x = self.step(x, denoise(x, now), now, then)
        return x


@stage
class LooksOneLevelAhead(Euler):
    """The network is told the next level's rates, not those of x."""

    caught_by: ClassVar = "arrives at the last level"

    def __call__(self, denoise, x, levels, draws):
        for now, then in pairwise(levels):
            x = self.step(x, denoise(x, then if then.noise else now), now, then)
        return x


@stage
class SigmaForNoise(Euler):
    """sigma = noise / signal stands where the noise rate belongs."""

    caught_by: ClassVar = "arrives at the last level"

    def step(self, x, seen, now, then):
        return then.signal * seen.x0 + then.sigma * seen.eps


@stage
class IgnoresEta(Euler):
    """Its option eta is declared and never read."""

    caught_by: ClassVar = "every option matters"

    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much noise to add."""


@stage
class NoCorrection(Euler):
    """It declares second order, but its second-order correction is missing."""

    caught_by: ClassVar = "has its declared order"
    order = 2


@stage
class EvenStepsOnly(Euler):
    """Its multistep correction takes all steps for equally large."""

    caught_by: ClassVar = "keeps its order with uneven steps"
    order = 2

    def __call__(self, denoise, x, levels, draws):
        last = None
        for now, then in pairwise(levels):
            x0 = denoise(x, now).x0
            if not then.noise:
                return x0
            middle = x0 if last is None else 1.5 * x0 - 0.5 * last
            step = math.log(now.sigma / then.sigma)
            x = then.noise / now.noise * x - then.signal * math.expm1(-step) * middle
            last = x0
        return x


class Heun(Euler):
    """Right but for what the subclasses do."""

    order = 2

    def nfe(self, num_steps):
        return 2 * num_steps - 1

    def ends(self, then):
        return not then.noise

    def __call__(self, denoise, x, levels, draws):
        for now, then in pairwise(levels):
            seen = denoise(x, now)
            x = self.step(x, seen, now, then)
            if not self.ends(then):
                ahead = denoise(x, then)
                x = x + then.signal * (then.sigma - now.sigma) * (ahead.eps - seen.eps) / 2
        return x


@stage
class AsksAboutClean(Heun):
    """Its correction also asks the network about the clean level, where no noise is left."""

    caught_by: ClassVar = "ends in the last x0"

    def ends(self, then):
        return False


@stage
class WrongCost(Heun):
    """Its nfe forgets that the last step takes one evaluation, not two."""

    caught_by: ClassVar = "costs what it declares"

    def nfe(self, num_steps):
        return 2 * num_steps


@stage
class GlobalNoise(Ancestral):
    """Its noise comes from torch's global generator instead of draws."""

    caught_by: ClassVar = "leaves global random state alone"

    def fresh(self, x, draws):
        return torch.randn_like(x)


@stage
class SeedsItself(Ancestral):
    """It seeds torch itself, so that every run has the same noise whatever its seed."""

    caught_by: ClassVar = "draws if and only if it has no order"

    def fresh(self, x, draws):
        generator = torch.Generator(x.device if x.is_cuda else "cpu").manual_seed(0)
        return torch.randn(x.shape, dtype=x.dtype, generator=generator).to(x)


@stage
class NoiseOfTheBatch(Ancestral):
    """Its noise is normalised over the batch, so it depends on the batch size."""

    caught_by: ClassVar = "keeps images apart"

    def fresh(self, x, draws):
        z = draws.normal(x)
        return (z - z.mean()) / z.std()


@stage
class TooMuchNoise(Ancestral):
    """It adds noise without taking any of the old away."""

    caught_by: ClassVar = "reaches the exact distribution"

    def __call__(self, denoise, x, levels, draws):
        for now, then in pairwise(levels):
            x = self.step(x, denoise(x, now), now, then)
            x = x + then.noise * self.share(now, then) * draws.normal(x)
        return x


@stage
class NoiseAtTheEnd(Ancestral):
    """It adds noise in the step to the clean level too."""

    caught_by: ClassVar = "ends in the last x0"

    def __call__(self, denoise, x, levels, draws):
        return super().__call__(denoise, x, levels, draws) + 0.01 * draws.normal(x)


@stage
class DrawsWithAnOrder(Ancestral):
    """It is random, but declares the order of the deterministic sampler."""

    caught_by: ClassVar = "draws if and only if it has no order"
    order = 1


@stage
class Clips(Euler):
    """It clips x0 to [-1, 1] silently."""

    caught_by: ClassVar = "clips nothing"

    def step(self, x, seen, now, then):
        x0 = seen.x0.clamp(-1, 1)
        return then.signal * x0 + then.noise * (x - now.signal * x0) / now.noise


@stage
class InPlace(Euler):
    """It updates the x that it was given in place."""

    caught_by: ClassVar = "changes nothing in place"

    def step(self, x, seen, now, then):
        return x.copy_(then.signal * seen.x0 + then.noise * seen.eps)


@stage
class AlwaysFloat32(Euler):
    """It computes in single precision whatever x is."""

    caught_by: ClassVar = "keeps shape and dtype"

    def step(self, x, seen, now, then):
        return super().step(x, seen, now, then).float()


@stage
class NotPicklable(Euler):
    """It keeps a function that cannot be sent to a worker process."""

    caught_by: ClassVar = "works in another process"

    def __post_init__(self):
        object.__setattr__(self, "mix", lambda a, b: a + b)


@stage
class Undocumented(Euler):
    """Nothing says what its option is for."""

    caught_by: ClassVar = "is documented"

    scale: float = 1.0

    def step(self, x, seen, now, then):
        return self.scale * super().step(x, seen, now, then)


@stage
class OutdatedExample(Euler):
    """It declares an example with an option that was renamed since."""

    caught_by: ClassVar = "builds from defaults and examples"
    examples: ClassVar = ({"noisiness": 0.5},)

    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much noise to add."""


@stage
class CountsItsCalls(Euler):
    """It remembers earlier calls, and the first step depends on them."""

    caught_by: ClassVar = "repeats itself"
    calls: ClassVar[list] = []

    def __call__(self, denoise, x, levels, draws):
        self.calls.append(1)
        return super().__call__(denoise, x * (1 + 0.01 * len(self.calls)), levels, draws)


@stage
class OfAnotherOption(Euler):
    """With its option ``twice`` it costs two evaluations a step, and says one."""

    caught_by: ClassVar = "costs what it declares"
    twice: bool = False
    """Evaluate twice and take the mean."""

    def __call__(self, denoise, x, levels, draws):
        for now, then in pairwise(levels):
            seen = denoise(x, now)
            x = self.step(x, denoise(x, now) if self.twice else seen, now, then)
            if self.twice:
                x = x * 1.0000001
        return x


@stage
class UniformNoise(Ancestral):
    """Its noise has unit variance and is uniform."""

    caught_by: ClassVar = "its noise is normal"

    def fresh(self, x, draws):
        return (draws.uniform(x) - 0.5) * 12**0.5


@stage
class StopsAtTwenty(Euler):
    """Images beyond the twentieth of a batch stop a step early."""

    caught_by: ClassVar = "keeps images apart"

    def __call__(self, denoise, x, levels, draws):
        before = x
        for now, then in pairwise(levels):
            before, x = x, self.step(x, denoise(x, now), now, then)
        return torch.cat([x[:20], before[20:]])


@stage
class MirrorsOblongs(Euler):
    """Images that are not square are mirrored in each late step."""

    caught_by: ClassVar = "keeps images apart"

    def step(self, x, seen, now, then):
        x = super().step(x, seen, now, then)
        return x.flip(-1) if x.shape[-1] != x.shape[-2] and then.noise < 0.3 else x


@stage
class ScalesItsNoise(Ancestral):
    """Fresh noise is scaled to a variance of 1 within each image."""

    caught_by: ClassVar = "its noise is normal"

    def fresh(self, x, draws):
        z = draws.normal(x)
        return z / z.square().flatten(1).mean(1).sqrt()[:, None, None, None]


@stage
class LeastNoise(Euler):
    """It guards a division by taking noise as 0.01 at least."""

    caught_by: ClassVar = "arrives at the last level"

    def step(self, x, seen, now, then):
        eps = (x - now.signal * seen.x0) / max(now.noise, 0.01)
        return then.signal * seen.x0 + then.noise * eps


@stage
class KeepsWithinAHundred(Euler):
    """x is kept within 100, which noise of sigma 80 is not."""

    caught_by: ClassVar = "clips nothing"

    def step(self, x, seen, now, then):
        return super().step(x, seen, now, then).clamp(-100, 100)


@stage
class OnlyDownwards(Euler):
    """Noise never grows from step to step, as if inversion did not go the other way."""

    caught_by: ClassVar = "goes upwards if it is of first order"

    def step(self, x, seen, now, then):
        return then.signal * seen.x0 + min(then.noise, now.noise) * seen.eps


@stage
class BeginsWithNoise(Euler):
    """It leaves out a first step that begins with less noise than a whole sampling does."""

    caught_by: ClassVar = "begins at any level"

    def __call__(self, denoise, x, levels, draws):
        first = int(levels[0].noise < 0.9 * levels[0].c)
        return super().__call__(denoise, x, levels[first:], draws)


@stage
class AsksInSinglePrecision(Euler):
    """It asks the network in float32, whatever x is."""

    caught_by: ClassVar = "costs what it declares"

    def __call__(self, denoise, x, levels, draws):
        return super().__call__(lambda x, rates: denoise(x.float(), rates), x, levels, draws)


@stage
class FourthChannelStays(Euler):
    """Channels after the third stay noise, as if all images were coloured."""

    caught_by: ClassVar = "keeps images apart"

    def step(self, x, seen, now, then):
        return torch.cat([super().step(x, seen, now, then)[:, :3], x[:, 3:]], 1)


@stage
class LastWideColumnStays(Euler):
    """In images of more than sixteen columns the last one stays noise."""

    caught_by: ClassVar = "keeps images apart"

    def step(self, x, seen, now, then):
        stepped = super().step(x, seen, now, then)
        return torch.cat([stepped[..., :-1], x[..., -1:]], -1) if x.shape[-1] > 16 else stepped


@stage
class QuietLastStep(Ancestral):
    """The last step adds no noise, as if it went to the clean level wherever it ends."""

    caught_by: ClassVar = "its last step is like the others"

    def __call__(self, denoise, x, levels, draws):
        for now, then in pairwise(levels):
            seen, share = denoise(x, now), self.share(now, then)
            x = then.signal * seen.x0 + then.noise * (1 - share**2) ** 0.5 * seen.eps
            if then != levels[-1]:
                x = x + then.noise * share * self.fresh(x, draws)
        return x
