"""Artifacts by content key: atomic, checked, explained."""
