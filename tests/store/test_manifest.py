import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from pipeline.plugin.every import Every
from pipeline.store.manifest import canonical, damage, key_of


def test_key_does_not_depend_on_order_or_container():
    a = {"x": 1, "y": {"b": (1, 2), "a": Path("p/q")}}
    b = MappingProxyType({"y": {"a": "p/q", "b": [1, 2]}, "x": np.int64(1)})
    assert key_of("k", a) == key_of("k", b)
    assert key_of("k", a) != key_of("other", a)
    assert key_of("k", {"e": Every(5, "step")}) == key_of("k", {"e": "5 steps"})


def test_key_is_the_digest_of_canonical_json():
    """Spelt out, because another spelling would make every store start anew."""
    text = r'{"format":3,"ingredients":{"a":[1,2.5,null,true,"\u00e9"]},"kind":"k"}'
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert key_of("k", {"a": [1, 2.5, None, True, "é"]}) == expected


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, width=16) | st.text()
)
json_values = leaves.filter(lambda leaf: leaf not in (math.inf, -math.inf)) | st.lists(
    st.integers()
)
mappings = st.dictionaries(st.text(max_size=3), json_values, max_size=4)


@settings(max_examples=50, deadline=None)
@given(mappings, mappings)
def test_equal_keys_mean_equal_ingredients(a, b):
    assert key_of("k", a) == key_of("k", dict(reversed(a.items())))
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert (key_of("k", a) == key_of("k", b)) == same


@dataclass
class SomeStage:
    size: int = 1


@pytest.mark.parametrize(
    "value", [SomeStage(), object(), {1: 2}, {1, 2}, b"bytes", np.zeros(2), 1j]
)
def test_types_without_a_stable_text_are_refused(value):
    with pytest.raises(TypeError, match=r"ingredients\.a\.0"):
        canonical({"a": [value]})


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float32("nan")])
def test_numbers_that_json_has_not_are_refused(value):
    with pytest.raises(ValueError, match=r"ingredients\.a"):
        key_of("k", {"a": value})


def writes(text="hello", name="data.txt"):
    def build(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / name).write_text(text)
        (folder / "inner" / "more.bin").write_bytes(b"\0" * 10)

    return build


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_flipped_bit_in_any_byte_of_a_manifests_facts_is_noticed(store):
    made = store.get_or_build("images", {"size": 1}, writes())
    path = made.path / "manifest.json"
    sound = path.read_bytes()
    facts = sound.index(b'"ingredients"'), sound.index(b'"created"')
    for position in range(*facts):
        if not sound[position : position + 1].isspace():
            path.write_bytes(
                sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :]
            )
            assert damage(made.path, made.key), sound[position - 5 : position + 5]


def test_large_files_are_checked_by_size_when_opened_and_wholly_by_verify(store):
    made = store.get_or_build("images", {"size": 1}, writes())
    flip(made.path / "data.txt")
    assert damage(made.path, made.key, large=4) == ""
    assert damage(made.path, made.key, large=5) != ""
    assert damage(made.path, made.key, large=None) != ""
