"""Faults for ``benchmarks/faults.py``: commands in forked processes, and what is done to them."""
