"""Wrong input ends in one plain line on stderr that names it, and the right exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import Result

from cli.exit_codes import exit_code
from indexer import errors

Run: TypeAlias = Callable[..., Result]


def _refused(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1, "one line"
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_archive(run: Run, tmp_path: Path) -> None:
    result = run("index", tmp_path / "nowhere", "--database", tmp_path / "db")
    _refused(result, 3, "nowhere")
    assert not (tmp_path / "db" / "manifest.json").exists()


def test_a_missing_report_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    words = ("index", tmp_path / "a", "--database", tmp_path / "db", "--reports", tmp_path / "gone")
    _refused(run(*words), 3, "gone")


def test_an_unwritable_database(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "file").write_text("in the way")
    _refused(run("index", tmp_path / "a", "--database", tmp_path / "file" / "db"), 4, "file/db")


@pytest.mark.parametrize("command", ["status", "failures", "verify", "search", "similar", "show"])
def test_no_database(run: Run, tmp_path: Path, command: str) -> None:
    words = [command, *(["0" * 16] if command in ("search", "similar", "show") else [])]
    _refused(run(*words, "--database", tmp_path / "none"), 4, "none", "cxrdex index")


def test_no_database_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXRDEX_DATABASE", raising=False)
    result = run("status")
    assert result.exit_code == 2
    assert "--database" in result.stderr


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("disese:cardiomegaly", "disease"),
        ("disease:cardiomegily", "cardiomegaly"),
        ("(cardiomegaly", "("),
        ("age:[old TO 60]", "age"),
    ],
)
def test_a_broken_query(run: Run, database: Path, query: str, message: str) -> None:
    _refused(run("search", query, "--database", database), 6, message)


def test_a_broken_filter_or_facet(run: Run, database: Path) -> None:
    _refused(run("search", "mass", "--filter", "sx:M", "--database", database), 6, "sx", "sex")
    _refused(run("search", "mass", "--facet", "disase", "--database", database), 6, "disease")


def test_an_unknown_id(run: Run, database: Path) -> None:
    _refused(run("show", "0" * 16, "--database", database), 7, "0" * 16)
    _refused(run("similar", "f" * 16, "--database", database), 7, "f" * 16)
    _refused(run("similar", "no-such-file.dcm", "--database", database), 7, "no-such-file.dcm")


def test_a_text_file_called_dcm(run: Run, database: Path, tmp_path: Path) -> None:
    path = tmp_path / "letter.dcm"
    path.write_text("Dear colleague,\n")
    _refused(run("similar", path, "--database", database), 3, "letter.dcm", "not DICOM")


@pytest.mark.skipif(os.name != "posix", reason="uses devices of Unix")
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_never_ends_is_no_query(database: Path, tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / "pipe.dcm"
    if kind == "pipe":
        os.mkfifo(path)
    # A process of its own, so that one that waits for the end of the file can be ended.
    words = [sys.executable, "-m", "cli", "similar", str(path), "--database", str(database)]
    ended = subprocess.run(
        words, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2]
    )
    assert ended.returncode == 3, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.count("\n") == 1, "one line"
    assert str(path) in ended.stderr


def test_another_bundle(run: Run, database: Path, tmp_path: Path) -> None:
    from indexer.cascade.bundle import Bundle

    shipped = Bundle.load()
    other = tmp_path / "other"
    thresholds = dict.fromkeys(shipped.findings, 0.5)
    Bundle.save(other, replace(shipped, name="other", thresholds=thresholds), shipped.weights())
    (tmp_path / "a").mkdir()
    words = ("index", tmp_path / "a", "--database", database, "--bundle", other)
    _refused(run(*words), 4, "bundle", shipped.hash)


def test_another_format_version(run: Run, database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(database, copy)
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99'))
    _refused(run("search", "mass", "--database", copy), 4, "99")


def test_a_second_writer(database: Path, run: Run, tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom indexer.database.layout import Layout\n"
        "with Layout(Path(sys.argv[1])).lock():\n    print('held', flush=True)\n    time.sleep(60)"
    )
    (tmp_path / "a").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", code, str(database)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        result = run("index", tmp_path / "a", "--database", database)
        holder.kill()
    _refused(result, 4, str(holder.pid))


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    told = (Path(__file__).parents[2] / "docs" / "output.md").read_text()
    root = errors.CxrdexError
    codes = {kind.__name__: exit_code(kind) for kind in root.__subclasses__()}
    codes["CxrdexError"] = exit_code(root)
    assert len(set(codes.values())) == len(codes), codes
    for code in (*codes.values(), exit_code(errors.RequestError)):
        assert f"\n| {code} | " in told, code
