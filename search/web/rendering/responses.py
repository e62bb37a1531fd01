"""Templates turned into pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, select_autoescape

from search.web.problems import problem
from search.web.rendering.cards import remarks
from search.web.rendering.facets import shown_value

__all__ = ["THEME", "THEMES", "error_response", "json_bytes", "page"]

#: Cookie that holds what the person chose of `THEMES`.
THEME = "cxrdex-theme"
THEMES = ("dark", "light")

_environment = Environment(
    loader=PackageLoader("search.web"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["remarks"] = remarks
_environment.filters["sex"] = lambda sex: sex and shown_value("sex", sex)


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
        theme=theme if theme in THEMES else None,
        here=here,
        person=getattr(request.state, "person", None),
        session=getattr(request.state, "session", None),
        audit=getattr(request.state, "audit", None) is not None,
        **values,
    )


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """Plain values, written at once: to check their types would take longer."""
    try:
        return orjson.dumps(data)
    except TypeError:
        # Half a surrogate pair, as a broken report may hold one, is no UTF-8.
        return json.dumps(data, allow_nan=False).encode()


def error_response(
    request: Request,
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """What went wrong: for a program a problem, for a person a page."""
    wrong = problem(status, detail, **more)
    if request.url.path.startswith(("/v1/", "/static/")):
        return JSONResponse(wrong, status, headers, media_type="application/problem+json")
    return HTMLResponse(page(request, "error.html", problem=wrong), status, headers)
