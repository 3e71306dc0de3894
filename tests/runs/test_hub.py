"""Runs on a model hub: a small one on this machine, spoken to by the hub's own library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import InputError
from pipeline.runs.hub import address_of
from tests.helpers import autoencoder
from tests.helpers.hub import hub_here
from tests.helpers.tiny import STAGES


def pipeline(url: str, cache: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the library reads its settings when it is imported."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_HOME": str(cache),
        "HF_TOKEN": "hf_none",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pipeline", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_what_is_pushed_is_drawn_from_anywhere(after_first: Path, tmp_path: Path) -> None:
    with hub_here() as hub:
        told = pipeline(hub.url, tmp_path / "mine", "push", "tiny", "me/roses", "--half", "--json")
        assert json.loads(told.stdout)["address"] == "hf://me/roses"
        files = hub.repositories["me/roses"]
        assert {"run.json", "README.md", "model/best.safetensors", "recipe.yaml"} <= files.keys()
        shutil.rmtree(after_first / "runs")
        shutil.rmtree(after_first / ".pipeline")
        words = [
            "sample",
            "hf://me/roses",
            "--num-images",
            "2",
            "--out",
            "drawn",
            "--device",
            "cpu",
        ]
        pipeline(hub.url, tmp_path / "theirs", *words)
        assert len(list(Path("drawn/images").glob("*.png"))) == 2


def test_an_autoencoder_of_the_hub_is_a_codec(here: Path, tmp_path: Path) -> None:
    autoencoder.save(here / "vae")
    files = {f"vae/{file.name}": file.read_bytes() for file in (here / "vae").iterdir()}
    shutil.rmtree(here / "vae")
    words = ["tiny.yaml", "--plugin", str(STAGES), "--set", "augment=[]", "--device", "cpu"]
    codec = "codec={name: autoencoder_kl, weights: 'hf://them/large/vae'}"
    with hub_here() as hub:
        hub.repositories["them/large"] = files
        pipeline(hub.url, tmp_path / "mine", "run", *words, "--set", codec)
        assert Path("runs/tiny/samples.png").is_file()
        wrong = codec.replace("large", "none")
        told = pipeline(hub.url, tmp_path / "mine", "run", *words, "--set", wrong, code=2)
        assert "hf://them/none" in told.stderr
        assert "Traceback" not in told.stderr


def test_what_cannot_be_had_is_one_line(after_first: Path, tmp_path: Path) -> None:
    with hub_here() as hub:
        none = pipeline(hub.url, tmp_path, "sample", "hf://me/nothing", code=2)
        assert none.stderr.strip().splitlines()[-1].startswith("hf://me/nothing: ")
        hub.repositories["me/other"] = {"README.md": b"a model of something else"}
        other = pipeline(hub.url, tmp_path, "sample", "hf://me/other", code=2)
        assert "is no exported run, it has no run.json" in other.stderr
        hub.repositories["me/bad"] = {"run.json": b"{}"}
        pipeline(hub.url, tmp_path, "sample", "hf://me/bad", "--plugin", str(STAGES), code=2)


def test_addresses() -> None:
    assert address_of("hf://me/roses") == address_of(Path("hf://me/roses")) == "me/roses"
    assert address_of("runs/roses") is None
    for wrong in ("hf://roses", "hf://a/b/c", "hf://"):
        with pytest.raises(InputError, match="should be like hf://user/name"):
            address_of(wrong)


@pytest.mark.parametrize("words", [["push", "tiny", "me/roses"], ["sample", "hf://me/roses"]])
def test_without_a_network_it_is_one_line(
    words: list[str], after_first: Path, tmp_path: Path
) -> None:
    told = pipeline("http://127.0.0.1:9", tmp_path, *words, code=2).stderr
    assert told.splitlines()[-1].startswith("hf://me/roses: ")
    assert "Traceback" not in told
