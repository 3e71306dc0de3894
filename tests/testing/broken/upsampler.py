"""Upsamplers."""

from typing import ClassVar

import torch
from torch import nn

from pipeline import stage


class Function(nn.Module):
    """A function of the features as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def zeros_between(x):
    out = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    out[..., ::2, ::2] = x
    return out


@stage
class Checkerboard:
    """It puts zeros between the pixels: a checkerboard that its 1×1 convolution cannot fill."""

    caught_by: ClassVar = "every output pixel is made of the input"

    def __call__(self, channels):
        return nn.Sequential(Function(zeros_between), nn.Conv2d(channels, channels, 1))


@stage
class TransposedTwice:
    """Height and width change places, which square images do not show."""

    caught_by: ClassVar = "doubles height and width"

    def __call__(self, channels):
        return nn.Sequential(Function(lambda x: x.transpose(2, 3)), nn.Upsample(scale_factor=2))


@stage
class Rearranged:
    """It reads the four channels of a square in the order of a plain reshape: places are lost."""

    caught_by: ClassVar = "keeps places"

    def __call__(self, channels):
        def reshape(x):
            n, _, height, width = x.shape
            return x.reshape(n, channels, 2 * height, 2 * width)

        return nn.Sequential(nn.Conv2d(channels, 4 * channels, 1), Function(reshape))


@stage
class SharpensInPlace:
    """It scales the features that it was given in place, on which a skip connection relies."""

    caught_by: ClassVar = "changes nothing in place"

    def __call__(self, channels):
        return nn.Sequential(Function(lambda x: x.mul_(1.1)), nn.Upsample(scale_factor=2))


@stage
class UnusedBias:
    """A parameter is made and never used."""

    caught_by: ClassVar = "gradients reach every parameter"

    def __call__(self, channels):
        module = nn.Upsample(scale_factor=2)
        module.register_parameter("bias", nn.Parameter(torch.zeros(channels)))
        return module


@stage
class NormalisedByTheBatch:
    """It divides by the largest feature of the batch."""

    caught_by: ClassVar = "keeps images apart"

    def __call__(self, channels):
        return nn.Sequential(Function(lambda x: x / x.abs().max()), nn.Upsample(scale_factor=2))


@stage
class ShiftedByOne:
    """The enlarged image lies one pixel further down and right."""

    caught_by: ClassVar = "keeps places"

    def __call__(self, channels):
        def shifted(x):
            return nn.functional.pad(x, (1, 0, 1, 0), mode="replicate")[..., :-1, :-1]

        return nn.Sequential(nn.Upsample(scale_factor=2), Function(shifted))


@stage
class ByMemory:
    """It reads features as if they always lay channel after channel in memory."""

    caught_by: ClassVar = "keeps images apart"

    def __call__(self, channels):
        def doubled(x):
            plain = torch.as_strided(x, x.shape, torch.empty(x.shape, device="meta").stride())
            return nn.functional.interpolate(plain, scale_factor=2)

        return Function(doubled)


@stage
class SixteenChannels:
    """Channels beyond the sixteenth are those of the first."""

    caught_by: ClassVar = "every output pixel is made of the input"

    def __call__(self, channels):
        def repeat(x):
            return torch.cat([x[:, :16], x[:, :1].expand(-1, x[:, 16:].shape[1], -1, -1)], 1)

        return nn.Sequential(Function(repeat), nn.Upsample(scale_factor=2))


@stage
class ShiftsWideOnes:
    """Features more than 24 wide are shifted by one."""

    caught_by: ClassVar = "keeps places"

    def __call__(self, channels):
        def shift(x):
            return x.roll(-1, -1) if x.shape[-1] > 24 else x

        return nn.Sequential(Function(shift), nn.Upsample(scale_factor=2))


class _LosesTheLast(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.grow = nn.ConvTranspose2d(channels, channels, 2, 2)

    def forward(self, x):
        out = self.grow(x)
        return torch.cat([out[..., :-2], out[..., -4:-2]], -1) if x.shape[-1] > 48 else out


@stage
class LosesTheLastColumn:
    """Of features more than 48 wide the last column is the one before."""

    caught_by: ClassVar = "every output pixel is made of the input"

    def __call__(self, channels):
        return _LosesTheLast(channels)


class _MirrorsRows(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.grow = nn.ConvTranspose2d(channels, channels, 2, 2)

    def forward(self, x):
        out = self.grow(x)
        return out.flip(-1) if x.shape[-2] == 1 else out


@stage
class MirrorsSingleRows:
    """Features of one row come out mirrored."""

    caught_by: ClassVar = "keeps places"

    def __call__(self, channels):
        return _MirrorsRows(channels)


@stage
class InGroups:
    """It divides any number of channels into four groups."""

    caught_by: ClassVar = "doubles height and width"

    def __call__(self, channels):
        groups = min(4, channels)
        return nn.Sequential(
            nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 3, padding=1, groups=groups)
        )
