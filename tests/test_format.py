"""Numbers and tables for people."""

from __future__ import annotations

from pipeline.format import table

ROWS = [("cost", "steps", "seconds"), ("a", "12,000", "3"), ("longer", "5", "")]


def test_a_table_has_its_columns_to_the_left_unless_told_otherwise() -> None:
    assert table(ROWS) == ["cost    steps   seconds", "a       12,000  3", "longer  5"]


def test_the_last_alignment_holds_for_the_rest() -> None:
    assert table(ROWS, "<>") == [
        "cost     steps  seconds",
        "a       12,000        3",
        "longer       5",
    ]
