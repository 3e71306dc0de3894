"""Numbers, times and sizes as people read them, and tables."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.format import (
    byte_size,
    clock,
    duration,
    evenly,
    measured,
    number,
    probability,
    signed,
    table,
)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (16.9046, 0.6377, "16.90"),
        (0.03124, 0.0021, "0.0312"),
        (-0.03124, 0.0021, "−0.0312"),
        (1234567.0, 1000.0, "1,234,567"),
        (0.123456, None, "0.1235"),
        (3.0, 0.0, "3"),
    ],
)
def test_measured_numbers_have_the_digits_of_their_error(
    value: float, error: float | None, text: str
) -> None:
    assert measured(value, error) == text


def test_measured_differences_have_a_sign() -> None:
    assert measured(0.03124, 0.0021, sign=True) == "+0.0312"


def test_numbers_have_three_digits_and_few_exponents() -> None:
    values = (0, 0.0123456, 0.5, 12.3456, 1234.5, 1e-7, 2.5e8)
    texts = ["0", "0.0123", "0.500", "12.3", "1,234", "1e-07", "2.5e+08"]
    assert [number(value) for value in values] == texts
    assert (signed(0.5), signed(-0.5)) == ("+0.500", "−0.500")


def test_small_probabilities_are_no_zeros() -> None:
    assert [probability(p) for p in (0.0, 0.00099, 0.001, 0.0414)] == [
        "< 0.001",
        "< 0.001",
        "0.001",
        "0.041",
    ]


def test_sizes_have_three_digits_and_a_fitting_unit() -> None:
    sizes = (0, 999, 1000, 999_499, 999_500, 1_234_567, 34 * 10**9)
    texts = ["0 bytes", "999 bytes", "1 kB", "999 kB", "1 MB", "1.23 MB", "34 GB"]
    assert [byte_size(size) for size in sizes] == texts


def test_times_are_those_of_a_clock() -> None:
    assert [clock(seconds) for seconds in (0.4, 75, 3675)] == ["0:00", "1:15", "1:01:15"]


@pytest.mark.parametrize("most", [2, 5, 24, 512])
def test_evenly_chosen_places_begin_and_end_with_all(most: int) -> None:
    for count in range(1, 1500):
        places = evenly(count, most)
        assert len(places) == min(count, most)
        assert (places[0], places[-1]) == (0, count - 1)
        assert sorted(set(places)) == places
        if count > most:
            assert places == np.linspace(0, count - 1, most).astype(int).tolist()


ROWS = [("cost", "steps", "seconds"), ("a", "12,000", "3"), ("longer", "5", "")]


def test_a_table_has_its_columns_to_the_left_unless_told_otherwise() -> None:
    assert table(ROWS) == ["cost    steps   seconds", "a       12,000  3", "longer  5"]


def test_the_last_alignment_holds_for_the_rest() -> None:
    assert table(ROWS, "<>") == [
        "cost     steps  seconds",
        "a       12,000        3",
        "longer       5",
    ]


def test_durations_are_told_as_far_as_they_matter() -> None:
    times = (0.25, 45, 75, 1750, 3599.9, 48_540)
    texts = ["0.250 s", "45 s", "1 min 15 s", "29 min", "1 h 0 min", "13 h 29 min"]
    assert [duration(seconds) for seconds in times] == texts
