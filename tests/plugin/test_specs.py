"""Two specs compared: what the store's reasons and ``pipeline diff`` have in common."""

from __future__ import annotations

from pipeline.plugin.specs import ABSENT, Change, changes, is_stage, stage_names

NET = {"name": "net", "widths": [8, 16], "upsampler": {"name": "bilinear"}}


def paths(old: object, new: object) -> list[str]:
    return [".".join(change.path) for change in changes(old, new)]


def test_equal_specs_have_no_changes():
    assert not list(changes({"backbone": NET, "seed": 0}, {"seed": 0, "backbone": dict(NET)}))


def test_options_of_a_stage_are_reached_by_their_path():
    new = NET | {"widths": [8], "upsampler": {"name": "bilinear", "factor": 2}}
    assert list(changes({"backbone": NET}, {"backbone": new})) == [
        Change(("backbone", "widths"), [8, 16], [8]),
        Change(("backbone", "upsampler", "factor"), ABSENT, 2),
    ]


def test_a_stage_of_another_name_differs_as_a_whole():
    other = {"name": "nearest", "factor": 2}
    [change] = changes({"backbone": NET}, {"backbone": NET | {"upsampler": other}})
    assert change == (("backbone", "upsampler"), {"name": "bilinear"}, other, None)


def test_a_list_of_the_same_stages_is_compared_stage_by_stage():
    crop, resize = {"name": "crop"}, {"name": "resize", "size": 8}
    assert paths({"p": [crop, resize]}, {"p": [crop, {**resize, "size": 9}]}) == ["p.resize.size"]
    assert paths({"p": [crop, resize]}, {"p": [resize, crop]}) == ["p"]
    assert paths({"p": [crop]}, {"p": []}) == ["p"]
    twice = [{"name": "flip", "probability": p} for p in (0.1, 0.2)]
    assert paths({"p": twice}, {"p": [twice[0], twice[0]]}) == ["p.flip.probability"]


def test_a_key_that_one_side_lacks_is_absent_which_is_not_null():
    assert list(changes({"a": None}, {})) == [Change(("a",), None, ABSENT)]
    assert list(changes({}, {"a": None})) == [Change(("a",), ABSENT, None)]


def test_keys_come_in_the_order_of_the_old_spec_and_then_of_the_new():
    assert paths({"b": 1, "a": 1}, {"c": 1, "a": 2, "b": 2}) == ["b", "a", "c"]


def test_the_code_of_a_stage_is_one_change_that_names_the_stage():
    old, new = ({"sampler": {"name": "ddim", "code": {"source": s}, "eta": 0}} for s in "ab")
    [change] = changes(old, new)
    assert change == (("sampler", "code"), {"source": "a"}, {"source": "b"}, "ddim")
    assert paths({"code": {"source": "a"}}, {"code": {"source": "b"}}) == ["code.source"]


def test_what_a_stage_is():
    assert is_stage(NET)
    assert not is_stage({"seed": 0})
    assert stage_names([NET, {"name": "x"}]) == ["net", "x"]
    assert stage_names([]) is None
    assert stage_names([NET, "x"]) is None
