"""What a run's page says of its changes and of when each part was built."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.tiny import run


def test_the_page_says_what_was_changed_and_when_each_part_was_built(after_first: Path) -> None:
    found = run("train.max_steps=8")
    assert (found["name"], len(found["made"])) == ("tiny-2", 1)
    (change,) = found["changes"]
    page = Path("runs/tiny-2/report.html").read_text()
    assert "Changed from the recipe by <code>--set</code>:" in page
    assert f"<code>{change}</code>" in page
    assert "Built in" not in page
    again = run("train.max_steps=8", fresh=True)
    assert len(again["made"]) == 2
    assert "Built in 2 times" in Path("runs/tiny-2/report.html").read_text()
    whole = run(name="tiny")
    assert whole["changes"] == []
    assert "Changed from the recipe" not in Path("runs/tiny/report.html").read_text()
