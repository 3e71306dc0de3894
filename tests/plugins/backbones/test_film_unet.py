"""The backbone film_unet: blocks that the noise level scales and shifts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, pixel_shuffle, pixel_unshuffle, silu

from pipeline import InputError, Rates
from pipeline_backbones.adm_unet import Attention
from pipeline_backbones.film_unet import Block, FiLMUNet, UNet
from pipeline_upsamplers.nearest import Nearest
from pipeline_upsamplers.pixel_shuffle import PixelShuffle
from pipeline_upsamplers.transposed_conv import TransposedConv

TINY = {"widths": (8, 12), "block_depth": 1, "head_width": 4, "embedding_dims": 8}


def network(num_classes: int | None = None, **options: object) -> UNet:
    """A small one in float64, with noise on its weights."""
    torch.manual_seed(0)
    made = FiLMUNet(**{**TINY, **options})((3, 8, 12), num_classes).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    assert isinstance(made, UNet)
    return made


def inputs(count: int = 3) -> tuple[Tensor, Rates[Tensor]]:
    x = torch.randn(count, 3, 8, 12, dtype=torch.float64)
    noise = torch.linspace(0.2, 0.9, count, dtype=torch.float64)
    return x, Rates((1 - noise**2).sqrt(), noise)


def test_parameter_count_with_the_defaults():
    made = FiLMUNet()((3, 32, 32), None)
    count = sum(p.numel() for p in made.parameters())
    assert count == 1_861_068
    assert f"{count:,}" in str(FiLMUNet.__doc__)


def test_it_starts_by_predicting_zero_and_its_blocks_as_their_shortcuts():
    made = FiLMUNet(**TINY)((3, 8, 12), None).double()
    x, rates = inputs()
    assert torch.equal(made(x, rates), torch.zeros_like(x))
    block = Block(5, 7, 8)
    y = torch.randn(2, 5, 4, 4)
    assert torch.equal(block(y, torch.randn(2, 8)), block.shortcut(y))


@pytest.mark.parametrize("training", [True, False])
def test_a_block_scales_and_shifts_each_image_between_its_convolutions(training):
    torch.manual_seed(1)
    block = Block(5, 7, 8).double().train(training)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    x, seen = torch.randn(3, 5, 4, 6, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    mean, variance = block.norm.running_mean.clone(), block.norm.running_var.clone()
    y = batch_norm(x, mean, variance, training=training, eps=1e-3)
    y = conv2d(y, block.first.weight, block.first.bias, padding=1)
    both = seen @ block.modulation.weight.T + block.modulation.bias
    scale, shift = both[:, :7, None, None], both[:, 7:, None, None]
    y = conv2d(silu(y * (1 + scale) + shift), block.second.weight, block.second.bias, padding=1)
    shortcut = conv2d(x, block.shortcut.weight, block.shortcut.bias)
    torch.testing.assert_close(block(x, seen), y + shortcut)


def test_only_the_middle_attends_once():
    made = network(block_depth=2)
    assert [m for m in made.modules() if isinstance(m, Attention)] == [made.attention]
    shapes = []
    made.attention.register_forward_hook(lambda _, args, __: shapes.append(args[0].shape))
    made(*inputs())
    assert shapes == [(3, 12, 2, 3)]


def test_each_block_on_the_way_up_takes_the_sum_with_its_partner_on_the_way_down():
    made = network(widths=(8, 10, 12), block_depth=2, patch=1)
    ways: dict[str, list[Tensor]] = {"made": [], "taken": [], "grown": []}
    for block in [block for blocks in made.down for block in blocks]:
        block.register_forward_hook(lambda _, __, out: ways["made"].append(out.clone()))
    for blocks, grow in zip(made.up, made.grow, strict=True):
        grow.register_forward_hook(lambda _, __, out: ways["grown"].append(out.clone()))
        for block in blocks:
            block.register_forward_hook(lambda _, args, __: ways["taken"].append(args[0].clone()))
        blocks[0].register_forward_hook(lambda _, __, out: ways["grown"].append(out.clone()))
    made(*inputs())
    assert len(ways["made"]) == len(ways["taken"]) == len(ways["grown"]) == 4
    for skip, before, taken in zip(ways["made"][::-1], ways["grown"], ways["taken"], strict=True):
        torch.testing.assert_close(taken, before + skip)


def test_a_patch_is_the_network_of_unshuffled_pixels():
    whole, inner = network(patch=2), FiLMUNet(**TINY, patch=1)((12, 4, 6), None).double().eval()
    inner.load_state_dict(whole.state_dict())
    x, rates = inputs()
    expected = pixel_shuffle(inner(pixel_unshuffle(x, 2), rates), 2)
    torch.testing.assert_close(whole(x, rates), expected)


def test_each_image_sees_its_own_class_and_none_is_a_class_of_its_own():
    made, (x, rates) = network(num_classes=4), inputs()
    together = made(x, rates, torch.tensor([2, -1, 3]))
    for row, label in enumerate((2, None, 3)):
        own = Rates(*(rate[[row]] for rate in rates))
        given = None if label is None else torch.tensor([label])
        torch.testing.assert_close(made(x[[row]], own, given), together[[row]])
    assert (made(x, rates) - together).abs().amax((1, 2, 3))[[0, 2]].min() > 1e-4
    with pytest.raises(InputError, match="without classes"):
        network()(x, rates, torch.tensor([0, 1, 2]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head_width": 5}, "12 channels, the last of widths"),
        ({"widths": (8, 12, 16, 20)}, "film_unet"),
    ],
)
def test_what_cannot_be_divided_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        FiLMUNet(**{**TINY, **options})((3, 8, 12), None)


@pytest.mark.parametrize("upsampler", [Nearest(), PixelShuffle(), TransposedConv()])
def test_it_grows_by_any_upsampler(upsampler):
    made = network(upsampler=upsampler)
    shapes = []
    made.grow[0].register_forward_hook(
        lambda _, args, out: shapes.append((args[0].shape, out.shape))
    )
    x, rates = inputs()
    assert made(x, rates).shape == x.shape
    assert shapes == [((3, 8, 2, 3), (3, 8, 4, 6))]
    assert type(made.grow[0]) is type(upsampler(8))
