"""Stages with one realistic bug each, by kind: what the conformance kit has to catch.

The first line of a class's docstring is the bug, ``caught_by`` the name of the check that says so.
``docs/conformance.md`` has them as a table.
"""
