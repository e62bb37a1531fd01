"""What the library advises can be typed as it stands, and its settings are options of commands."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.main import COMMANDS, cxrdex
from cli.options import as_options
from indexer import advice
from indexer.planning.plan import make_plan

ROOT = Path(__file__).parents[3]
#: Advises commands alone: what it answers is how to run them.
PLAN = ROOT / "indexer" / "planning" / "plan.py"
#: Names in texts that are no settings: of a part, an extra, a header, a key and this package.
OTHER_NAMES = ("val", "remote", "ETag", "record", "cxrdex")


def _command(name: str) -> click.Command:
    found = cxrdex.get_command(click.Context(cxrdex), name)
    assert found is not None, name
    return found


def _options(*commands: click.Command) -> set[str]:
    every = [p for command in commands for p in command.params]
    return {name for param in every for name in (*param.opts, *param.secondary_opts)}


def _check(line: str) -> None:
    """That a command line names a command and options of it."""
    _, name, *words = shlex.split(line, comments=True)
    command = _command(name)
    if isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert {word for word in words if word.startswith("--")} <= _options(command), line


def _texts(path: Path) -> Iterator[str]:
    """What a module says, without its docstrings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.col_offset:
            yield re.sub(r"`(ray|pip|chmod) [^`]*`?|pip install .*", "", node.value)


def _library() -> Iterator[tuple[Path, str]]:
    for room in ("indexer", "search"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if path not in (PLAN, Path(advice.__file__)):
                docs = _docstrings(path)
                yield from ((path, text) for text in _texts(path) if text not in docs)


def _docstrings(path: Path) -> set[str]:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, kinds))
    return {ast.get_docstring(node, clean=False) or "" for node in nodes}


def test_every_command_that_is_advised_is_one() -> None:
    given = [
        value(*"abc"[: len(inspect.signature(value).parameters)]) if callable(value) else value
        for name, value in vars(advice).items()
        if (isinstance(value, str) and name.isupper()) or inspect.isfunction(value)
    ]
    assert len(given) > 15
    of_runs = _options(_command("index"), _command("forget"))
    for text in given:
        for line in re.findall("`([^`]*)`", text):
            _check(line)
        assert set(re.findall("--[a-z-]+", re.sub("`[^`]*`", "", text))) <= of_runs


@pytest.mark.parametrize("images", [10**4, 10**7, 10**9])
def test_every_command_of_a_plan_is_one(images: int) -> None:
    for line in make_plan(images).commands:
        if not line.startswith("export "):
            _check(line)
    said = set(re.findall("--[a-z]+[a-z-]*", PLAN.read_text()))
    assert said <= _options(_command("index"), _command("merge"), _command("plan"))


def test_the_library_names_commands_in_one_place_and_settings_not_as_options() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {text}"
        for path, text in _library()
        if re.search(r"`cxrdex |(?<![\w-])--(?!num-cpus)[a-z]", text)
    ]
    assert wrong == []


def test_every_setting_in_a_text_is_an_option() -> None:
    every = [_command(name) for name in COMMANDS]
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in _library()
        for name in re.findall(r"`(\w+)(?:=\w+)?`", text)
        if name not in OTHER_NAMES and as_options(f"`{name}`", every).startswith("`")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("leave out `precision=bf16`", "leave out --precision bf16"),
        ("leave `pool_studies=False` out", "leave --no-pool-studies out"),
        ("leave `pool_studies=True` out", "leave --pool-studies out"),
        ("`start` and `device`", "`start` and --device"),
    ],
)
def test_a_setting_is_shown_as_an_option(text: str, shown: str) -> None:
    assert as_options(text, [_command("index")]) == shown
