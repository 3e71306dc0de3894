"""All weights change in one pass over memory, whatever the layout of a convolution's weights."""

import pytest
import torch

from pipeline_optimizers.adam import Adam
from pipeline_optimizers.adamw import AdamW
from pipeline_optimizers.fused import can_fuse


@pytest.mark.parametrize("stage", [Adam, AdamW])
def test_fused_on_devices_and_not_on_meta(stage):
    weight = torch.nn.Parameter(torch.ones(3))
    assert stage()([weight]).param_groups[0]["fused"]
    assert not stage()([torch.nn.Parameter(torch.ones(3, device="meta"))]).param_groups[0]["fused"]


@pytest.mark.parametrize("stage", [Adam, AdamW])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_convolution_learns_as_without(stage, layout):
    torch.manual_seed(0)
    start = torch.nn.Conv2d(3, 5, 3).to(memory_format=layout)
    images, found = torch.randn(2, 3, 8, 8), []
    for fused in (True, False):
        layer = torch.nn.Conv2d(3, 5, 3).to(memory_format=layout)
        layer.load_state_dict(start.state_dict())
        optimizer = stage()(layer.parameters())
        optimizer.param_groups[0]["fused"] = fused
        for _ in range(4):
            optimizer.zero_grad()
            layer(images).square().mean().backward()
            optimizer.step()
        found.append(layer.weight)
    torch.testing.assert_close(*found, rtol=0, atol=1e-7)


def test_a_mixture_of_devices_is_not_fused():
    weights = [torch.nn.Parameter(torch.ones(3, device=place)) for place in ("cpu", "meta")]
    assert not can_fuse(weights)
