"""A run: the list of arrows, its folder, and what is done with a finished one."""
