"""``benchmarks/large.py``: ten times as many images take no more memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux keeps to the limit")
def test_more_images_take_no_more_memory() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/large.py"), "--json", "--room", "512"]
    command += ["--images", "400", "4000", "--size", "64", "--dataset", "noise"]
    command += ["--backbone", "narrow", "--metrics", "[fid]", "--steps", "20", "--pictures", "20"]
    # One arena: how many malloc reserves, 64 MiB each, depends on what threads meet by chance.
    environment = os.environ | {"MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    few, many = (
        {row["stage"]: row["resident"] for row in json.loads(line)}
        for line in done.stdout.splitlines()
    )
    assert list(few) == list(many)
    # Not training, which may hold the images where there is room.
    pixels = 4000 * 3 * 64**2
    for stage in ("prepare", "embed", "sample", "score", "neighbours", "write pictures"):
        assert many[stage] < few[stage] + 1.5 * pixels, stage
