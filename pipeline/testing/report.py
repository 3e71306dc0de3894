"""What was checked of a stage, what was measured, and what is wrong."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

WIDTH = 68
"""Characters of the table's last column."""


@dataclass(frozen=True)
class Finding:
    """What one check came to."""

    check: str
    """What was checked, in words."""
    measured: str
    """A line for each set of options that differs."""
    problem: str | None = None
    """What is wrong, and with which options; None if nothing is."""


class FindingData(TypedDict):
    """A finding as plain data."""

    check: str
    measured: str
    problem: str | None
    ok: bool


class ReportData(TypedDict):
    """A report as plain data."""

    kind: str
    name: str
    ok: bool
    checks: list[FindingData]


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
        """The report for people: a row for each check, then the verdict."""
        rows = [("CHECK", "", "MEASURED, OR WHAT IS WRONG")]
        for finding in self.findings:
            first, *more = _wrapped(
                finding.measured if finding.problem is None else finding.problem
            )
            rows.append((finding.check, "ok" if finding.problem is None else "FAILED", first))
            rows += [("", "", line) for line in more]
        wide = max(len(row[0]) for row in rows)
        lines = [f"{check:{wide}}  {result:6}  {text}".rstrip() for check, result, text in rows]
        failed = f"{len(self.problems)} of {len(self.findings)} checks failed"
        verdict = f"all {len(self.findings)} checks passed" if self.ok else failed
        return "\n".join([*lines, f"{self.kind} {self.name}: {verdict}"])

    def data(self) -> ReportData:
        """The report for ``--json``."""
        checks = [
            FindingData(check=f.check, measured=f.measured, problem=f.problem, ok=f.problem is None)
            for f in self.findings
        ]
        return ReportData(kind=self.kind, name=self.name, ok=self.ok, checks=checks)


class ConformanceError(AssertionError):
    """A stage does not keep its contract; the text is the report's table."""

    def __init__(self, report: Report) -> None:
        super().__init__("\n" + report.table())
        self.report = report


def _wrapped(text: str) -> list[str]:
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, WIDTH)]
    return lines or ["-"]
