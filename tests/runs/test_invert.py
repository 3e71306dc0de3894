"""From images back to noise: exact for known data, and on a run."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from pipeline import InputError, Rates
from pipeline.commands import invert, reconstruct
from pipeline.diffusion.levels import levels
from pipeline.diffusion.upwards import upwards
from pipeline.plugin.draws import Draws
from pipeline_samplers.ddim import DDIM
from pipeline_schedules.cosine import Cosine
from pipeline_spacings.uniform import Uniform
from tests.helpers import tiny
from tests.helpers.analytic import GaussianData, MixtureData, order_of
from tests.helpers.tiny import draw

DATA = {
    "gaussian": lambda: GaussianData([0.3], [[0.8]]),
    "mixture": lambda: MixtureData([0.3, 0.7], [-0.8, 1.0], [0.5, 0.6]),
}
"""As wide as the codec makes images."""

OPTIONS = {"plugins": [tiny.STAGES], "device": "cpu"}


@pytest.mark.parametrize("data", DATA)
def test_the_error_of_the_round_trip_falls_with_order_1(data: str) -> None:
    exact, steps, errors = DATA[data](), [50, 100, 200, 400], []
    draws = Draws(0, "sample", range(4))
    x0 = exact.draw(draws.normal(torch.empty(4, 1, 8, 8).double()), Rates(1.0, 1e-9))
    for count in steps:
        down = levels(Cosine(max_signal_rate=0.995), count, Uniform())
        x = upwards(exact.denoise, x0, down, DDIM())
        again = DDIM()(exact.denoise, x, down, draws)
        errors.append(float((again - x0).square().mean().sqrt()))
    assert errors[-1] < 0.02
    assert order_of(errors, steps) == pytest.approx(1, abs=0.15)


def test_the_noise_is_that_of_the_exact_way() -> None:
    exact, down = DATA["mixture"](), levels(Cosine(max_signal_rate=0.995), 1000, Uniform())
    z = Draws(0, "sample", range(2)).normal(torch.empty(2, 1, 8, 8).double())
    clean = DDIM()(exact.denoise, exact.draw(z, down[0]), down, Draws(0, "sample", range(2)))
    x = upwards(exact.denoise, clean, down, DDIM())
    torch.testing.assert_close(x, exact.draw(z, down[0]), rtol=0, atol=0.05)


def error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.float() - b.float()).square().mean().sqrt())


def test_a_runs_own_images_come_back_the_better_the_more_steps(trained) -> None:
    _, images = draw(str(trained), num_images=8, num_steps=100)
    errors = []
    for count in (5, 20, 80):
        noise = invert(trained, images, num_steps=count, **OPTIONS)
        assert noise.dtype == torch.float32
        assert noise.shape == images.shape
        again = reconstruct(trained, noise, num_steps=count, **OPTIONS)
        assert again.dtype == torch.uint8
        errors.append(error(again, images))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.25 * error(images, images.roll(1, 0))


def test_the_batch_does_not_matter_and_classes_do(trained) -> None:
    _, images = draw(str(trained), num_images=3)
    labelled = {"num_steps": 5, "classes": ["daisy", 1, 2], **OPTIONS}
    noise = invert(trained, images, **labelled)
    other = invert(trained, images, **{**labelled, "classes": ["daisy", 4, 2]})
    changed = (noise - other).abs().flatten(1).amax(1)
    assert changed[1] > 1e-4
    assert changed[[0, 2]].max() < 1e-4
    alone = invert(trained, images[:1], **labelled)
    torch.testing.assert_close(alone, noise[:1], rtol=0, atol=1e-4)


def test_files_and_pictures_are_preprocessed_as_the_runs(trained, tmp_path) -> None:
    _, images = draw(str(trained), num_images=2)
    pictures = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in images]
    pictures[0].save(tmp_path / "one.png")
    given = [str(tmp_path / "one.png"), pictures[1]]
    found = invert(trained, given, num_steps=3, **OPTIONS)
    assert torch.equal(found, invert(trained, images, num_steps=3, **OPTIONS))


def test_other_images_are_refused(trained, tmp_path) -> None:
    right = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    wrongs = (right.float(), right[:, :, :8], right[:0], right[0], [], right.numpy(), tmp_path)
    for wrong in wrongs:
        with pytest.raises(InputError, match=r"images should be uint8 \(N, 3, 16, 16\), or"):
            invert(trained, wrong, **OPTIONS)
    for wrong in (torch.zeros(1, 3, 8, 8), torch.zeros(0, 3, 16, 16), right.numpy()):
        with pytest.raises(InputError, match="noise should be"):
            reconstruct(trained, wrong, **OPTIONS)
    with pytest.raises(InputError, match="num_steps is 0"):
        invert(trained, right, num_steps=0, **OPTIONS)
    with pytest.raises(InputError, match="not there"):
        invert(trained, [tmp_path / "no.png"], **OPTIONS)
    with pytest.raises(InputError, match="no class is called"):
        invert(trained, right, classes=["tulip"], **OPTIONS)
    with pytest.raises(InputError, match="no such run"):
        invert(tmp_path, right, **OPTIONS)
