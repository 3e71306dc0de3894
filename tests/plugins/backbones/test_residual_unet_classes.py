"""Classes and group norm of the residual U-Net."""

import pytest
import torch
from torch import nn

from pipeline import NO_CLASS, InputError
from pipeline_backbones.residual_unet import ResidualUNet
from tests.helpers.residual_unet import TINY, disturbed, inputs


def network(num_classes: int | None = 4, **options) -> nn.Module:
    torch.manual_seed(0)
    return disturbed(ResidualUNet(**{**TINY, **options})((3, 8, 12), num_classes)).eval()


def test_classes_cost_a_vector_for_each_block_and_start_without_effect():
    torch.manual_seed(0)
    with_classes = ResidualUNet()((3, 32, 32), 102)
    channels = 2 * (32 + 64 + 96) + 2 * 128 + 2 * (96 + 64 + 32)
    found = sum(p.numel() for p in with_classes.parameters())
    assert found == 1_950_627 + (102 + 1) * channels
    fresh = ResidualUNet(**TINY)((3, 8, 12), 4).train()
    with torch.no_grad():
        fresh.leave.weight.normal_()
    x, rates = inputs()
    labels = [torch.tensor([0, 1, 2, 3]), torch.tensor([3, 2, NO_CLASS, 0])]
    first, second = (fresh(x, rates, label) for label in labels)
    assert first.abs().max() > 0.1
    assert torch.equal(first, second)


def test_each_row_sees_its_own_class_and_none_is_a_class_of_its_own():
    x, rates = inputs()
    made = network()
    plain = made(x, rates, torch.tensor([0, 1, 2, 3]))
    other = made(x, rates, torch.tensor([0, 3, NO_CLASS, 3]))
    changed = (plain - other).abs().flatten(1).amax(1)
    assert (changed[[1, 2]] > 1e-3).all()
    assert (changed[[0, 3]] == 0).all()
    none = torch.full((4,), NO_CLASS)
    assert torch.equal(made(x, rates), made(x, rates, none))


@pytest.mark.parametrize("label", [4, -2])
def test_a_label_that_is_no_class_is_refused(label):
    x, rates = inputs()
    with pytest.raises(IndexError):
        network()(x, rates, torch.tensor([0, 1, 2, label]))


def test_without_classes_a_label_is_refused_and_not_ignored():
    x, rates = inputs()
    made = network(None)
    assert torch.equal(made(x, rates), made(x, rates, torch.full((4,), NO_CLASS)))
    with pytest.raises(InputError, match="made without classes"):
        made(x, rates, torch.tensor([NO_CLASS, 0, NO_CLASS, NO_CLASS]))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_with_group_norm_images_do_not_depend_on_each_other(mode):
    x, rates = inputs()
    label = torch.tensor([0, 1, 2, 3])
    made = getattr(network(norm="group", widths=(16, 24, 33)), mode)()
    alone = torch.cat([
        made(x[i : i + 1], type(rates)(*(r[i : i + 1] for r in rates)), label[i : i + 1])
        for i in range(4)
    ])  # fmt: skip
    torch.testing.assert_close(made(x, rates, label), alone, rtol=0, atol=1e-4)
    batch = network().train()
    assert (
        batch(x, rates)[:1] - batch(x[:1], type(rates)(*(r[:1] for r in rates)))
    ).abs().max() > 0.01


def test_group_norm_is_over_groups_of_16_channels_or_more():
    norms = [m for m in network(norm="group", widths=(32, 48, 33)).modules()
             if isinstance(m, nn.GroupNorm)]  # fmt: skip
    assert norms
    assert {
        norm.num_channels // norm.num_groups >= min(16, norm.num_channels) for norm in norms
    } == {True}
    assert any(norm.num_groups > 1 for norm in norms)
    assert not [m for m in network(norm="group").modules() if isinstance(m, nn.BatchNorm2d)]


def test_group_norm_still_tells_noise_levels_apart():
    x, _ = inputs(1)
    made = network(norm="group").train()
    noise = torch.tensor([0.5, 0.51])
    first, second = made(x.expand(2, -1, -1, -1), type(inputs()[1])((1 - noise**2).sqrt(), noise))
    assert (first - second).abs().max() > 1e-3
