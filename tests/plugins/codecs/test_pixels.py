"""The pixel codec against numpy, and the round trip through it."""

import numpy as np
import pytest
import torch

from pipeline_codecs.pixels import Pixels


@pytest.mark.parametrize("sizes", [[20], [1, 12, 7]])
def test_statistics_are_those_of_all_pixels_of_a_channel(photos, sizes):
    state = Pixels().fit(photos.split(sizes))
    values = photos.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(state["mean"], values.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(state["std"], values.std((0, 2, 3)), rtol=1e-6)
    assert all(value.dtype == torch.float32 for value in state.values())


def test_encoded_training_images_have_no_mean_and_unit_variance(photos):
    x0 = Pixels().encode(photos, Pixels().fit([photos]))
    assert x0.dtype == torch.float32
    assert x0.shape == photos.shape
    torch.testing.assert_close(x0.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(x0.var((0, 2, 3), correction=0), torch.ones(3), rtol=0, atol=1e-5)


def test_every_value_comes_back_as_it_was():
    ramp = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(2, 3, 1, 1)
    codec = Pixels()
    state = codec.fit([ramp])
    back = codec.decode(codec.encode(ramp, state), state)
    assert back.dtype == torch.uint8
    assert torch.equal(back, ramp)


def test_decoding_clips_and_rounds():
    state = {"mean": torch.tensor([0.5]), "std": torch.tensor([0.5])}
    x0 = torch.tensor([-9.0, -1.0, 1.0, 9.0, 100.4 / 127.5 - 1, 100.6 / 127.5 - 1])
    found = Pixels().decode(x0.reshape(1, 1, 2, 3), state)
    assert found.flatten().tolist() == [0, 0, 255, 255, 100, 101]


def test_a_channel_without_contrast_is_survived():
    grey = torch.full((2, 3, 4, 4), 77, dtype=torch.uint8)
    codec = Pixels()
    state = codec.fit([grey])
    x0 = codec.encode(grey, state)
    assert x0.isfinite().all()
    assert x0.abs().max() < 1e-3
    assert torch.equal(codec.decode(x0, state), grey)
