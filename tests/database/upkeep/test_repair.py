"""What a repair says: of what is lost, and of a manifest that it restores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.database.checksums.folder import open_seal
from indexer.database.upkeep.repair import repair
from indexer.database.upkeep.verify import verify
from indexer.errors import DatabaseError
from tests.database.making import entry, opened
from tests.database.upkeep.whole_database import COUNT, answers

SHARD = (
    "shards: shard 2 is damaged: its 6 images were dropped, as their vectors are lost; index the "
    "archive again with the options it was indexed with, which reads their files anew"
)
INDEX = "vectors: the vector index was built anew from the shards: 6 images"
PICTURES = (
    "thumbnails: the thumbnails of 12 images are lost; index the archive again with the options it "
    "was indexed with, which reads their files anew"
)


@pytest.mark.parametrize(
    ("name", "lines"),
    [("embeddings/part-000002.npy", [SHARD, INDEX]), ("thumbnails.sqlite", [PICTURES])],
)
def test_the_command_says_what_is_lost(
    whole: Path, tmp_path: Path, name: str, lines: list[str]
) -> None:
    for form in ("table", "json"):
        path = Path(shutil.copytree(whole, tmp_path / form))
        (path / name).write_bytes(b"")
        words = ["verify", "--repair", "--database", str(path), "--format", form]
        done = CliRunner().invoke(cxrdex, words)
        assert done.exit_code == 0, done.output
        if form == "table":
            printed = done.stdout.splitlines()
            assert printed[: len(lines)] == lines
            assert printed[len(lines)].startswith("consistent: ")
        else:
            told = json.loads(done.stdout)["repaired"]
            assert [f"{one['where']}: {one['detail']}" for one in told] == [
                line.partition("; ")[0] for line in lines
            ]
            assert [one["count"] for one in told] == [6, 6] or told[0]["count"] == COUNT
    assert verify(tmp_path / "table") == []


def _add(path: Path) -> None:
    with opened(path) as writer:
        writer.commit([entry(COUNT)])
        writer.end_run("complete", {})


def _break(path: Path, how: str) -> None:
    if how == "deleted":
        path.unlink()
    else:
        path.write_text("{" if how == "cut" else "null")


@pytest.mark.parametrize("how", ["cut", "null", "deleted"])
@pytest.mark.parametrize("killed", [False, True])
def test_a_broken_manifest_names_the_repair_that_restores_it(
    whole: Path, tmp_path: Path, how: str, killed: bool
) -> None:
    right = answers(whole)
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    if killed:
        open_seal(path)
    _break(path / "manifest.json", how)
    asked: list[Callable[[Path], object]] = [answers, _add]
    for ask in asked:
        with pytest.raises(DatabaseError, match="run `cxrdex verify --repair`") as caught:
            ask(path)
        assert "backup" not in str(caught.value)
    for command in ("status", "search", "backup", "compact", "failures"):
        words = {"search": ["opacity"], "backup": [str(tmp_path / "copy")]}.get(command, [])
        done = CliRunner().invoke(cxrdex, [command, *words, "--database", str(path)])
        assert done.exit_code == 4, (command, done.output)
        assert "cxrdex verify --repair" in done.output, (command, done.output)
    done = CliRunner().invoke(cxrdex, ["verify", "--repair", "--database", str(path)])
    assert done.exit_code == 0, done.output
    first = "manifest: manifest.json was restored from its copy in checksums.json"
    assert done.stdout.splitlines()[0] == first
    assert answers(path) == right
    assert verify(path) == []
    # Without the copy nothing restores it.
    _break(path / "manifest.json", how)
    (path / "checksums.json").write_bytes(b"junk")
    for ask in (answers, verify, repair):
        with pytest.raises(DatabaseError) as caught:
            ask(path)
        assert "--repair" not in str(caught.value)
