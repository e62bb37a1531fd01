"""Templates turned into pages."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, select_autoescape

from search.web.problems import problem

__all__ = ["THEME", "THEMES", "error_page", "page"]

#: Cookie that holds what the person chose of `THEMES`.
THEME = "cxrdex-theme"
THEMES = ("dark", "light")

_environment = Environment(
    loader=PackageLoader("search.web"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(request: Request, template: str, **values: Any) -> str:
    """A page, in the colours that the person chose.

    Parameters
    ----------
    template
        Name of the file in ``templates``.
    values
        What it shows.
    """
    theme = request.cookies.get(THEME)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return _environment.get_template(template).render(
        theme=theme if theme in THEMES else None, here=here, **values
    )


def error_page(request: Request, status: int, detail: str) -> str:
    """A page that says what went wrong."""
    return page(request, "error.html", problem=problem(status, detail))
