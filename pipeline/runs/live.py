"""A training as a notebook watches it: curves and the newest pictures, renewed in place."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..errors import InputError
from ..records import HistoryRecord, read_history
from ..report.notebook import live_page, live_view
from ..store.folders import write_text

# IPython is imported where it is used: only notebooks have it.


RUN_PAGE = "report.html"


def newest_grid(folder: Path) -> bytes | None:
    """The PNG file of the last validation's samples; None before the first."""
    grids = sorted((folder / "grids").glob("step-*.png"))
    return grids[-1].read_bytes() if grids else None


def write_unfinished_page(folder: Path) -> Path:
    """Write the page of a run that is not finished: curves and the newest pictures."""
    page = live_page(folder.name, read_history(folder), newest_grid(folder))
    write_text(folder / RUN_PAGE, page)
    return folder / RUN_PAGE


class Output(Protocol):
    """An output of a notebook's cell that can be renewed."""

    def update(self, obj: object) -> None:
        """Show this instead."""
        ...


class Live:
    """The output of a cell in Jupyter, Colab or another front end of IPython."""

    def __init__(self) -> None:
        """InputError where there is no notebook."""
        try:
            from IPython import get_ipython
        except ImportError:
            message = (
                "live=True shows curves in a notebook and needs IPython: pip install ipykernel"
            )
            raise InputError(f"{message}, or leave it out") from None
        if get_ipython() is None:
            message = "live=True shows curves in a notebook, and this is none: leave it out"
            raise InputError(f"{message}; progress is told on stderr, and the page at the end")
        self.output: Output | None = None

    def begin(self, name: str) -> None:
        """Say that training begins."""
        self._show(name, [], None)

    def show(self, run: Path) -> None:
        """Show what the run's folder has now."""
        self._show(run.name, read_history(run), newest_grid(run))

    def _show(self, name: str, history: list[HistoryRecord], grid: bytes | None) -> None:
        from IPython.display import HTML, display

        html = HTML(live_view(name, history, grid))  # type: ignore[no-untyped-call]
        if self.output:
            self.output.update(html)
        else:
            self.output = display(html, display_id=True)  # type: ignore[no-untyped-call]
