"""The processes that torch's launchers start for one command, its *ranks*."""

from .world import World, enter, here, lost_touch

__all__ = ["World", "enter", "here", "lost_touch"]
