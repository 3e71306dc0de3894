"""What fits of another model's weights, tensor by tensor."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline import InputError
from pipeline.plugin.contracts import Backbone
from pipeline.training.init import MOST_NAMED, Init, check_init, fitting_weights, start
from pipeline_backbones.adm_unet import ADMUNet
from pipeline_backbones.dit import DiT
from pipeline_backbones.residual_unet import ResidualUNet
from pipeline_codecs.pixels import Pixels

SHAPE = (3, 16, 16)
SMALL = ResidualUNet(widths=(8, 8), block_depth=1)
BACKBONES = [
    SMALL,
    ADMUNet(widths=(8, 8), block_depth=1),
    DiT(patch_size=4, width=16, depth=1, heads=2),
]
STATE = {"mean": torch.zeros(3), "std": torch.ones(3)}


def recipe_of(backbone: Backbone) -> Any:
    return SimpleNamespace(backbone=backbone, codec=Pixels())


def init_of(backbone: Backbone, names: tuple[str, ...] | None = None, **changes: Any) -> Init:
    network = backbone(SHAPE, None if names is None else len(names))
    weights = {name: torch.full_like(v, 7) for name, v in network.state_dict().items()}
    return replace(Init("other", weights, STATE, names, "0" * 64, partial=False), **changes)


def fit(init: Init, backbone: Backbone, names: tuple[str, ...] | None = None) -> set[str]:
    network = backbone(SHAPE, None if names is None else len(names))
    return {*fitting_weights(init, recipe_of(backbone), network, SHAPE, names)}


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: type(b).__name__)
def test_what_is_of_other_classes_does_not_fit_whatever_its_shape(backbone: Backbone) -> None:
    init = init_of(backbone, ("rose", "lily"))
    everything = {*init.weights}
    assert fit(init, backbone, ("rose", "lily")) == everything
    with pytest.raises(
        InputError, match=r"other does not fit this network: \S+ \(.*\) is of other "
    ):
        fit(init, backbone, ("lily", "rose"))
    # What has another shape with another number of classes is what knows one from the other.
    two, five = (backbone(SHAPE, number).state_dict() for number in (2, 5))
    tables = {name for name in two if two[name].shape != five[name].shape}
    left = everything - fit(replace(init, partial=True), backbone, ("lily", "rose"))
    assert tables
    assert tables <= left
    assert len(left) < len(everything) / 2


def test_ten_misfits_are_named_with_both_shapes_and_the_others_counted() -> None:
    wide = ResidualUNet(widths=(16, 16), block_depth=2)
    with pytest.raises(InputError) as error:
        fit(init_of(SMALL), wide)
    told = str(error.value)
    assert "\n" not in told
    assert "enter.weight is (8, 3, 1, 1) and should be (16, 3, 1, 1)" in told
    assert told.count(";") == MOST_NAMED + 1  # with the rest, and the advice
    assert " more; take the backbone and the classes that it has, or train.init_partial" in told


def test_what_is_missing_and_what_has_no_place_is_told() -> None:
    with pytest.raises(InputError, match=r"classes\.weight \(3, 8\) is missing in it"):
        fit(init_of(SMALL), SMALL, ("rose", "lily"))
    with pytest.raises(InputError, match=r"classes\.weight \(3, 8\) is not in this network"):
        fit(init_of(SMALL, ("rose", "lily")), SMALL)


@pytest.mark.parametrize("partial", [False, True])
def test_where_nothing_fits_a_part_is_not_enough(partial: bool) -> None:
    with pytest.raises(InputError, match="has nothing that fits this network") as error:
        fit(init_of(BACKBONES[2], partial=partial), SMALL)
    assert "init_partial" not in str(error.value)


def test_a_part_begins_and_the_rest_stays_as_it_was(capsys) -> None:
    taller = ResidualUNet(widths=(8, 8, 8), block_depth=1)
    network = taller(SHAPE, None)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    init = init_of(SMALL, partial=True)
    state = start(init, recipe_of(taller), network, SHAPE, None)
    assert state is init.codec_state
    fitting = fit(init, taller)
    for name, value in network.state_dict().items():
        wanted = torch.full_like(value, 7) if name in fitting else before[name]
        assert torch.equal(value, wanted), name
    told = capsys.readouterr().err
    new = len(before) - len(fitting)
    assert f"weights of other (00000000): {len(fitting)} tensors; {new} are new: down.1" in told
    assert told.count("\n") == 1


def test_a_codec_that_was_fitted_to_other_channels_is_refused() -> None:
    grey = {name: value[:1] for name, value in STATE.items()}
    images = torch.randint(256, (4, *SHAPE), dtype=torch.uint8)
    network, init = SMALL(SHAPE, None), init_of(SMALL)
    check_init(init, recipe_of(SMALL), network, None, images)
    with pytest.raises(InputError, match=r"other has mean \(1,\), std \(1,\), and these images"):
        check_init(replace(init, codec_state=grey), recipe_of(SMALL), network, None, images)
