"""Nothing that an archive, a report or a header holds acts on the terminal or in a spreadsheet."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import Result

import cli
from cli.terminal import console, echo, emit_json, emit_rows, harmless, one_line
from tests.archive.making import film, make_dicom, make_picture, to_bytes
from tests.pipeline.making import make_bundle, write_pictures

Run: TypeAlias = Callable[..., Result]

ESCAPE, BIDI, C1 = "\x1b]0;owned\x07", "\u202egnp.exe", "\x9b31m"
HOSTILE = f"{ESCAPE}{BIDI}{C1}[/AG][bold red]\x00\x7f"


# Breaks, the joiners of some scripts, and Arabic signs that are counted among the invisible.
_FINE = "\n\t\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u0890\u0891\u08e2"


def _acts(text: str) -> set[str]:
    """Characters that a terminal would act on, or that nobody would see."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {c for c in text if unicodedata.category(c) in kinds and c not in _FINE}


def test_every_control_is_written_out() -> None:
    assert harmless("\x1b[2J") == "\\x1b[2J"
    assert harmless("a\u202eb\U000e0041") == "a\\u202eb\\ue0041"
    assert harmless("\ud800") == "\\ud800"
    assert harmless("Müller\tÅ\n") == "Müller\tÅ\n", "what people write stays"
    assert harmless("न\u200dा") == "न\u200dा", "joiners are part of some scripts"
    assert one_line("a\nb\rc") == "a\\x0ab\\x0dc"
    assert not _acts(harmless("".join(map(chr, [*range(0x3000), *range(0xFE00, 0x10000)]))))


def test_json_says_the_same_with_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": HOSTILE + "\U000e0041é"}
    emit_json(value)
    printed = capsys.readouterr().out
    assert not _acts(printed)
    assert "é" in printed
    assert json.loads(printed) == value


def test_no_cell_is_a_formula(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [
        "=1+1",
        "+1",
        "-1",
        "@x",
        "\t=1",
        "\r=1",
        "＝1",
        " =1",
        '"=1',
        "\ufeff@1",
        HOSTILE,
        "plain",
        "a=1",
    ]
    emit_rows([{"text": text, "score": -0.5} for text in texts], ("text", "score"))
    printed = capsys.readouterr().out
    assert not _acts(printed)
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["text"][:1] for row in rows] == [*"'" * 10, "\\", "p", "a"]
    assert {row["score"] for row in rows} == {"-0.5"}, "numbers stay numbers"


def test_a_table_prints_no_markup_and_no_control(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("Siemens [/AG]", "b")
    table.add_row(HOSTILE, Text(HOSTILE))
    console().print(table)
    console().print("Siemens [/AG]")
    echo(HOSTILE)
    printed = capsys.readouterr().out
    assert not _acts(printed)
    assert printed.count("Siemens [/AG]") == 2
    assert "[bold red]" in printed


def _sources() -> Iterator[tuple[Path, ast.AST]]:
    for path in sorted(Path(cli.__file__).parent.rglob("*.py")):
        if path.name != "terminal.py":
            yield path, ast.parse(path.read_text("utf-8"))


def test_commands_print_through_one_module_only() -> None:
    bare = re.compile(r"^(print|click\.(echo|secho)|(rich\.console\.)?Console|sys\.std\w+\.write)$")
    for path, tree in _sources():
        called = [ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)]
        assert not [name for name in called if bare.match(name)], path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, run: Run) -> tuple[Path, str]:
    """A database of an archive whose names, maker and reports are hostile, and an image's id."""
    folder = tmp_path_factory.mktemp("hostile")
    archive, reports = folder / "archive", folder / "reports"
    archive.mkdir()
    reports.mkdir()
    name = HOSTILE.replace("/", "_").replace("\x00", "") + "\n=1"
    maker = "=Siemens [/AG] \x1b[31m\u202e"
    (archive / f"{name}.dcm").write_bytes(
        to_bytes(make_dicom(film(), Manufacturer=maker, SpecificCharacterSet="ISO_IR 192"))
    )
    (archive / f"{name}.png").write_bytes(make_picture(film(bits=8, seed=1), "PNG"))
    (archive / f"{name}2.dcm").write_text("Dear colleague")
    (archive / f"{name}.txt").write_text("Dear colleague")
    words = "Left pleural effusion \x1b[2J\u202e \x9b31m [/red] [bold]."
    for number, stem in enumerate((name, name + "2", name + "3")):
        text = f"FINDINGS: {words}" if number else f"FINDINGS: {words} Cardiomegaly."
        (reports / f"{stem}.txt").write_text(text, "utf-8")
    (reports / f"{name}4.xml").write_text("no XML")
    database = folder / "db \x1b[31m\u202e"
    result = run("index", archive, "--reports", reports, "--database", database)
    assert result.exit_code == 0, result.stderr
    assert not _acts(result.output)
    found = run("search", "effusion", "--database", database, "--format", "ids")
    return database, found.stdout.split()[0]


def _commands(image_id: str, folder: Path) -> Iterator[list[object]]:
    for form in ("table", "json", "jsonl", "csv"):
        yield ["failures", "--format", form]
        yield ["search", "effusion", "--facet", "manufacturer", "--format", form]
        yield ["similar", image_id, "--format", form]
    for form in ("table", "json"):
        yield ["show", image_id, "--source", "--format", form]
        yield ["status", "--format", form]
        yield ["verify", "--format", form]
        yield ["compact", "--format", form]
    yield ["search", "\x1b[31m(", "--facet", "disease"]
    yield ["search", "\x1b[31m\u202e"]
    yield ["search", "x", "--filter", "\x1b[31m:\u202e"]
    yield ["show", "\x1b[31m\u202e"]
    yield ["similar", "\x1b[31m\u202e"]
    yield ["similar", folder / "\x1b[31m\u202e.dcm"]
    yield ["index", folder / "no \x1b[31m\u202e"]
    yield ["\x1b[31m\u202e"]
    yield ["search", "x", "--\x1b[31m\u202e"]


def test_no_command_passes_on_what_others_wrote(
    hostile: tuple[Path, str], run: Run, tmp_path: Path
) -> None:
    database, image_id = hostile
    (tmp_path / "\x1b[31m\u202e.dcm").write_text("Dear colleague")
    for words in _commands(image_id, tmp_path):
        named = [] if words[0] == "\x1b[31m\u202e" else ["--database", database]
        result = run(*words, *named)
        assert not _acts(result.stdout + result.stderr), words
        assert "Traceback" not in result.stderr
    shown = run("show", image_id, "--source", "--database", database)
    assert shown.exit_code == 0
    assert "[/red] [bold]" in shown.stdout


def test_a_damaged_database_is_named_without_its_controls(
    hostile: tuple[Path, str], run: Run, tmp_path: Path
) -> None:
    copy = tmp_path / "copy \x1b[31m\u202e"
    shutil.copytree(hostile[0], copy)
    (copy / "manifest.json").write_text("{")
    for command in ("status", "search", "verify"):
        words = [command, *(["x"] if command == "search" else [])]
        result = run(*words, "--database", copy)
        assert result.exit_code
        assert not _acts(result.output + result.stderr), command


def test_a_break_in_a_name_begins_no_line(run: Run, tmp_path: Path) -> None:
    forged = "\nconsistent: all of it"
    bundle = make_bundle(tmp_path / "bundle", name=f"tiny{forged}").path
    archive = tmp_path / f"archive{forged}"
    write_pictures(archive, 2)
    (archive / f"x{forged}.png").write_text("Dear colleague")
    database = tmp_path / f"db{forged}"
    made = run("index", archive, "--database", database, "--bundle", bundle)
    assert made.exit_code == 0, made.stderr
    found = run("search", "*", "--database", database, "--format", "ids").stdout.split()
    commands: list[tuple[object, ...]] = [
        *(("show", one, "--source") for one in found),
        ("similar", found[0]),
        *((name,) for name in ("status", "failures", "verify", "compact", "doctor")),
        ("search", "*", "--bundle", bundle),
        ("search", f"({forged}"),
        ("similar", tmp_path / f"none{forged}"),
        ("index", tmp_path / f"none{forged}"),
    ]
    for words in commands:
        named = [] if words[0] == "doctor" else ["--database", database]
        result = run(*words, *named)
        lines = (result.stdout + result.stderr).splitlines()
        assert not [line for line in lines if line.startswith("consistent: all")], words
