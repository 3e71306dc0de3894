"""How long ``import pipeline`` and ``pipeline --help`` take, and what they import.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

STARTS = 11
HEAVY = {"torch", "pydantic", "numpy", "scipy", "PIL", "yaml", "h5py", "rich"}


def seconds(*words: str) -> float:
    """The median time of so many starts of Python."""
    taken = []
    for _ in range(STARTS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def heavy(module: str) -> str:
    """The heavy packages that importing a module imports."""
    program = f"import sys, {module}; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    return subprocess.check_output([sys.executable, "-c", program], text=True).strip() or "none"


def main() -> None:
    python = seconds("-c", "pass")
    face = seconds("-c", "import pipeline")
    print(f"import pipeline: {face - python:.3f} s more than Python's own start of {python:.3f} s")
    print(f"pipeline --help: {seconds('-m', 'pipeline', '--help'):.3f} s")
    print(f"(medians of {STARTS} starts)")
    for module in ("pipeline", "pipeline.__main__"):
        print(f"heavy imports of {module}: {heavy(module)}")


if __name__ == "__main__":
    main()
