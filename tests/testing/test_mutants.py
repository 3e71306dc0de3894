"""A few mutants of built-in stages: most that change what a stage does are caught by its kit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT


@pytest.mark.slow
def test_most_of_a_sample_of_mutants_are_caught(tmp_path: Path) -> None:
    out = tmp_path / "mutants.jsonl"
    kinds = ["objective", "spacing", "upsampler", "codec"]
    command = [sys.executable, "-m", "tests.mutants", "--kinds", *kinds, "--every", "60"]
    subprocess.run([*command, "--out", str(out)], check=True, cwd=ROOT, timeout=600)
    results = [json.loads(line) for line in out.read_text().splitlines()]
    found = Counter(result["outcome"] for result in results)
    assert len(results) >= 8
    assert {result["kind"] for result in results} == set(kinds)
    assert found["caught"] / (found["caught"] + found["passes"]) >= 0.7, results
