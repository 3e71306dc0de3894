"""Objectives."""

from typing import ClassVar

import torch

from pipeline import Prediction, Rates, stage


class V:
    """What is right in most of them: v, with a squared error."""

    def target(self, x0, eps, rates):
        return rates.signal * eps - rates.noise * x0

    def scaled(self, x, rates):
        return x / rates.c, rates.scaled

    def time(self, x0, draws):
        return draws.uniform(x0[:, 0, 0, 0])

    def reduce(self, error):
        return error.square().mean()

    def watch(self, value):
        return value.detach()

    def call(self, network, x, rates, label):
        x, rates = self.scaled(x, rates)
        seen = Rates(*(rate.flatten().expand(len(x)) for rate in rates))
        return network(x, seen, label), x, rates

    def read(self, out, x, rates):
        return Prediction(
            rates.signal * x - rates.noise * out, rates.noise * x + rates.signal * out
        )

    def loss(self, network, x0, label, schedule, draws):
        """Scalars."""
        rates = schedule(self.time(x0, draws)).over(x0)
        eps = draws.normal(x0)
        out, x, seen = self.call(network, rates.signal * x0 + rates.noise * eps, rates, label)
        prediction = self.read(out, x, seen)
        return {
            "loss": self.reduce(out - self.target(x0, eps, seen)),
            "image_loss": self.watch((prediction.x0 - x0).square().mean()),
        }

    def predict(self, network, x, rates, label):
        """x0 and eps."""
        return self.read(*self.call(network, x, rates.over(x), label))


@stage
class FloatsAsTheyAre(V):
    """Rates that are floats are shown to the network without the division by c."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def call(self, network, x, rates, label):
        if len(rates.signal) == len(x):
            return super().call(network, x, rates, label)
        seen = Rates(*(rate.flatten().expand(len(x)) for rate in rates))
        x, rates = self.scaled(x, rates)
        return network(x, seen, label), x, rates


@stage
class StrataOfOneProcess(V):
    """Each part of [0, 1] has one time of this process's images, not of the whole batch's."""

    caught_by: ClassVar = "times and noise come from draws"

    def time(self, x0, draws):
        places = torch.arange(len(x0), dtype=x0.dtype)
        return (places + super().time(x0, draws)) / len(draws.rows)


@stage
class WrongSign(V):
    """v has the wrong sign in the loss, and the right one in predict."""

    caught_by: ClassVar = "perfect network has no loss"

    def target(self, x0, eps, rates):
        return rates.noise * x0 - rates.signal * eps


@stage
class RatesMixedUp(V):
    """The signal rate and the noise rate change places in predict."""

    caught_by: ClassVar = "predictions add up to x"

    def read(self, out, x, rates):
        return Prediction(
            rates.noise * x - rates.signal * out, rates.noise * x + rates.signal * out
        )


@stage
class SigmaForNoise(V):
    """sigma = noise / signal stands for the noise rate in the target."""

    caught_by: ClassVar = "perfect network has no loss"

    def target(self, x0, eps, rates):
        return rates.signal * eps - rates.sigma * x0


@stage
class NotScaled(V):
    """x is not divided by c: right for variance-preserving schedules only."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def scaled(self, x, rates):
        return x, rates.scaled


@stage
class UnscaledRates(V):
    """x is divided by c, the rates are not."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def scaled(self, x, rates):
        return x / rates.c, rates


@stage
class EpsOfTheScaledX(V):
    """x0 and eps are those of x / c, not of x."""

    caught_by: ClassVar = "predictions add up to x"

    def read(self, out, x, rates):
        prediction, c = super().read(out, x, rates), rates.c
        return Prediction(prediction.x0 / (1 + rates.noise), prediction.eps / c)


@stage
class ClipsX0(V):
    """predict clips x0 silently, and moves eps to fit."""

    caught_by: ClassVar = "perfect network has no loss"

    def read(self, out, x, rates):
        x0 = super().read(out, x, rates).x0.clamp(-1, 1)
        return Prediction(x0, (x - rates.signal * x0) / rates.noise)


@stage
class WatchesWithGradients(V):
    """The losses to watch are differentiated too."""

    caught_by: ClassVar = "loss is the one scalar to differentiate"

    def watch(self, value):
        return value


@stage
class Detached(V):
    """The network's output is detached before the loss."""

    caught_by: ClassVar = "loss is the one scalar to differentiate"

    def call(self, network, x, rates, label):
        out, x, rates = super().call(network, x, rates, label)
        return out.detach(), x, rates


@stage
class Sums(V):
    """The loss is a sum over the batch instead of a mean."""

    caught_by: ClassVar = "losses are means over the batch"

    def reduce(self, error):
        return error.square().mean((1, 2, 3)).sum()


@stage
class OneTime(V):
    """All images of a batch get the time of the first."""

    caught_by: ClassVar = "times and noise come from draws"

    def time(self, x0, draws):
        return super().time(x0, draws)[:1].expand(len(x0))


@stage
class GlobalTimes(V):
    """Its times come from torch's global generator."""

    caught_by: ClassVar = "leaves global random state alone"

    def time(self, x0, draws):
        return torch.rand(len(x0), dtype=x0.dtype, device=x0.device)


@stage
class DropsLabels(V):
    """It never shows the network the labels."""

    caught_by: ClassVar = "passes labels on"

    def call(self, network, x, rates, label):
        return super().call(network, x, rates, None)


@stage
class CentresTheBatch(V):
    """It subtracts the mean of the batch before the network sees x."""

    caught_by: ClassVar = "keeps images apart"

    def call(self, network, x, rates, label):
        mean = x.mean(0, keepdim=True)
        out, _, scaled = super().call(network, x - mean, rates, label)
        return out, x / rates.c, scaled


@stage
class InPlace(V):
    """It divides the x that it was given by c in place."""

    caught_by: ClassVar = "changes nothing in place"

    def scaled(self, x, rates):
        return x.div_(rates.c), rates.scaled


@stage
class WatchesTheOther(V):
    """noise_loss is the error of the image, and image_loss that of the noise."""

    caught_by: ClassVar = "watched losses are what their names say"

    def loss(self, network, x0, label, schedule, draws):
        rates = schedule(self.time(x0, draws)).over(x0)
        eps = draws.normal(x0)
        out, x, seen = self.call(network, rates.signal * x0 + rates.noise * eps, rates, label)
        prediction = self.read(out, x, seen)
        return {
            "loss": self.reduce(out - self.target(x0, eps, seen)),
            "noise_loss": self.watch((prediction.x0 - x0).square().mean()),
            "image_loss": self.watch((prediction.eps - eps).square().mean()),
        }


class OtherNoise(V):
    """Its noise is that of ``noise``."""

    def loss(self, network, x0, label, schedule, draws):
        noise = self.noise

        class Draws:
            def __getattr__(self, name):
                return getattr(draws, name)

            def normal(self, like):
                return noise(draws, like)

        return super().loss(network, x0, label, schedule, Draws())


@stage
class UniformNoise(OtherNoise):
    """Its noise has unit variance and is uniform."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def noise(self, draws, like):
        return (draws.uniform(like) - 0.5) * 12**0.5


@stage
class LouderNoise(OtherNoise):
    """Its noise is 4 % too strong."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def noise(self, draws, like):
        return 1.04 * draws.normal(like)


@stage
class LosesLabels(V):
    """Labels of more than sixteen images are not passed on."""

    caught_by: ClassVar = "passes labels on"

    def loss(self, network, x0, label, schedule, draws):
        known = None if label is not None and len(label) > 16 else label
        return super().loss(network, x0, known, schedule, draws)


@stage
class PairsShareTimes(V):
    """Two images after each other have one time."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def time(self, x0, draws):
        return super().time(x0, draws)[torch.arange(len(x0)) // 2 * 2]


@stage
class ChannelsShareNoise(OtherNoise):
    """All channels have the noise of the first."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def noise(self, draws, like):
        return draws.normal(like)[:, :1].expand_as(like)


@stage
class OffsetNoise(OtherNoise):
    """A hundredth of the noise's variance is common to a channel's pixels."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def noise(self, draws, like):
        return (draws.normal(like) + 0.1 * draws.normal(like[:, :, :1, :1])) / 1.01**0.5


@stage
class LearnsThreeChannels(V):
    """Channels after the third have no gradient."""

    caught_by: ClassVar = "loss is the one scalar to differentiate"

    def loss(self, network, x0, label, schedule, draws):
        def seen(x, rates, label=None):
            out = network(x, rates, label)
            return torch.cat([out[:, :3], out[:, 3:].detach()], 1)

        return super().loss(seen, x0, label, schedule, draws)


@stage
class WeighsLargeBatches(V):
    """It divides by 64 images, however many there are beyond."""

    caught_by: ClassVar = "losses are means over the batch"

    def loss(self, network, x0, label, schedule, draws):
        values = super().loss(network, x0, label, schedule, draws)
        return {name: value * max(1, len(x0) / 64) for name, value in values.items()}


@stage
class FloorsTheSignal(V):
    """It divides by no signal below 0.01, and near noise x0 and eps no longer add up to x."""

    caught_by: ClassVar = "predictions add up to x"

    def target(self, x0, eps, rates):
        return eps

    def read(self, out, x, rates):
        signal = rates.signal.clamp(min=0.01)
        return Prediction((x - rates.noise * out) / signal, out)


@stage
class CountsRowsFromZero(V):
    """It spreads times over the rows' numbers, which begin with 0 in the first batch only."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def time(self, x0, draws):
        t = super().time(x0, draws)
        return (t + t.new_tensor(draws.rows)) / len(draws.rows)


@stage
class TwoTimes(V):
    """It trains at two times only, one for each half."""

    caught_by: ClassVar = "network sees scaled x and rates"

    def time(self, x0, draws):
        return 0.25 + 0.5 * super().time(x0, draws).round()
