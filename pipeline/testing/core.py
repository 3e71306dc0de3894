"""Runs the checks of a kind on a stage, with each of its option sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from ..errors import InputError
from ..plugin.kinds import CONTRACTS, members
from ..plugin.options import options
from ..plugin.registry import Registry
from .context import Check, ClassCheck, Context, Wrong
from .report import ConformanceError, Finding, Report
from .variants import class_of, context_of, name_in


def check_stage(kind: str, stage: object, registry: Registry | None = None) -> Report:
    """Examine a stage. Raises ConformanceError if anything is wrong."""
    report = examine(kind, stage, registry)
    if not report.ok:
        raise ConformanceError(report)
    return report


def examine(
    kind: str,
    stage: object,
    registry: Registry | None = None,
    *,
    only: Callable[[str], bool] = lambda name: True,
) -> Report:
    """Run all checks of a kind, or those whose name ``only`` takes, on a stage or its class."""
    # They import torch, for which `import pipeline.testing` shall not wait.
    from . import common
    from .settings import kept_settings

    module = import_module(f"{__package__}.kinds.{kind}")
    registry = registry or Registry.load()
    whole = _has_its_members(kind, stage)
    if whole.problem:  # no recipe could build it, and so nothing else can be tried
        name, _ = name_in(class_of(stage), kind, registry)
        return Report(kind, name, [whole])
    findings = [whole] if only(whole.check) else []
    with kept_settings() as changed:
        context = context_of(kind, stage, registry, module.behaviour)
        context.changed_settings = changed
        findings += [_once(check, context) for check in common.CHECKS if only(words(check))]
        findings += [_on_each(check, context) for check in module.CHECKS if only(words(check))]
    return Report(kind, context.name, findings)


def _has_its_members(kind: str, stage: object) -> Finding:
    """Whether a stage, or its class, has the methods and attributes that its kind promises."""
    names = members(CONTRACTS[kind])
    fields = [option.field for option in options(class_of(stage)).values()]
    lacking = [name for name in names if not hasattr(stage, name) and name not in fields]
    problem = f"it lacks {', '.join(lacking)}: see docs/plugins.md" if lacking else None
    return Finding("has every member of its contract", ", ".join(names), problem)


def words(check: Callable[..., str]) -> str:
    """A check's name in the report: its function's, with spaces."""
    return check.__name__.replace("_", " ")


def _once(check: ClassCheck, context: Context) -> Finding:
    measured, problem = _outcome(partial(check, context))
    return Finding(words(check), measured, problem)


def _on_each(check: Check, context: Context) -> Finding:
    """One finding for all variants: it fails with the first that does."""
    labels: dict[str, str] = {}
    for variant in context.variants:
        measured, problem = _outcome(partial(check, variant.stage, context))
        if problem is not None:
            return Finding(words(check), measured, problem + context.with_options(variant))
        if measured:
            labels.setdefault(measured, variant.label)
    if len(labels) == 1:
        return Finding(words(check), next(iter(labels)))
    lines = [f"{label}: {measured}" for measured, label in labels.items()]
    return Finding(words(check), "\n".join(lines) or "does not apply")


def _outcome(run: Callable[[], str]) -> tuple[str, str | None]:
    """What was measured, and what is wrong."""
    try:
        return run(), None
    except Wrong as wrong:
        return "", str(wrong)
    except InputError as error:
        return "", f"it refused: {error}"
    except Exception as error:  # a stage may fail in any way
        return "", f"it raised {type(error).__name__}: {' '.join(str(error).split())}"
