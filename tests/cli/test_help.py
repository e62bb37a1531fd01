"""Help is fast and complete, and the documents say what the commands say."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.main import COMMANDS, _help_width, cxrdex
from cli.reference import TARGET, render

ROOT = Path(__file__).parents[2]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom cli.main import cxrdex\n"
        "cxrdex.main(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'faiss', 'numpy', 'tantivy', 'rich', 'pydicom', 'PIL', 'timm'}\n"
        "heavy |= {'logging', 'shutil'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("columns", ["", "0", "-3", "wide", "40", "72", "200"])
def test_help_is_as_wide_as_click_makes_it(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert _help_width() == click.HelpFormatter().width


def test_help_names_every_command() -> None:
    context = click.Context(cxrdex)
    text = render()
    for name in COMMANDS:
        assert f"## cxrdex {name}\n" in text
        command = cxrdex.get_command(context, name)
        assert command is not None
        assert command.help
        assert all(getattr(p, "help", "") for p in command.params if isinstance(p, click.Option))


def _all(command: click.Command, *names: str) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(names), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _all(inner, *names, name)


def test_no_option_takes_what_is_no_finite_number() -> None:
    looked_at = []
    for name, command in _all(cxrdex):
        for option in command.params:
            if isinstance(option.type, click.types.FloatParamType):
                looked_at.append(f"{name} {option.name}")
                for number in (math.nan, math.inf, -math.inf):
                    with pytest.raises(click.BadParameter):
                        option.type.convert(number, option, None)
    assert {"index prune_limit", "index timeout", "plan hours"} <= set(looked_at)


def test_the_reference_is_up_to_date() -> None:
    assert TARGET.read_text() == render(), "run `make docs`"


def test_every_setting_is_documented() -> None:
    documented = set(re.findall(r"CXRDEX_[A-Z_]+", (ROOT / "docs" / "settings.md").read_text()))
    used = {
        name
        for package in ("indexer", "search", "cli")
        for path in (ROOT / package).rglob("*.py")
        for name in re.findall(r"CXRDEX_[A-Z_]+", path.read_text())
    }
    assert used == documented


def test_every_exit_code_is_documented() -> None:
    from cli.exit_codes import exit_code
    from indexer import errors

    text = (ROOT / "docs" / "output.md").read_text()
    for name in errors.__all__:
        assert f"| {exit_code(getattr(errors, name))} |" in text, name


def test_every_reason_is_documented() -> None:
    text = (ROOT / "docs" / "archives.md").read_text()
    documented = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", text))
    used = {
        reason
        for path in (ROOT / "indexer").rglob("*.py")
        for reason in re.findall(r'(?:Skipped|Failed)Image\(\s*"([a-z_]+)"', path.read_text())
    }
    assert len(used) > 10
    assert used <= documented
