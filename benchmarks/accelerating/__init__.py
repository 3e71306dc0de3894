"""What ``benchmarks/accelerator.py`` measures, and with what."""
