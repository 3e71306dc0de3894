"""Backbones."""

from copy import deepcopy
from types import SimpleNamespace
from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, dropout, interpolate, silu

from pipeline import NO_CLASS, InputError, Rates, stage


class Network(nn.Module):
    """What is right in most of them: three convolutions that see noise level and class."""

    def __init__(self, channels, num_classes):
        super().__init__()
        self.enter = nn.Conv2d(channels, 8, 3, padding=1)
        self.level = nn.Linear(1, 8)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.leave = nn.Conv2d(8, channels, 3, padding=1)
        self.classes = None if num_classes is None else nn.Embedding(num_classes + 1, 8)

    def see(self, rates, label):
        seen = self.level(rates.noise[:, None])
        if self.classes is not None:
            if label is None:
                label = torch.full((len(seen),), NO_CLASS, device=seen.device)
            seen = seen + self.classes(label - NO_CLASS)
        return seen

    def between(self, x):
        return x

    def forward(self, x, rates, label=None):
        x = silu(self.enter(x) + self.see(rates, label)[:, :, None, None])
        return self.leave(silu(self.between(self.middle(x))))


class Made:
    """A backbone of the class's own ``network``."""

    network: ClassVar = Network

    def __call__(self, shape, num_classes):
        return self.network(shape[0], num_classes)


class _TwoZeros(Network):
    def __init__(self, channels, num_classes):
        super().__init__(channels, num_classes)
        nn.init.zeros_(self.middle.weight)
        nn.init.zeros_(self.middle.bias)
        self.gate = nn.Parameter(torch.zeros(()))

    def between(self, x):
        return 1 + self.gate * x


@stage
class TwoZeros(Made):
    """A layer and the gate behind it both start as 0, and neither is ever trained."""

    caught_by: ClassVar = "trains from its fresh weights"
    network = _TwoZeros


class _PlainTable(Network):
    def __init__(self, channels, num_classes):
        super().__init__(channels, num_classes)
        self.table = torch.linspace(0.5, 1.5, 8, dtype=torch.float64)[:, None, None]

    def between(self, x):
        return x * self.table.to(x.dtype)


@stage
class PlainTable(Made):
    """A table is neither parameter nor buffer, and stays behind when the network moves."""

    caught_by: ClassVar = "works without memory"
    network = _PlainTable


class _IgnoresNoise(Network):
    def see(self, rates, label):
        return super().see(rates, label) - self.level(rates.noise[:, None]).detach()


@stage
class IgnoresNoiseLevel(Made):
    """The network ignores the noise level."""

    caught_by: ClassVar = "image and rates matter"
    network = _IgnoresNoise


class _Unreached(Network):
    def __init__(self, channels, num_classes):
        super().__init__(channels, num_classes)
        self.skip = nn.Conv2d(channels, channels, 1)


@stage
class UnreachedParameter(Made):
    """A layer is made and never called: no gradient reaches its parameters."""

    caught_by: ClassVar = "gradients reach every parameter"
    network = _Unreached


class _Detached(Network):
    def see(self, rates, label):
        return super().see(rates, label).detach()


@stage
class DetachedLevel(Made):
    """The embedding of the noise level is detached and stays as it started."""

    caught_by: ClassVar = "gradients reach every parameter"
    network = _Detached


class _BatchNorm(Network):
    def between(self, x):
        return (x - x.mean((0, 2, 3), keepdim=True)) / (x.std((0, 2, 3), keepdim=True) + 1e-3)


@stage
class StatisticsOfTheBatch(Made):
    """It normalises by the batch's statistics in evaluation mode too."""

    caught_by: ClassVar = "keeps images apart"
    network = _BatchNorm


class _Dropout(Network):
    def between(self, x):
        return dropout(x, 0.1)


@stage
class DropoutInEvaluation(Made):
    """Its dropout is a function call that is not told of evaluation mode."""

    caught_by: ClassVar = "global generator is for training only"
    network = _Dropout


class _NoLabels(Network):
    def see(self, rates, label):
        return self.level(rates.noise[:, None])


@stage
class IgnoresLabel(Made):
    """It takes num_classes and ignores the label, where it should raise InputError."""

    caught_by: ClassVar = "labels matter"

    def __call__(self, shape, num_classes):
        return Network(shape[0], None)


class _NoLabelIsClass0(Network):
    def see(self, rates, label):
        if label is None and self.classes is not None:
            label = torch.zeros(len(rates.noise), dtype=torch.int64)
        return super().see(rates, label)


@stage
class NoLabelIsTheFirstClass(Made):
    """Without labels it draws the first class instead of no class."""

    caught_by: ClassVar = "labels matter"
    network = _NoLabelIsClass0


class _Wraps(Network):
    def see(self, rates, label):
        if label is not None:
            label = (label - NO_CLASS) % self.classes.num_embeddings + NO_CLASS
        return super().see(rates, label)


@stage
class WrapsLabels(Made):
    """A label beyond the last class is silently another one."""

    caught_by: ClassVar = "labels matter"
    network = _Wraps


class _OutOfState(Network):
    def __init__(self, channels, num_classes):
        super().__init__(channels, num_classes)
        self.scales = torch.randn(8, 1, 1)

    def between(self, x):
        return x * self.scales.to(x)


@stage
class RandomScalesOutOfState(Made):
    """Random frequencies are a plain attribute, not a buffer: they are not saved."""

    caught_by: ClassVar = "state makes the same network"
    network = _OutOfState


class _Halves(Network):
    def forward(self, x, rates, label=None):
        out = super().forward(nn.functional.avg_pool2d(x, 2), rates, label)
        return out.repeat_interleave(2, 2).repeat_interleave(2, 3)


@stage
class LosesOddPixels(Made):
    """It halves odd images too, instead of refusing them by InputError, and loses a row."""

    caught_by: ClassVar = "keeps shape and dtype"
    network = _Halves


class _InPlace(Network):
    def forward(self, x, rates, label=None):
        return super().forward(x.mul_(0.5), rates, label)


@stage
class InPlace(Made):
    """It scales the x that it was given in place."""

    caught_by: ClassVar = "changes nothing in place"
    network = _InPlace


class _ReadsNumbers(Network):
    def __init__(self, channels, num_classes):
        super().__init__(channels, num_classes)
        self.scale = float(self.enter.weight.detach().std())

    def between(self, x):
        return x / self.scale


@stage
class LooksAtItsWeights(Made):
    """It reads its fresh weights as numbers, so no recipe can be checked without memory."""

    caught_by: ClassVar = "works without memory"
    network = _ReadsNumbers


class _ByStrides(Network):
    def forward(self, x, rates, label=None):
        plain = torch.as_strided(x, x.shape, torch.empty(x.shape, device="meta").stride())
        return super().forward(plain, rates, label)


@stage
class ByStrides(Made):
    """It reads images as if they always lay one after the other in memory."""

    caught_by: ClassVar = "keeps images apart"
    network = _ByStrides


class _Halved(Network):
    def forward(self, x, rates, label=None):
        out = super().forward(x, rates, label)
        return torch.cat([out[:8], 0.99 * out[8:]])


@stage
class AboveEight(Made):
    """Images after the eighth of a batch come out weaker."""

    caught_by: ClassVar = "keeps images apart"
    network = _Halved


class _LogOfRates(Network):
    def see(self, rates, label):
        level = (1 - rates.noise.float() - 1e-8).log().to(rates.noise)
        return self.level(level[:, None]) + super().see(rates, label)


@stage
class LogOfNothing(Made):
    """It takes the logarithm of 1 - noise, which is nothing in float32 at high noise."""

    caught_by: ClassVar = "image and rates matter"
    network = _LogOfRates


@stage
class KnowsSixtyFourClasses(Made):
    """Classes from the 64th on are one."""

    caught_by: ClassVar = "labels matter"

    class network(Network):
        def see(self, rates, label):
            return super().see(rates, None if label is None else label.clamp(max=63))


@stage
class MixesLargeBatches(Made):
    """In batches of more than ten, images see the mean of all."""

    caught_by: ClassVar = "keeps images apart"

    class network(Network):
        def between(self, x):
            return x - 0.1 * x.mean(0, keepdim=True) if len(x) > 10 else x


@stage
class BlindToLittleNoise(Made):
    """Noise below 0.02 is 0.02 to it."""

    caught_by: ClassVar = "image and rates matter"

    class network(Network):
        def see(self, rates, label):
            return super().see(Rates(rates.signal, rates.noise.clamp(min=0.02)), label)


@stage
class FirstLabelForAll(Made):
    """Where the first two labels are one, it takes all for one."""

    caught_by: ClassVar = "keeps images apart"

    class network(Network):
        def see(self, rates, label):
            if label is not None and len(label) > 1 and label[0] == label[1]:
                label = label[:1].expand(len(label))
            return super().see(rates, label)


@stage
class DetachedSkip(Made):
    """A skip connection is detached: the layers before it learn from the rest alone."""

    caught_by: ClassVar = "gradients reach every parameter"

    class network(Network):
        def between(self, x):
            return x + 0.5 * x.detach()


@stage
class LosesWideColumns(Made):
    """Beyond 128 columns it gives the last one again."""

    caught_by: ClassVar = "keeps shape and dtype"

    class network(Network):
        def forward(self, x, rates, label=None):
            out = super().forward(x, rates, label)
            return torch.cat([out[..., :128], out[..., 127:128].expand_as(out)[..., 128:]], -1)


@stage
class GreyLearnsNothing(Made):
    """A network for one channel trains its last layer only."""

    caught_by: ClassVar = "gradients reach every parameter"

    class network(Network):
        def between(self, x):
            return x.detach() if self.leave.out_channels == 1 else x


@stage
class ChannelsRepeat(Made):
    """Of two channels the second is the first again."""

    caught_by: ClassVar = "keeps shape and dtype"

    class network(Network):
        def forward(self, x, rates, label=None):
            out = super().forward(x, rates, label)
            return out[:, :1].expand_as(out) if out.shape[1] == 2 else out


class _InDiffusers(nn.Module):
    def __init__(self, network, rates):
        super().__init__()
        self.network, self.rates = network, Rates(*(rate.float() for rate in rates))

    def forward(self, x, timestep):
        rates = Rates(*(rate[timestep] for rate in self.rates))
        return SimpleNamespace(sample=self.network(x, rates))


class _ExportsItself(Network):
    def to_diffusers(self, rates):
        with torch.no_grad():
            self.level.bias += 0.1
        return _InDiffusers(deepcopy(self), rates)


@stage
class ExportsInPlace(Made):
    """For diffusers it adds to its own bias, again with each export."""

    caught_by: ClassVar = "says the same in diffusers"
    network = _ExportsItself


class _SeesThreeChannels(Network):
    def forward(self, x, rates, label=None):
        return super().forward(torch.cat([x[:, :3], 0 * x[:, 3:]], 1), rates, label)


@stage
class SeesThreeChannels(Made):
    """Of images of more than three channels it looks at the first three."""

    caught_by: ClassVar = "keeps shape and dtype"
    network = _SeesThreeChannels


class _Halves(Network):
    def between(self, x):
        return interpolate(avg_pool2d(x, 2), scale_factor=2) + x


@stage
class ChecksTheHeight:
    """It refuses odd heights, and fails at odd widths when it is too late."""

    caught_by: ClassVar = "keeps shape and dtype"

    def __call__(self, shape, num_classes):
        if shape[1] % 2:
            raise InputError("takes even sides only")
        return _Halves(shape[0], num_classes)
