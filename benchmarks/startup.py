"""How long ``pipeline --help`` takes, and what it imports.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time


def main() -> None:
    command = [sys.executable, "-m", "pipeline", "--help"]
    seconds = []
    for _ in range(11):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    print(f"pipeline --help: median of {len(seconds)} {statistics.median(seconds):.3f} s")
    program = (
        "import sys, pipeline.__main__ as _; "
        "print(sorted({'torch', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    print("heavy imports:", subprocess.check_output([sys.executable, "-c", program], text=True))


if __name__ == "__main__":
    main()
