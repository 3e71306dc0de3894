"""From YAML to checked values that know where they were written: the parts of ``load.py``."""
