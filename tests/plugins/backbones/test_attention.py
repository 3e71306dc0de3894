"""The backbones with attention: adm_unet and dit, and the parts that they share."""

import math
import re

import pytest
import torch
from diffusers import UNet2DModel
from diffusers.models.attention import BasicTransformerBlock
from pydantic import ValidationError
from torch import Tensor, nn

from pipeline import NO_CLASS, InputError, Rates
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_backbones import adm_unet
from pipeline_backbones.adm_unet import ADMUNet, group_norm
from pipeline_backbones.attention import attend
from pipeline_backbones.conditioning import Condition, timestep
from pipeline_backbones.dit import DiT, positions
from pipeline_backbones.sizes import check_halvings

REGISTRY = Registry.load()
TINY = {
    "adm_unet": {"widths": [8, 12, 16], "block_depth": 1, "head_width": 4, "embedding_dims": 16},
    "dit": {"patch_size": 2, "width": 24, "depth": 2, "heads": 3},
}
BOTH = pytest.mark.parametrize("name", TINY)


def build(name: str, shape=(3, 8, 16), num_classes: int | None = 5, **options) -> nn.Module:
    """A small network, as a recipe gives it, that is not what it starts as."""
    torch.manual_seed(0)
    network = fresh(name, shape, num_classes, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()


def fresh(name: str, shape=(3, 8, 16), num_classes: int | None = 5, **options) -> nn.Module:
    return build_stage(REGISTRY, "backbone", {"name": name, **TINY[name], **options})(
        shape, num_classes
    )


def rates_of(noise: Tensor) -> Rates[Tensor]:
    return Rates((1 - noise**2).sqrt(), noise)


def inputs(n: int = 4, shape=(3, 8, 16), dtype=torch.float32):
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(n, *shape, generator=draw, dtype=dtype)
    return x, rates_of(torch.linspace(0.1, 0.95, n, dtype=dtype)), torch.arange(n) - 1


def calls(network: nn.Module, kind: type[nn.Module]) -> list[tuple[Tensor, Tensor]]:
    """Inputs and outputs of all modules of a kind, filled when the network is called."""
    seen: list[tuple[Tensor, Tensor]] = []
    for module in network.modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    return seen


# Both


@BOTH
@pytest.mark.parametrize("shape", [(3, 8, 16), (1, 16, 16), (4, 12, 4)])
@pytest.mark.parametrize("num_classes", [None, 5])
def test_images_of_any_shape_keep_it(name, shape, num_classes):
    x, rates, label = inputs(3, shape)
    label = None if num_classes is None else label
    network = build(name, shape, num_classes)
    out = network(x, rates, label)
    assert (out.shape, out.dtype) == (x.shape, torch.float32)
    last = network(x.to(memory_format=torch.channels_last), rates, label)
    torch.testing.assert_close(last, out, rtol=1e-4, atol=1e-5)
    double = network.double()(x.double(), Rates(*(r.double() for r in rates)), label)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), out, rtol=1e-3, atol=1e-4)


@BOTH
def test_bfloat16_by_autocast_is_near(name):
    network, (x, rates, label) = build(name), inputs()
    expected = network(x, rates, label)
    with torch.autocast("cpu", torch.bfloat16):
        out = network.train()(x, rates, label)
        out.float().square().mean().backward()
    assert (out - expected).abs().max() < 0.1 * expected.abs().max()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@BOTH
def test_it_can_be_made_and_called_without_memory(name):
    with torch.device("meta"):
        network = fresh(name)
        given = Rates(torch.empty(2), torch.empty(2))
        out = network(torch.empty(2, 3, 8, 16), given, torch.empty(2, dtype=torch.int64))
    assert out.is_meta
    assert out.shape == (2, 3, 8, 16)


@pytest.mark.parametrize("backbone", [ADMUNet(), DiT()])
@pytest.mark.parametrize("size", [32, 64])
def test_parameter_count_with_the_defaults(backbone, size):
    [said] = re.findall(r"([\d,]+) parameters with the defaults", type(backbone).__doc__)
    with torch.device("meta"):
        network = backbone((3, size, size), None)
        conditional = backbone((3, size, size), 9)
    count, more = (sum(p.numel() for p in n.parameters()) for n in (network, conditional))
    assert f"{count:,}" == said
    assert more - count == 10 * network.condition.enter.in_features


@BOTH
def test_the_first_prediction_is_zero(name):
    network, given = fresh(name), inputs()
    for training in (True, False):
        assert torch.equal(network.train(training)(*given), torch.zeros_like(given[0]))


@BOTH
def test_every_parameter_learns(name):
    network, (x, rates, label) = fresh(name, dropout=0.1).train(), inputs()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    (network(x, rates, label) - x).square().mean().backward()
    for where, parameter in network.named_parameters():
        assert parameter.grad is not None, where
        assert parameter.grad.isfinite().all(), where
        assert parameter.grad.abs().max() > 1e-9, where
    seen = network.condition.classes.weight.grad.abs().sum(1) > 0
    assert seen.tolist() == [True] * 4 + [False] * 2  # "no class" and the three of the batch


@BOTH
def test_an_image_does_not_depend_on_its_batch(name):
    network, (x, rates, label) = build(name, dropout=0.5), inputs()
    with torch.inference_mode():
        together = network(x, rates, label)
        for i in range(4):
            one = slice(i, i + 1)
            alone = network(x[one], Rates(*(rate[one] for rate in rates)), label[one])
            torch.testing.assert_close(alone, together[one], rtol=1e-5, atol=1e-5)


@BOTH
def test_dropout_is_by_torchs_generator_in_training_only(name):
    given = inputs()
    network, without = build(name, dropout=0.3), build(name, dropout=0.0)
    without.load_state_dict(network.state_dict())
    assert torch.equal(network(*given), without(*given))
    assert torch.equal(network(*given), without.train()(*given))
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(network.train()(*given))
    assert torch.equal(found[0], found[1])
    assert (found[0] - found[2]).abs().max() > 1e-3


@BOTH
def test_a_state_dict_is_the_whole_network(name):
    network, other, given = build(name), fresh(name).eval(), inputs()
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(*given), other(*given))


@BOTH
def test_no_label_is_no_class(name):
    network, (x, rates, _) = build(name), inputs()
    none = torch.full((4,), NO_CLASS)
    out = network(x, rates)
    assert torch.equal(out, network(x, rates, none))
    found = [out, *(network(x, rates, none + 1 + k) for k in range(5))]
    for i, one in enumerate(found):
        for other in found[:i]:
            assert (one - other).abs().amax((1, 2, 3)).min() > 1e-3


@BOTH
@pytest.mark.parametrize("label", [-2, 5, 6])
def test_labels_out_of_range_are_refused(name, label):
    x, rates, labels = inputs()
    with pytest.raises(IndexError):
        build(name)(x, rates, torch.full_like(labels, label))


@BOTH
def test_a_network_without_classes_takes_none(name):
    network, (x, rates, label) = build(name, num_classes=None), inputs()
    none = torch.full_like(label, NO_CLASS)
    assert torch.equal(network(x, rates), network(x, rates, none))
    with pytest.raises(InputError, match="made without classes"):
        network(x, rates, label)


@BOTH
@pytest.mark.parametrize("log_snr", [20, 15, 0, -15, -20])
def test_near_noise_levels_are_told_apart_wherever_they_are(name, log_snr):
    """One percent of sigma matters as much at the bounds as in the middle."""
    network, (x, *_) = build(name), inputs(1)
    x = x.expand(2, -1, -1, -1)
    sigma = torch.tensor([1.0, 1.01], dtype=torch.float64) * math.exp(-log_snr / 2.02)
    rates = Rates(*(r.float() for r in Rates(torch.ones_like(sigma), sigma).scaled))
    now, then = network(x, rates)
    assert now.isfinite().all()
    assert (now - then).abs().max() > 1e-3 * now.std()


def example_options():
    for name in TINY:
        for n, example in enumerate(REGISTRY.find("backbone", name).load().examples):
            for option in example:
                yield pytest.param(name, example, option, id=f"{name}-{n}-{option}")


@pytest.mark.parametrize(("name", "example", "option"), list(example_options()))
@pytest.mark.parametrize("size", [8, 16])
def test_every_option_of_the_examples_matters(name, example, option, size):
    given = inputs(2, (3, size, size))
    found = []
    for left_out in (None, option):
        options = {key: value for key, value in example.items() if key != left_out}
        torch.manual_seed(0)
        network = build_stage(REGISTRY, "backbone", {"name": name, **options})((3, size, size), 5)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
        torch.manual_seed(1)
        found.append(network.train()(*given))
    assert (found[0] - found[1]).abs().max() > 1e-4 * found[0].std()


@BOTH
def test_examples_give_every_option(name):
    cls = REGISTRY.find("backbone", name).load()
    assert {key for example in cls.examples for key in example} == set(cls.__pydantic_fields__)


@BOTH
def test_a_few_steps_reduce_the_loss(name):
    torch.manual_seed(0)
    network, (x, rates, label) = fresh(name).train(), inputs()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        loss = (network(x, rates, label) - x.flip(0)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


# The parts


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_attention_is_a_softmax_over_places(heads):
    qkv = torch.randn(2, 7, 36, dtype=torch.float64)
    expected = torch.empty(2, 7, 12, dtype=torch.float64)
    wide = 12 // heads
    for n in range(2):
        for h in range(heads):
            q, k, v = (qkv[n, :, 12 * i + h * wide :][:, :wide] for i in range(3))
            for place in range(7):
                weights = [math.exp(q[place] @ k[other] / math.sqrt(wide)) for other in range(7)]
                mean = sum(w * v[other] for other, w in enumerate(weights)) / sum(weights)
                expected[n, place, h * wide : (h + 1) * wide] = mean
    torch.testing.assert_close(attend(qkv, heads), expected)


def test_the_timestep_is_linear_in_log_snr_and_finite_beyond_its_bounds():
    log_snr = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    sigma = (-log_snr / 2).exp()
    rates = Rates(torch.ones_like(sigma), sigma).scaled
    torch.testing.assert_close(timestep(rates), 500 - 25 * log_snr)
    single = timestep(Rates(rates.signal.float(), rates.noise.float()))
    torch.testing.assert_close(single.double(), 500 - 25 * log_snr, rtol=1e-6, atol=1e-3)
    ends = Rates(torch.tensor([1.0, 1.0, 0.0, 1e-9]), torch.tensor([0.0, 1e-9, 1.0, 1.0]))
    assert timestep(ends).tolist() == [0, 0, 1000, 1000]


def test_the_condition_is_sines_and_cosines_through_two_layers():
    condition = Condition(6, 3).double()
    rates = rates_of(torch.tensor([0.01, 0.3, 0.9], dtype=torch.float64))
    label = torch.tensor([2, NO_CLASS, 0])
    for i, t in enumerate(timestep(rates).tolist()):
        speeds = [10_000 ** (-k / 3) for k in range(3)]
        waves = [math.cos(t * s) for s in speeds] + [math.sin(t * s) for s in speeds]
        hidden = condition.enter.weight @ torch.tensor(waves).double() + condition.enter.bias
        expected = condition.leave.weight @ (hidden * hidden.sigmoid()) + condition.leave.bias
        expected = expected + condition.classes.weight[int(label[i]) + 1]
        # 10 000 ** (-k / 3) is kept as a float32.
        torch.testing.assert_close(condition(rates, label)[i], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("height", "width", "works"), [(8, 24, True), (8, 12, False)])
def test_sizes_that_can_be_halved(height, width, works):
    if works:
        check_halvings("net", 4, height, width)
        return
    with pytest.raises(
        InputError, match=r"net with 4 widths halves the image 3 times: 8×12 .* 8\."
    ):
        check_halvings("net", 4, height, width)


def test_group_norm_takes_any_number_of_channels():
    for channels in range(1, 300):
        norm = group_norm(channels)
        assert norm.num_groups <= 32
        possible = [n for n in range(1, 33) if channels % n == 0 and channels // n >= 4]
        assert norm.num_groups == max(possible, default=1)
    assert [group_norm(n).num_groups for n in (32, 96, 128, 512)] == [8, 24, 32, 32]


# adm_unet


class Halve(nn.Module):
    def forward(self, x: Tensor, *_) -> Tensor:
        return nn.functional.avg_pool2d(x, 2)


class Double(nn.Module):
    def forward(self, x: Tensor, *_) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def theirs(widths: tuple[int, int, int]) -> UNet2DModel:
    """diffusers' U-Net, with our groups and changes of size."""
    network = UNet2DModel(
        block_out_channels=widths,
        down_block_types=["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
        up_block_types=["AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
        layers_per_block=2,
        norm_num_groups=1,
        attn_norm_num_groups=1,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        time_embedding_dim=widths[0],
        num_class_embeds=6,
    )
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.num_groups = group_norm(module.num_channels).num_groups
    for block in network.down_blocks[:-1]:
        block.downsamplers = nn.ModuleList([Halve()])
    for block in network.up_blocks[:-1]:
        block.upsamplers = nn.ModuleList([Double()])
    return network.eval()


NAMES = [
    (r"^condition\.enter", "time_embedding.linear_1"),
    (r"^condition\.leave", "time_embedding.linear_2"),
    (r"^condition\.classes", "class_embedding"),
    (r"^enter", "conv_in"),
    (r"^norm", "conv_norm_out"),
    (r"^leave", "conv_out"),
    (r"^(down|up)\.(\d)\.(\d)\.", r"\1_blocks.\2.resnets.\3."),
    (r"^middle\.(\d)\.", r"mid_block.resnets.\1."),
    (r"resnets(\.\d)\.attention\.", r"attentions\1."),
    (r"(attentions\.\d)\.norm", r"\1.group_norm"),
    (r"(attentions\.\d)\.leave", r"\1.to_out.0"),
    (r"(resnets\.\d)\.shortcut", r"\1.conv_shortcut"),
    (r"(resnets\.\d)\.enter", r"\1.norm1"),
    (r"(resnets\.\d)\.first", r"\1.conv1"),
    (r"(resnets\.\d)\.modulation", r"\1.time_emb_proj"),
    (r"(resnets\.\d)\.norm\.", r"\1.norm2."),
    (r"(resnets\.\d)\.second", r"\1.conv2"),
]


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights by diffusers' names."""
    found = {}
    for name, value in state.items():
        for ours, other in NAMES:
            name = re.sub(ours, other, name)
        if "qkv" in name:
            parts = zip("qkv", value.chunk(3), strict=True)
            found |= {name.replace("qkv", f"to_{letter}"): part for letter, part in parts}
        else:
            found[name] = value
    return found


def test_adm_unet_is_diffusers_unet():
    """With the same weights; theirs wants timesteps, and its classes have no "no class"."""
    options = {"block_depth": 2, "attention": [4, 2], "head_width": 4, "embedding_dims": 8}
    network = build("adm_unet", widths=[8, 12, 16], upsampler="nearest", **options)
    x, rates, label = inputs()
    other = theirs((8, 12, 16))
    other.load_state_dict(renamed(network.state_dict()))
    expected = other(x, 500 - 25 * rates.log_snr, label + 1).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(network(x, rates, label), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("attention", "heights"),
    [(None, [4] * 3 + [2] * 4), ([8], [8] * 3), ([8, 2, 8], [8] * 3 + [2] * 4), ([], [])],
)
def test_adm_unet_attends_at_the_heights_asked_for(attention, heights):
    network = build("adm_unet", attention=attention)
    seen = calls(network, adm_unet.Attention)
    network(*inputs())
    assert sorted((given.shape[2] for given, _ in seen), reverse=True) == heights


def test_adm_unets_blocks_start_as_their_shortcuts():
    network = fresh("adm_unet")
    seen = calls(network, adm_unet.Block)
    network(*inputs())
    alike = [(given, out) for given, out in seen if given.shape == out.shape]
    assert len(alike) == 3  # the first of all, and the middle
    for given, out in alike:
        assert torch.equal(given, out)


@pytest.mark.parametrize("upsampler", [e.name for e in REGISTRY.entries("upsampler")])
def test_adm_unet_grows_by_any_upsampler(upsampler):
    network, (x, rates, label) = build("adm_unet", upsampler=upsampler), inputs()
    assert network(x, rates, label).shape == x.shape


@pytest.mark.parametrize(("height", "width"), [(6, 8), (8, 10), (7, 7), (2, 8)])
def test_adm_unet_refuses_what_it_cannot_halve(height, width):
    with pytest.raises(InputError, match=rf"adm_unet .* {height}×{width} pixels .* by 4\."):
        fresh("adm_unet", (3, height, width))


@pytest.mark.parametrize("pixels", [5, 32, 1])
def test_adm_unet_refuses_attention_where_it_never_is(pixels):
    with pytest.raises(InputError, match=rf"attention at {pixels}: .* heights 16, 8, 4\."):
        fresh("adm_unet", (3, 16, 64), attention=[8, pixels])


def test_adm_unet_refuses_heads_that_do_not_divide():
    fresh("adm_unet", head_width=100)
    fresh("adm_unet", head_width=12, attention=[4])
    with pytest.raises(InputError, match=r"2 pixels, on 16 channels: .* by head_width 12"):
        fresh("adm_unet", head_width=12)


# dit


def test_dit_blocks_are_diffusers_blocks():
    network, (_, rates, label) = build("dit"), inputs()
    block, condition = network.blocks[0], network.condition(rates, label)
    other = BasicTransformerBlock(
        24, 3, 8, attention_bias=True, num_embeds_ada_norm=5, norm_type="ada_norm_zero",
        norm_elementwise_affine=False, activation_fn="gelu-approximate", norm_eps=1e-6,
    ).eval()  # fmt: skip
    other.norm1.emb = None  # the vector is given
    weights = block.state_dict()
    given = {}
    for leaf in ("weight", "bias"):
        for key, third in zip("qkv", weights[f"qkv.{leaf}"].chunk(3), strict=True):
            given[f"attn1.to_{key}.{leaf}"] = third
        for theirs, ours in [("norm1.linear", "modulation"), ("attn1.to_out.0", "merge"),
                             ("ff.net.0.proj", "mlp.0"), ("ff.net.2", "mlp.2")]:  # fmt: skip
            given[f"{theirs}.{leaf}"] = weights[f"{ours}.{leaf}"]
    other.load_state_dict(given)
    tokens = torch.randn(4, 9, 24)
    norm1 = other.norm1.forward
    other.norm1.forward = lambda x, *_, **__: norm1(x, emb=condition)
    torch.testing.assert_close(
        block(tokens, nn.functional.silu(condition)),
        other(tokens, timestep=torch.zeros(4), class_labels=torch.zeros(4)),
    )


def test_dit_blocks_start_as_the_identity():
    network = fresh("dit")
    x, seen = torch.randn(2, 5, 24), torch.randn(2, 24)
    for block in network.blocks:
        assert torch.equal(block(x, seen), x)


def test_dit_drops_what_attention_and_mlp_add():
    network, x, seen = build("dit", dropout=1 - 1e-6), torch.randn(2, 5, 24), torch.randn(2, 24)
    assert torch.equal(network.train().blocks[0](x, seen), x)
    assert not torch.equal(network.eval().blocks[0](x, seen), x)


def test_positions_are_waves_of_row_and_column():
    found = positions(3, 5, 8).unflatten(0, (3, 5))
    for row in range(3):
        for column in range(5):
            expected = [
                wave(place * speed)
                for place in (row, column)
                for wave in (math.sin, math.cos)
                for speed in (1, 0.01)
            ]
            torch.testing.assert_close(found[row, column], torch.tensor(expected))


def test_dit_sees_where_a_patch_is():
    network, (x, rates, label) = build("dit"), inputs()
    for axis in (2, 3):
        moved = network(x.roll(2, axis), rates, label).roll(-2, axis)
        assert (moved - network(x, rates, label)).abs().max() > 1e-2


def test_dit_puts_patches_back_where_they_were():
    """Without attention (blocks still the identity) a patch is made from itself alone."""
    network, (x, rates, label) = fresh("dit").eval(), inputs()
    nn.init.normal_(network.leave.weight)
    other = x.clone()
    other[:, :, 2:4, 10:12] += 1
    changed = (network(x, rates, label) - network(other, rates, label)).abs().amin((0, 1)) > 1e-4
    assert changed.nonzero().tolist() == [[2, 10], [2, 11], [3, 10], [3, 11]]


def test_dit_starts_as_its_authors_code():
    network = DiT(width=48, depth=2)((3, 16, 16), 1000)
    for name, parameter in network.named_parameters():
        if "bias" in name or "modulation" in name or name == "leave.weight":
            assert parameter.count_nonzero() == 0, name
        elif name.startswith("condition"):
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
        else:
            outgoing, incoming = parameter.flatten(1).shape
            spread = math.sqrt(2 / (incoming + outgoing))
            assert parameter.std().item() == pytest.approx(spread, rel=0.1), name


@pytest.mark.parametrize(("height", "width"), [(8, 9), (6, 8), (2, 8)])
def test_dit_refuses_sizes_that_are_no_patches(height, width):
    with pytest.raises(InputError, match=rf"patch_size 4: {height}×{width} pixels .* by 4\."):
        fresh("dit", (3, height, width), patch_size=4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"heads": 5}, "width 24 should be a multiple of heads 5"),
        ({"width": 26, "heads": 1}, "multiple of 4"),
        ({"mlp_ratio": 0.01}, "no hidden channel"),
    ],
)
def test_dit_refuses_widths_that_do_not_divide(options, said):
    with pytest.raises(ValidationError, match=said):
        DiT(**{**TINY["dit"], **options})
    with pytest.raises(InputError, match=said):
        fresh("dit", **options)
