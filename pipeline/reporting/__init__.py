"""Pages for people: the parts of ``report.py``. They read plain data and import no torch."""
