"""Where things are on this machine."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The root of the repository."""

REAL = ROOT.parent / "shared/data"
"""Real data sets, which only some machines have."""
