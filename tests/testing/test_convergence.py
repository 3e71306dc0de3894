"""How the kit decides whether errors at some numbers of steps are those of a declared order."""

from __future__ import annotations

import pytest

from pipeline.testing.context import Wrong
from pipeline.testing.kinds import sampler_convergence as kit


class Declares3:
    order = 3


@pytest.mark.parametrize(
    "error",
    [
        lambda n: n**-3,
        lambda n: n**-3 - 7 * n**-3.5,  # a smaller error fades: 2.70, then 2.82
    ],
)
def test_errors_of_the_declared_order_pass(error, monkeypatch):
    monkeypatch.setattr(kit, "_error", lambda sampler, data, steps: abs(error(float(steps))))
    assert kit._slope(Declares3(), "here", None, lambda steps: steps) > 2.5


@pytest.mark.parametrize(
    "error",
    [
        lambda n: n**-2,
        lambda n: n**-3 + 1e-2 * n**-2,  # one of lower order comes forth
        lambda n: n**-2.75,
    ],
)
def test_errors_of_a_lower_order_do_not(error, monkeypatch):
    monkeypatch.setattr(kit, "_error", lambda sampler, data, steps: error(float(steps)))
    with pytest.raises(Wrong, match="order 3 is declared"):
        kit._slope(Declares3(), "here", None, lambda steps: steps)
