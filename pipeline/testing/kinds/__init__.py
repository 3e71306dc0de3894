"""The checks of each kind of stage, a module each: ``behaviour`` and ``CHECKS``."""
