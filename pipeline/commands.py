"""Every command as a function of Python: the shell's ``pipeline run`` is ``pipeline.commands.run``.

They return plain data, the same that ``--json`` prints. ``open_run`` gives a finished run as a
``Run``, which shows itself in a notebook; ``invert`` finds the noise from which a model draws given
images, ``reconstruct`` draws them. Importing this imports torch.
"""

from .compare.compare import compare
from .plugin.new import new
from .recipe.catalogue import plugins
from .recipe.jsonschema import schema
from .recipe.load import check_recipe
from .recipe.show import diff, show
from .runs.cache import cache
from .runs.evaluate import evaluate
from .runs.export import export
from .runs.finished import Run
from .runs.imported import import_
from .runs.invert import invert, reconstruct
from .runs.listing import ls, rm
from .runs.opened import open_run
from .runs.page import report
from .runs.photos import init
from .runs.push import push
from .runs.run import run
from .runs.sample import sample
from .runs.shipped import models
from .testing.command import check

__all__ = [
    "Run",
    "cache",
    "check",
    "check_recipe",
    "compare",
    "diff",
    "evaluate",
    "export",
    "import_",
    "init",
    "invert",
    "ls",
    "models",
    "new",
    "open_run",
    "plugins",
    "push",
    "reconstruct",
    "report",
    "rm",
    "run",
    "sample",
    "schema",
    "show",
]
