"""One HTML file from a template: nothing is fetched, nothing from outside is ever markup."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **content: object) -> str:
    """A page from one of the templates here; every string in ``content`` is escaped.

    Only the style and the script of this package run: the content security policy has their
    digests, and knows no other source than data URIs of images.
    """
    style, script = _text("style.css"), _text("page.js")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_digest(style)}; script-src {_digest(script)}"
    )
    # Both are this package's own text, so they may be markup.
    ours = {"style": Markup(style), "script": Markup(script), "policy": policy}
    return _environment().get_template(template).render(**ours, **content)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _text(name: str) -> str:
    return (files("pipeline.report") / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """A text's digest as a source of a content security policy: W3C CSP 3, section 2.3.1."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
