"""Models to and from diffusers: both draw the same, and what has no words there is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiffusionPipeline,
    UNet2DModel,
)

from pipeline import InputError, commands
from pipeline.plugin.draws import Draws
from pipeline.runs.diffusers import drawn_there
from tests.helpers.tiny import RECIPE, draw, run, shell

SMALL = {
    "sample_size": 16,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 8,
}
UNET2D = (
    "backbone={name: unet2d, widths: [8, 16]}",
    "codec={name: pixels, to: range}",
    "train.max_steps=8",
)


def apart(pipe: DDIMPipeline, out: str, num_steps: int, shape=(3, 16, 16)) -> float:
    """How far our pictures are from diffusers', in levels of 255."""
    _, ours = draw(out, num_images=3, num_steps=num_steps, sampler="ddim", spacing="uniform")
    noise = Draws(0, "sample", range(3)).normal(torch.empty(3, *shape))
    return float((drawn_there(pipe, noise, num_steps) - ours).abs().max())


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_diffusers_loads_it_and_draws_the_same(prediction: str, here: Path) -> None:
    (here / "tiny.yaml").write_text(RECIPE)
    run(*UNET2D, f"objective={{name: denoising, prediction: {prediction}}}")
    told = commands.export("tiny", Path("theirs"), to="diffusers")
    assert told["weights"] == ["ema"]
    pipe = DiffusionPipeline.from_pretrained("theirs")
    assert type(pipe) is DDIMPipeline
    for num_steps in (1, 2, 5, 20, 50):
        assert apart(pipe, "tiny", num_steps) <= 1
    [image] = pipe(num_inference_steps=2).images
    assert image.size == (16, 16)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (UNET2D[1:], r"the backbone residual_unet has no to_diffusers\(\); unet2d has"),
        (UNET2D[::2], "know images in -1…1 alone; train with --set 'codec="),
        ((*UNET2D, "objective=flow_matching", "schedule=flow"), "signal² .* such as cosine"),
        ((*UNET2D, "train.condition=class"), "knows classes, which DDIMPipeline does not"),
    ],
)
def test_what_diffusers_has_no_words_for_is_refused(changes, told: str, here: Path) -> None:
    (here / "tiny.yaml").write_text(RECIPE)
    run(*changes)
    with pytest.raises(InputError, match=told):
        commands.export("tiny", Path("theirs"), to="diffusers")
    assert not Path("theirs").exists()


def saved(folder: str, scheduler: dict | None = None, **config: object) -> UNet2DModel:
    torch.manual_seed(1)
    unet = UNet2DModel(**{**SMALL, **config})
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    made = DDPMScheduler(**{"clip_sample": False, **(scheduler or {})})
    DDPMPipeline(unet, made).save_pretrained(folder)
    return unet.eval()


@pytest.mark.parametrize(
    ("scheduler", "config"),
    [
        ({}, {}),
        ({"beta_schedule": "scaled_linear", "prediction_type": "v_prediction"}, {}),
        ({"prediction_type": "sample", "num_train_timesteps": 100}, {"in_channels": 1}),
        (
            {"trained_betas": [1e-3 + i * 5e-4 for i in range(200)], "num_train_timesteps": 200},
            {},
        ),
        ({}, {"sample_size": (8, 16), "layers_per_block": 2}),
    ],
)
def test_what_is_imported_draws_as_diffusers_does(scheduler, config, here: Path) -> None:
    config = {**config, "out_channels": config.get("in_channels", 3)}
    unet = saved("theirs", scheduler, **config)
    told = commands.import_(Path("theirs"), Path("mine"))
    assert told["parameters"] == sum(p.numel() for p in unet.parameters())
    there = json.loads(Path("theirs/scheduler/scheduler_config.json").read_text())
    options = {"clip_sample": False, "set_alpha_to_one": True, "timestep_spacing": "trailing"}
    pipe = DDIMPipeline(unet, DDIMScheduler.from_config({**there, **options}))
    size = unet.config.sample_size
    shape = (unet.config.in_channels, *((size, size) if isinstance(size, int) else size))
    for num_steps in (2, 20):
        assert apart(pipe, "mine", num_steps, shape) <= 1


def test_a_cosine_is_used_as_far_as_noise_can_be_told(here: Path) -> None:
    saved("theirs", {"beta_schedule": "squaredcos_cap_v2"})
    commands.import_(Path("theirs"), Path("mine"))
    recipe = commands.check_recipe("mine/recipe.yaml").data
    assert recipe["schedule"]["used"] == recipe["backbone"]["timesteps"] == 999
    assert draw("mine", num_images=2, num_steps=2)[1].shape == (2, 3, 16, 16)


def test_it_is_scored_inverted_and_trained_on(after_first: Path) -> None:
    saved("theirs")
    told = json.loads(shell("import", "theirs", "mine", "--json", plugin=False).stdout)
    assert told["run"] == "mine"
    shutil.rmtree("theirs")
    drawn = Path(commands.sample("mine", num_images=8, num_steps=2, device="cpu")["folder"])
    scored = commands.evaluate(
        Path("mine"), against=drawn / "images", num_images=8, num_steps=2, device="cpu",
        features="efficientnet_lite0", metrics=["kid"],
    )  # fmt: skip
    assert scored["scores"]["kid"]["protocol"]["num_real"] == 8
    picture = sorted((drawn / "images").iterdir())[0]
    commands.invert("mine", picture, out=Path("back.safetensors"), num_steps=4, device="cpu")
    found = commands.run(
        "mine/recipe.yaml",
        [
            f"dataset.root={drawn / 'images'}", "split.validation=0.25", "train.init=mine",
            "train.max_steps=1", "train.batch_size=4", "evaluate=null", "sample.num_images=4",
            "sample.num_steps=2", "sample.grid=[2, 2]", "train.validate.grid=[2, 1]",
            "train.validate.num_steps=2", "train.validate.grid_num_steps=2",
            "train.validate.metrics=[]", "features=efficientnet_lite0",
        ],
        device="cpu", name="tuned",
    )  # fmt: skip
    assert found["training"]["init"]["started"] == found["training"]["init"]["tensors"]


def test_what_is_no_such_pipeline_is_refused(here: Path) -> None:
    for config, told in (
        ({"num_class_embeds": 3}, "has a class embedding, which is not known here"),
        ({"time_embedding_type": "fourier"}, "timesteps that are not positional"),
        ({"out_channels": 6}, "other channels out than in"),
    ):
        shutil.rmtree("theirs", ignore_errors=True)
        saved("theirs", **config)
        with pytest.raises(InputError, match=told):
            commands.import_(Path("theirs"), Path("mine"))
    Path("theirs/model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(InputError, match="theirs: is a StableDiffusionPipeline; only DDPMPipeline"):
        commands.import_(Path("theirs"), Path("mine"))
    Path("theirs/model_index.json").unlink()
    with pytest.raises(InputError, match=r"model_index\.json: is missing"):
        commands.import_(Path("theirs"), Path("mine"))
    Path("mine").mkdir()
    with pytest.raises(InputError, match="mine is there already"):
        commands.import_(Path("theirs"), Path("mine"))
