"""The parts of ``compare.py``: what is compared, how it is trained, scored, and judged.

``variants`` and ``trials`` say what is trained, ``comparable`` what is refused, ``scoring`` and
``cost`` what is measured; ``samples``, ``seeds`` and ``inference`` are the statistics, ``verdicts``
the words.
"""
