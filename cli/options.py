"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from indexer.cascade.compute import Compute

__all__ = [
    "DATABASE_VARIABLE",
    "ArchivePath",
    "FiniteRange",
    "Folder",
    "as_one",
    "as_options",
    "bundle_option",
    "compute_options",
    "database_option",
    "device_option",
    "filter_option",
    "format_option",
    "images_option",
    "show_option",
    "store_options",
]

DATABASE_VARIABLE = "CXRDEX_DATABASE"

F = TypeVar("F", bound=Callable[..., Any])


class ArchivePath(click.Path):
    """A path, or an address such as ``s3://bucket/prefix``, which is no path and stays a text."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from indexer.archive.sources.remote import is_address

        return value if is_address(value) else super().convert(value, param, ctx)


class FiniteRange(click.FloatRange):
    """A number within bounds, which `nan` passes as nothing is less or more than it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Folder(click.Path):
    """A folder that is read; what opens it says why that is not possible, and what to do, where
    click would only say that it is not readable."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)


def database_option(function: F) -> F:
    """`--database DIR`, or the environment's CXRDEX_DATABASE."""
    return click.option(
        "--database",
        type=Folder(),
        envvar=DATABASE_VARIABLE,
        required=True,
        show_envvar=True,
        help="Folder of the database.",
    )(function)


def format_option(*formats: str) -> Callable[[F], F]:
    """`--format`, with a table for people as the default."""

    def add(function: F) -> F:
        return click.option(
            "--format",
            "form",
            type=click.Choice(["table", *formats]),
            default="table",
            help="A table for people, or a form for programs.",
        )(function)

    return add


def bundle_option(function: F) -> F:
    """`--bundle DIR`, or the environment's CXRDEX_BUNDLE."""
    return click.option(
        "--bundle",
        "bundle_path",
        type=Folder(),
        envvar="CXRDEX_BUNDLE",
        show_envvar=True,
        help="Folder of a trained bundle.  [default: the one that the database was last filled "
        "with, else the one that ships with cxrdex]",
    )(function)


def store_options(function: F) -> F:
    """`--text-store`, `--elasticsearch-url` and `--vector-store` of a database that is made."""
    text = click.option(
        "--text-store",
        type=click.Choice(["embedded", "elasticsearch"]),
        help="Where words go, chosen when the database is made.  [default: elasticsearch where an "
        "address is given or configured, else embedded]",
    )
    url = click.option(
        "--elasticsearch-url",
        metavar="URL",
        help="Address of Elasticsearch, kept in the database; logins come from the environment.",
    )
    vectors = click.option(
        "--vector-store",
        type=click.Choice(["faiss", "elasticsearch"]),
        help="What finds similar images, chosen when the database is made: FAISS in its folder, or "
        "Elasticsearch, where vectors stand beside the words.  [default: faiss]",
    )
    return text(url(vectors(function)))


def device_option(function: F) -> F:
    """`--device auto|cpu|cuda`."""
    return click.option(
        "--device",
        default="auto",
        help="Where the model runs: auto, cpu or cuda.",
    )(function)


def as_one(argument: str, make: Callable[..., Any], *options: Callable[[F], F]) -> Callable[[F], F]:
    """Options that reach a command as one argument.

    Parameters
    ----------
    argument
        Its name.
    make
        Makes its value; takes the value of each option by its name.
    options
        In the order in which help shows them.
    """
    names = inspect.signature(make).parameters

    def add(function: F) -> F:
        @functools.wraps(function)
        def with_one(*args: Any, **given: Any) -> Any:
            value = make(**{name: given.pop(name) for name in names})
            return function(*args, **given, **{argument: value})

        wrapped = cast(F, with_one)
        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return add


def compute_options(function: F) -> F:
    """`--bundle`, `--device`, `--runtime` and `--precision` as one argument `compute`."""
    add = as_one("compute", _compute, bundle_option, device_option, _runtime_options)
    return add(function)


def _compute(bundle_path: Path | None, device: str, runtime: str, precision: str) -> Compute:
    from indexer.cascade.compute import Compute

    return Compute(bundle_path, device, runtime, precision)


def _runtime_options(function: F) -> F:
    """`--runtime` and `--precision`, or the environment's CXRDEX_RUNTIME and CXRDEX_PRECISION."""
    precision = click.option(
        "--precision",
        type=click.Choice(["auto", "float32", "bf16", "int8"]),
        default="auto",
        envvar="CXRDEX_PRECISION",
        show_envvar=True,
        help="What the CNN multiplies in: auto for the fastest that finds the same images.",
    )
    runtime = click.option(
        "--runtime",
        type=click.Choice(["auto", "torch", "openvino", "cuda"]),
        default="auto",
        envvar="CXRDEX_RUNTIME",
        show_envvar=True,
        help="What computes the CNN: auto for cuda where there is a GPU, else openvino.",
    )
    return runtime(precision(function))


def images_option(function: F) -> F:
    """`--images`; without it one row for each study."""
    return click.option(
        "--images", is_flag=True, help="A row for each image, not one for each study."
    )(function)


def show_option(function: F) -> F:
    """`--show`, which draws thumbnails."""
    return click.option(
        "--show", is_flag=True, help="Draw a thumbnail of each, in terminals that draw pictures."
    )(function)


def filter_option(function: F) -> F:
    """`--filter FIELD:VALUE`, repeatable."""
    return click.option(
        "--filter",
        "filters",
        multiple=True,
        metavar="FIELD:VALUE[,VALUE]",
        help="Keep only images of this value, such as disease:cardiomegaly. May be repeated.",
    )(function)


def as_options(text: str, commands: Iterable[click.Command]) -> str:
    """A text of the library, in which a setting stands as `name` or `name=value`, with the options
    of some commands in the place of the settings."""
    options: dict[str, tuple[str, str]] = {}
    for param in (p for command in commands for p in command.params if p.opts[0][:2] == "--"):
        on = param.opts[0]
        both = on, param.secondary_opts[0] if param.secondary_opts else on
        options |= {str(param.name): both, on[2:].replace("-", "_"): both}

    def written(match: re.Match[str]) -> str:
        on, off = options.get(match[1], ("", ""))
        if on == off:
            return " ".join(filter(None, (on, match[2]))) if on else match[0]
        return off if match[2] == "False" else on

    return re.sub(r"`(\w+)(?:=(\w+))?`", written, text)
