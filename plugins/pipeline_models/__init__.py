"""Trained models to draw from at once: each folder is a run, as ``pipeline export`` leaves it."""
