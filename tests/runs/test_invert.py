"""From images back to noise: exact for known data, and on a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

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
from tests.helpers.tiny import draw, main

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


def test_every_form_of_an_image_has_the_same_noise(trained, tmp_path) -> None:
    _, images = draw(str(trained), num_images=2)
    pictures = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in images]
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    files = [str(tmp_path / "0.png"), tmp_path / "1.png"]
    arrays = [np.array(picture) for picture in pictures]
    mixed = [files[0], pictures[1]]
    want = invert(trained, images, num_steps=3, **OPTIONS)
    forms = (files, pictures, arrays, np.stack(arrays), list(images), tmp_path, mixed)
    for form in forms:
        assert torch.equal(invert(trained, form, num_steps=3, **OPTIONS), want)
    for form in (files[0], pictures[0], arrays[0], images[0]):
        alone = invert(trained, form, num_steps=3, **OPTIONS)
        torch.testing.assert_close(alone, want[:1], rtol=0, atol=1e-4)


def test_other_images_are_refused(trained, tmp_path) -> None:
    right = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    for wrong in (right.float(), right[:, :, :8], right[:0], [], 3):
        with pytest.raises(InputError, match=r"images should be .* uint8 \(N, 3, 16, 16\), got"):
            invert(trained, wrong, **OPTIONS)
    with pytest.raises(InputError, match=r"an array should be uint8 \(height, width, 3\), got"):
        invert(trained, right.numpy(), **OPTIONS)
    with pytest.raises(InputError, match="after the run's preprocessing it is 8×16 with 3"):
        invert(trained, np.zeros((16, 8, 3), np.uint8), **OPTIONS)
    for wrong in (torch.zeros(1, 3, 8, 8), torch.zeros(0, 3, 16, 16), np.zeros(3), [right]):
        with pytest.raises(InputError, match="noise should be a tensor, an array or a file of"):
            reconstruct(trained, wrong, **OPTIONS)
    with pytest.raises(InputError, match="should be finite"):
        reconstruct(trained, torch.full((1, 3, 16, 16), torch.nan), **OPTIONS)
    with pytest.raises(InputError, match="num_steps is 0"):
        invert(trained, right, num_steps=0, **OPTIONS)
    with pytest.raises(InputError, match="not there"):
        invert(trained, [tmp_path / "no.png"], **OPTIONS)
    with pytest.raises(InputError, match="no class is called"):
        invert(trained, right, classes=["tulip"], **OPTIONS)
    with pytest.raises(InputError, match="no such run"):
        invert(tmp_path, right, **OPTIONS)


def test_noise_far_from_unit_variance_is_told(trained, capsys) -> None:
    _, images = draw(str(trained), num_images=2, num_steps=100)
    capsys.readouterr()
    invert(trained, images, num_steps=20, **OPTIONS)
    assert "unit variance" not in capsys.readouterr().err
    stripes = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    stripes[..., ::2] = 255
    invert(trained, torch.cat([images, stripes]), num_steps=20, **OPTIONS)
    said = capsys.readouterr().err
    assert "the noise of 1 of 3 images is far from unit variance (image 3 " in said


def test_the_shell_goes_to_noise_and_back(trained, here, capsys, monkeypatch) -> None:
    _, images = draw(str(trained), num_images=2)
    Image.fromarray(images[0].permute(1, 2, 0).numpy()).save("a.png")
    Image.fromarray(images[1].permute(1, 2, 0).numpy()).save("b.png")
    way = ("--classes", "lily,3", "--num-steps", "30", "--weights", "raw")
    assert main("invert", str(trained), "a.png", "b.png", *way, "--out", "n.safetensors") == 0
    assert "noise of 2 images, variance " in capsys.readouterr().out
    assert main("reconstruct", str(trained), "n.safetensors", "--out", "back.png") == 0
    assert "2 images drawn from n.safetensors" in capsys.readouterr().out
    assert Image.open("back.png").width == 2 * 66 + 2
    options = {"num_steps": 30, "classes": ["lily", 3], "weights": "raw", **OPTIONS}
    noise = load_file("n.safetensors")["noise"]
    assert torch.equal(noise, invert(trained, images, **options))
    there = reconstruct(trained, Path("n.safetensors"), **OPTIONS)
    assert torch.equal(there, reconstruct(trained, noise.numpy(), **options))
    other = reconstruct(trained, "n.safetensors", classes=[0], num_steps=5, **OPTIONS)
    assert not torch.equal(there, other)


def test_files_are_kept_and_other_models_refused(trained, here) -> None:
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    invert(trained, image, num_steps=1, out=Path("n.safetensors"), **OPTIONS)
    before = Path("n.safetensors").read_bytes()
    for out, message in (
        ("n.safetensors", "is there already"),
        ("n.npz", "should end in .safetensors, such as n.safetensors"),
        ("no/n.safetensors", "no: no such folder"),
    ):
        with pytest.raises(InputError, match=message):
            invert(trained, image, out=Path(out), **OPTIONS)
    assert Path("n.safetensors").read_bytes() == before
    with pytest.raises(InputError, match=r"was found with weights ema; leave out --weights raw"):
        reconstruct(trained, "n.safetensors", weights="raw", **OPTIONS)
    tiny.run()
    with pytest.raises(InputError, match=r"is noise of the model of run tiny, and that of tiny"):
        reconstruct("tiny", "n.safetensors", **OPTIONS)
    save_file({"noise": torch.zeros(1, 3, 16, 16)}, "bare.safetensors")
    Path("text.safetensors").write_text("no")
    for name in ("bare.safetensors", "text.safetensors"):
        with pytest.raises(InputError, match="is no file of noise"):
            reconstruct(trained, name, **OPTIONS)
    with pytest.raises(InputError, match="not there"):
        reconstruct(trained, "none.safetensors", **OPTIONS)
