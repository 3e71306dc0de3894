from pathlib import Path

from pipeline.store.explain import OLDER, explain
from pipeline.store.manifest import canonical, read_manifest


def stage(name, source="s", **options):
    code = {"distribution": "d", "version": "1", "source": source}
    return {"name": name, "code": code, **options}


UNET = {"backbone": stage("residual_unet", widths=[32, 64], upsampler=stage("bilinear"))}


def writes(text="hello", name="data.txt"):
    def build(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / name).write_text(text)
        (folder / "inner" / "more.bin").write_bytes(b"\0" * 10)

    return build


def changed(old, new):
    return explain(canonical(new), [canonical(old)])


def test_why_names_options_stages_code_and_inputs():
    new = {"backbone": UNET["backbone"] | {"upsampler": stage("transposed_conv", "t", kernel=4)}}
    assert changed(UNET, new) == "backbone.upsampler changed: bilinear -> transposed_conv"
    new = {"backbone": UNET["backbone"] | {"widths": [32, 64, 96]}}
    assert changed(UNET, new) == "backbone.widths changed: [32, 64] -> [32, 64, 96]"
    new = {
        "backbone": stage("residual_unet", "other", widths=[32, 64], upsampler=stage("bilinear"))
    }
    assert changed(UNET, new) == "the code of backbone (residual_unet) changed"
    new = {"backbone": UNET["backbone"] | {"upsampler": stage("bilinear", "other")}}
    assert changed(UNET, new) == "the code of backbone.upsampler (bilinear) changed"
    a, b = "a" * 64, "b" * 64
    assert changed({"inputs": {"images": a}}, {"inputs": {"images": b}}) == "its images changed"
    assert changed({"content": a}, {"content": b}) == "content changed: aaaaaaaa -> bbbbbbbb"
    assert changed({"f": stage("kid")}, {"f": None}) == "f changed: kid -> none"
    assert changed({}, {"f": None}) == "f changed: none -> none"
    assert changed({"lr": 1e-3}, {"lr": 0.01}) == "lr changed: 0.001 -> 0.01"


def test_why_reaches_into_lists_of_stages_by_name():
    def steps(*stages):
        return {"preprocess": list(stages)}

    crop, resize = stage("center_crop"), stage("resize", size=64)
    assert (
        changed(steps(crop, resize), steps(crop, stage("resize", size=32)))
        == "preprocess.resize.size changed: 64 -> 32"
    )
    for new, text in [
        (steps(resize), "[resize]"),
        (steps(resize, crop), "[resize, center_crop]"),
        (steps(crop, crop), "[center_crop, center_crop]"),
        (steps(), "[]"),
    ]:
        expected = f"preprocess changed: [center_crop, resize] -> {text}"
        assert changed(steps(crop, resize), new) == expected


def test_why_is_short():
    old, new = (dict.fromkeys("abcde", value) for value in (1, 2))
    assert (
        changed(old, new) == "a changed: 1 -> 2; b changed: 1 -> 2; c changed: 1 -> 2; and 2 more"
    )
    assert len(changed({"a": "x"}, {"a": "y" * 1000})) < 80


def test_why_compares_with_the_nearest_and_most_recent(store):
    for ingredients in ({"a": 1, "b": 1}, {"a": 9, "b": 9}, {"a": 2, "b": 1}):
        store.get_or_build("k", ingredients, writes())
    assert store.explain("k", {"a": 3, "b": 1}) == "a changed: 2 -> 3"
    assert store.get_or_build("k", {"a": 9, "b": 1}, writes()).why == "a changed: 2 -> 9"
    assert store.get_or_build("k", {"a": 9, "b": 8}, writes()).why == "b changed: 1 -> 8"
    assert store.explain("other", {"a": 3}) == "first of its kind"


def test_what_an_earlier_version_made_is_made_again_and_that_is_the_reason(store, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr("pipeline.store.manifest.FORMAT", 2)
        old = store.get_or_build("k", {"a": 1}, writes())
        with store.workspace("training", {"a": 1}) as old_training:
            pass
    new = store.get_or_build("k", {"a": 1}, writes())
    assert not new.reused
    assert new.why == OLDER
    with store.workspace("training", {"a": 1}) as training:
        assert read_manifest(training.parent)["why"] == OLDER
    assert old.path.exists()
    assert old_training.parent.exists()
    assert training.parent != old_training.parent
