"""The parts of ``compare.py``: what is compared, how it is trained, scored, and judged."""
