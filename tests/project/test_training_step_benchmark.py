"""``benchmarks/training_step.py`` with a stand-in for TensorFlow, which no test needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import training_step as benchmark

ANSWERS = """\
#!/bin/sh
if [ "$1" = -c ]; then exit 0; fi
echo 1950627
while read line; do echo 0.25; done
"""


def program(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_the_books_program_is_a_third_column(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/training_step.py"), "--size", "16"]
    command += ["--pairs", "1", "--tensorflow", program(tmp_path, ANSWERS)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "the book's network on TensorFlow trains 1,950,627 weights" in found
    header, _, seconds, ratios = found.strip().splitlines()[-4:]
    assert header == "|  | the whole loop | bare step | the book's program on TensorFlow |"
    assert seconds.startswith("| s a step | ")
    assert seconds.endswith(" | 0.250 |")
    assert ratios.startswith("| the whole loop / it (quartiles) |  | ")


def test_without_tensorflow_the_column_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with benchmark.tensorflow(program(tmp_path, "#!/bin/sh\nexit 1\n"), 16, False) as book:
        assert book is None
    benchmark.report(["ours", "the book's"], {"ours": [2.0]})
    assert "| s a step | 2.000 | not installed |" in capsys.readouterr().out


def test_what_goes_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["training_step.py", "--tensorflow", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == 2
    assert "none: no such program" in capsys.readouterr().err
    ends = program(tmp_path, '#!/bin/sh\n[ "$1" = -c ]\n')
    with (
        pytest.raises(SystemExit, match="on TensorFlow ended"),
        benchmark.tensorflow(ends, 16, False),
    ):
        pass
