"""Text to values by YAML 1.2, and what is refused."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from pipeline.recipe.yaml12 import flow, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("no", "no"), ("yes", "yes"), ("on", "on"), ("010", 10), ("0o10", 8),
        ("0x1F", 31), ("-7", -7), ("+.5", 0.5), ("1.", 1.0), (".inf", float("inf")),
        ("-.INF", float("-inf")), ("True", True), ("tRUE", "tRUE"), ("~", None), ("", None),
        ("NULL", None), ("2020-01-01", "2020-01-01"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("'5'", "5"), ('"no"', "no"), ("0b1", "0b1"), (".", "."), ("1e", "1e"), ("null ", None),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = []
    node = parse(f"a: {text}\n", "f", found)
    assert node is not None
    assert not found
    assert node.plain == {"a": value}
    assert type(node.value["a"].value) is type(value)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DATA = st.recursive(SCALARS, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=20)


@settings(deadline=None)
@given(DATA)
def test_flow_is_read_back(value: object) -> None:
    found = []
    node = parse(flow(value), "f", found)
    assert node is not None
    assert not found
    assert node.plain == value


@settings(deadline=None)
@given(DATA)
def test_what_pyyaml_quotes_is_read_alike(value: object) -> None:
    """The standard writer quotes all text that anyone could take for something else."""
    text = yaml.safe_dump(value, default_style='"') if isinstance(value, str) else None
    if text:
        node = parse(text, "f", [])
        assert node is not None
        assert node.plain == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1,\nb: 2\n", "f:3:1: not YAML"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f:4:3: b.c: is given twice, first at f:3:3"),
        ("a: 1\n2: 3\n", "f:2:1: key 2: keys are text"),
        ("? [a]\n: 1\n", "f:1:3: key a list or mapping"),
        ("a: !!python/object/apply:os.system [ls]\n", "f:1:4: a: tag"),
        ("a: &x [*x]\n", "f:1:8: a.0: *x holds itself"),
        ("a: *x\n", "f:1:4: a: *x: no such anchor"),
        ("a: &x {b: 1}\n<<: *x\n", "f:2:1: '<<' is not in YAML 1.2"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document"),
        ("a: \x07\n", "f:1:4: not YAML: control characters"),
        ("a: " + "[" * 500, "f:1:54: a.0.0: nested more than 50 deep"),
        ("a: " + "[" * 10_000, "f:1:"),  # the library has a limit too, in newer versions
        ("a: " + "9" * 5000, "f:1:4: a: a number of 5000 digits"),
    ],
)
def test_bad_yaml_is_told_with_its_place(text: str, said: str) -> None:
    found = []
    parse(text, "f", found)
    assert str(found[0]).startswith(said)


def test_aliases_work_but_cannot_blow_up() -> None:
    node = parse("a: &x [1, 2]\nb: *x\n", "f", [])
    assert node is not None
    assert node.plain == {"a": [1, 2], "b": [1, 2]}
    lines = ["a0: &a0 [x]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)
    ]
    found, start = [], time.perf_counter()
    assert parse("\n".join(lines), "f", found) is None
    assert "more than 20000 values" in str(found[0])
    assert time.perf_counter() - start < 1
