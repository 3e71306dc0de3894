"""The residual U-Net against a second implementation, and the upsamplers that go into it."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline import InputError, Rates
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_backbones.residual_unet import ResidualUNet
from pipeline_upsamplers.bilinear import Bilinear
from pipeline_upsamplers.nearest import Nearest
from pipeline_upsamplers.pixel_shuffle import PixelShuffle
from pipeline_upsamplers.transposed_conv import TransposedConv
from tests.helpers.residual_unet import TINY, disturbed, inputs, rates_of

UPSAMPLERS = [entry.name for entry in Registry.load().entries("upsampler")]


def tiny(**options) -> nn.Module:
    torch.manual_seed(0)
    return disturbed(ResidualUNet(**{**TINY, **options})((3, 8, 12), None))


def book(state: dict[str, Tensor], x: Tensor, noise: Tensor, training: bool) -> Tensor:
    """The book's network with the options TINY, once more, as plain functions of its weights."""

    def conv(name: str, x: Tensor) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def block(name: str, x: Tensor, width: int) -> Tensor:
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        else:
            mean, variance = state[f"{name}.norm.running_mean"], state[f"{name}.norm.running_var"]
        residual = x if x.shape[1] == width else conv(f"{name}.shortcut", x)
        x = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-3).sqrt()
        x = conv(f"{name}.first", x)
        return conv(f"{name}.second", x * torch.sigmoid(x)) + residual

    frequencies = [50 ** (k / 2) for k in range(3)]
    level = (noise**2).tolist()
    embedding = torch.tensor(
        [
            [math.sin(2 * math.pi * f * v) for f in frequencies]
            + [math.cos(2 * math.pi * f * v) for f in frequencies]
            for v in level
        ]
    )
    x = torch.cat([conv("enter", x), embedding[:, :, None, None] * torch.ones_like(x[:, :1])], 1)
    skips = []
    for level_down, width in enumerate((3, 5)):
        for i in range(2):
            x = block(f"down.{level_down}.{i}", x, width)
            skips.append(x)
        x = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5))
    for i in range(2):
        x = block(f"middle.{i}", x, 8)
    for level_up, width in enumerate((5, 3)):
        size = [2 * s for s in x.shape[2:]]
        x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        for i in range(2):
            x = block(f"up.{level_up}.{i}", torch.cat([x, skips.pop()], 1), width)
    assert not skips
    return conv("leave", x)


@pytest.mark.parametrize("training", [False, True])
def test_forward_is_the_books_network(training):
    network, (x, rates) = tiny().train(training), inputs()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    expected = book(state, x, rates.noise, training)
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(network(x, rates), expected, rtol=1e-4, atol=1e-4)


def test_parameter_count_with_the_defaults():
    network = ResidualUNet()((3, 64, 64), None)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == 1_950_627


def test_the_first_prediction_is_zero():
    network = ResidualUNet(**TINY)((3, 8, 12), None)
    x, rates = inputs()
    for training in (True, False):
        assert torch.equal(network.train(training)(x, rates), torch.zeros_like(x))


def test_embedding_is_sines_then_cosines_of_log_spaced_frequencies_of_noise_squared():
    network = ResidualUNet(widths=(32,), block_depth=1)((3, 8, 8), None)
    noise = torch.tensor([0.0, 0.02, 0.5, 1.0])
    seen = []
    network.middle[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(torch.zeros(4, 3, 8, 8), rates_of(noise))
    frequencies = torch.logspace(0, 3, 16, dtype=torch.float64)
    angles = 2 * math.pi * frequencies * noise.double().square()[:, None]
    expected = torch.cat([angles.sin(), angles.cos()], 1)[:, :, None, None].expand(-1, -1, 8, 8)
    # At 6283 float32 angles are 5e-4 apart.
    torch.testing.assert_close(seen[0][:, 32:].double(), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "works"),
    [((3, 32, 48), True), ((1, 8, 8), True), ((3, 8, 24), True)]
    + [((3, h, w), False) for h, w in ((33, 32), (32, 36), (31, 31), (4, 8))],
)
def test_sizes_are_used_or_refused_by_the_factor(shape, works):
    backbone = ResidualUNet(widths=(2, 3, 4, 5), block_depth=1, embedding_dims=4)
    if not works:
        with pytest.raises(InputError, match=rf"{shape[1]}×{shape[2]}.* divided by 8\b"):
            backbone(shape, None)
        return
    x = torch.randn(2, *shape)
    assert disturbed(backbone(shape, None))(x, rates_of(torch.tensor([0.2, 0.8]))).shape == x.shape


def test_batch_norms_are_keras_without_affine():
    norms = [
        m for m in ResidualUNet()((3, 64, 64), None).modules() if isinstance(m, nn.BatchNorm2d)
    ]
    assert len(norms) == 2 * 3 + 2 + 2 * 3
    for norm in norms:
        assert (norm.affine, norm.momentum, norm.eps) == (False, 0.01, 1e-3)
        assert norm.track_running_stats


def test_weights_are_glorot_uniform_and_biases_zero():
    torch.manual_seed(0)
    network = ResidualUNet()((3, 64, 64), None)
    for name, parameter in network.named_parameters():
        if name.endswith("bias") or name == "leave.weight":
            assert parameter.count_nonzero() == 0, name
            continue
        outgoing, incoming, height, width = parameter.shape
        bound = math.sqrt(6 / ((incoming + outgoing) * height * width))
        assert parameter.abs().max() <= bound, name
        if parameter.numel() > 1000:
            assert parameter.abs().max() > 0.99 * bound, name
            assert parameter.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05), name


@pytest.mark.parametrize("upsampler", UPSAMPLERS)
def test_with_every_upsampler_by_name_every_parameter_learns(upsampler):
    spec = {"name": "residual_unet", **TINY, "widths": [3, 5, 8], "upsampler": upsampler}
    network = disturbed(build_stage(Registry.load(), "backbone", spec)((3, 8, 12), None))
    x, rates = inputs()
    out = network(x, rates)
    assert out.shape == x.shape
    (out - x).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_an_image_does_not_depend_on_its_batch():
    network, (x, rates) = tiny().eval(), inputs(4)
    with torch.inference_mode():
        together = network(x, rates)
        for i in range(4):
            alone = network(x[i : i + 1], Rates(*(rate[i : i + 1] for rate in rates)))
            torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-5, atol=1e-5)


def test_the_noise_level_matters():
    network, (x, rates) = tiny().eval(), inputs(2)
    with torch.inference_mode():
        other = network(x, rates_of(rates.noise.flip(0)))
        assert (network(x, rates) - other).abs().max() > 1e-2


@pytest.mark.parametrize("name", UPSAMPLERS)
@pytest.mark.parametrize("size", [(4, 6), (1, 1), (3, 5)])
def test_every_upsampler_doubles_height_and_width(name, size):
    module = build_stage(Registry.load(), "upsampler", name)(7)
    assert module(torch.randn(2, 7, *size)).shape == (2, 7, 2 * size[0], 2 * size[1])


def test_bilinear_weighs_the_nearest_pixel_centres():
    """9, 3, 3 and 1 sixteenths; at the border the edge pixel repeats."""
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    expected = torch.empty(1, 2, 8, 10, dtype=torch.float64)
    for i in range(8):
        for j in range(10):
            row, column = i // 2 + 1, j // 2 + 1
            above, beside = row + (1 if i % 2 else -1), column + (1 if j % 2 else -1)
            expected[..., i, j] = (
                9 * padded[..., row, column]
                + 3 * padded[..., above, column]
                + 3 * padded[..., row, beside]
                + padded[..., above, beside]
            ) / 16
    torch.testing.assert_close(Bilinear()(2)(x), expected)


def test_nearest_repeats_each_pixel():
    x = torch.randn(1, 2, 3, 4)
    assert torch.equal(Nearest()(2)(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_transposed_conv_starts_as_bilinear_inside_and_can_learn():
    x = torch.randn(2, 3, 6, 7)
    module = TransposedConv()(3)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(module(x)[inside], Bilinear()(3)(x)[inside])
    assert sum(p.numel() for p in module.parameters()) == 16 * 3**2 + 3
    # Border aside, every output pixel sums the same number of products: no built-in checkerboard.
    nn.init.ones_(module.weight)
    assert (module(torch.ones(1, 3, 6, 7))[inside] == 4 * 3).all()


def test_pixel_shuffle_starts_without_a_checkerboard_and_can_learn():
    torch.manual_seed(0)
    x, module = torch.randn(2, 3, 6, 7), PixelShuffle()(3)
    squares = module(x).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    assert torch.equal(squares, squares[:, :, :, :1, :, :1].expand_as(squares))
    assert squares.std() > 0.1
    assert sum(p.numel() for p in module.parameters()) == 36 * 3**2 + 4 * 3
    module(x)[..., ::2, ::2].sum().backward()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= 0.1 * parameter.grad
    squares = module(x).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
    assert (squares[:, :, :, 0, :, 0] != squares[:, :, :, 1, :, 1]).all()


def test_a_patch_is_the_network_of_unshuffled_pixels():
    torch.manual_seed(0)
    patched = disturbed(ResidualUNet(**TINY, patch=2)((3, 8, 16), None)).eval()
    plain = ResidualUNet(**TINY)((12, 4, 8), None).eval()
    plain.load_state_dict(patched.state_dict())
    x, rates = inputs(width=16)
    expected = F.pixel_shuffle(plain(F.pixel_unshuffle(x, 2), rates), 2)
    torch.testing.assert_close(patched(x, rates), expected)


def test_a_patch_that_does_not_divide_the_image_is_told():
    with pytest.raises(
        InputError, match=r"a patch of 3 halves .*8×12 pixels cannot be divided by 12"
    ):
        ResidualUNet(**TINY, patch=3)((3, 8, 12), None)
