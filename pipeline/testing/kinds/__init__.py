"""The checks of each kind of stage, a module each: ``behaviour`` and ``CHECKS``.

Modules named for a kind and a subject, such as ``metric_distance``, are no kinds of their own: they
hold checks of that subject, which the kind's module lists among its own.
"""
