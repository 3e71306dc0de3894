"""What was checked of a stage, what was measured, and what is wrong."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 68
"""Of the last column of the table."""


@dataclass(frozen=True)
class Finding:
    """One check."""

    check: str
    """What was checked, in words."""
    measured: str
    """A line for each set of options that differs."""
    problem: str | None = None
    """What is wrong, and with which options; None if nothing is."""


@dataclass(frozen=True)
class Report:
    """All checks of one stage."""

    kind: str
    name: str
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, by check."""
        return {f.check: f.problem for f in self.findings if f.problem is not None}

    def table(self) -> str:
        """For people: a row for each check, then the verdict."""
        rows = [("CHECK", "", "MEASURED, OR WHAT IS WRONG")]
        for found in self.findings:
            result = "ok" if found.problem is None else "FAILED"
            for line in _wrapped(found.measured if found.problem is None else found.problem):
                rows.append((found.check if result else "", result, line))
                result = ""
        wide = max(len(row[0]) for row in rows)
        lines = [f"{check:{wide}}  {result:6}  {text}".rstrip() for check, result, text in rows]
        failed = f"{len(self.problems)} of {len(self.findings)} checks failed"
        verdict = f"all {len(self.findings)} checks passed" if self.ok else failed
        return "\n".join([*lines, f"{self.kind} {self.name}: {verdict}"])

    def data(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "kind": self.kind,
            "name": self.name,
            "ok": self.ok,
            "checks": [{**vars(f), "ok": f.problem is None} for f in self.findings],
        }


class ConformanceError(AssertionError):
    """A stage does not keep its contract; the text is the report's table."""

    def __init__(self, report: Report) -> None:
        super().__init__("\n" + report.table())
        self.report = report


def _wrapped(text: str) -> list[str]:
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, WIDTH)]
    return lines or ["-"]
