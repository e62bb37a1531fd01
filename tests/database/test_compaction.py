from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.verify import verify
from indexer.database.vectors.generation import current_generation
from indexer.database.vectors.shards import id_from_key, vector_keys
from indexer.database.writing import compaction
from indexer.database.writing.compaction import Compaction
from tests.database.making import entry, fill, image_id, opened, vector

COUNT = 60
# Every line names a database and a number; a fork of this compacts it, and dies after so many
# things that it has made durable.
_NURSERY = """
import os, signal, sys
from pathlib import Path

import faiss, tantivy
from indexer.database import durable
from indexer.database.vectors import generation
from indexer.database.writer import Writer

faiss.omp_set_num_threads(1)
for line in sys.stdin:
    path, left = line.rsplit(maxsplit=1)
    child = os.fork()
    if child == 0:
        left = [int(left)]
        real = durable.sync_folder

        def counted(path):
            real(path)
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        durable.sync_folder = generation.sync_folder = counted
        with Writer.maintain(Path(path)) as writer:
            writer.compact(everything=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def _thinned(path: Path) -> list[str]:
    """A database in whose shards every third image is dead, and the ids of the others."""
    fill(path, COUNT, per_shard=12)
    with opened(path) as writer:
        writer.remove_files(1, [f"{number}.png" for number in range(0, COUNT, 3)])
        writer.settle()
        writer.build_vectors()
        writer.end_run("complete", {})
    return [image_id(number) for number in range(COUNT) if number % 3]


def _check(path: Path, ids: list[str]) -> None:
    assert verify(path) == []
    with DatabaseReader.open(path) as database:
        assert sorted(database.image_ids()) == sorted(ids)
        vectors = database.vectors()
        expected = [vector(number) for number in range(COUNT) if number % 3]
        np.testing.assert_allclose(vectors.stored_vectors(vector_keys(ids)), expected, atol=1e-3)
        for image, row in zip(ids, expected, strict=True):
            assert id_from_key(vectors.search(row, 1)[1][0]) == image


def test_dead_rows_are_dropped_from_shards_and_index(tmp_path: Path) -> None:
    path = tmp_path / "db"
    ids = _thinned(path)
    with DatabaseReader.open(path) as reader:
        held = reader.vectors()
        with opened(path) as writer:
            assert sum(s.rows - s.live for s in writer.ledger.shards.all()) == 20
            assert writer.compact(everything=True) == Compaction(5, 20)
            assert [(s.rows, s.live) for s in writer.ledger.shards.all()] == [(40, 40)]
            assert writer.compact(everything=True) == Compaction(0, 0)
            writer.end_run("complete", {})
        # What a reader has opened stays.
        assert id_from_key(held.search(vector(1), 1)[1][0]) == image_id(1)
        assert len(held.stored_vectors(vector_keys(ids))) == 40
    assert len(list((path / "embeddings").iterdir())) == 2
    generation = current_generation(path / "vectors")
    assert generation is not None
    assert generation.count == 40
    _check(path, ids)


def test_full_shards_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_SMALL_ROWS", 9)
    monkeypatch.setattr(compaction, "_FULL_ROWS", 25)
    path = fill(tmp_path / "db", COUNT, per_shard=12)
    with opened(path) as writer:
        assert writer.compact(everything=True) == Compaction(0, 0)
        writer.remove_files(1, ["14.png", "30.png", "31.png", "32.png", "33.png"])
        writer.settle()
        assert writer.compact(everything=True) == Compaction(2, 5)
        assert [(s.number, s.rows) for s in writer.ledger.shards.all()] == [
            (1, 12), (4, 12), (5, 12), (6, 19),
        ]  # fmt: skip
        writer.build_vectors()
        writer.end_run("complete", {})
    assert verify(path) == []


def test_an_empty_database_stays_one(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 3)
    with opened(path) as writer:
        writer.remove_files(1, [f"{number}.png" for number in range(3)])
        writer.settle()
        assert writer.compact(everything=True) == Compaction(0, 0)
        writer.commit([entry(5)])
        writer.build_vectors()
        writer.end_run("complete", {})
    assert verify(path) == []


@pytest.mark.skipif(os.name != "posix", reason="uses fork and SIGKILL")
def test_killed_after_anything_it_made_durable(tmp_path: Path) -> None:
    ids = _thinned(tmp_path / "calm")
    script = tmp_path / "nursery.py"
    script.write_text(_NURSERY)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        kills = 0
        while True:
            path = tmp_path / f"killed{kills}"
            shutil.copytree(tmp_path / "calm", path)
            process.stdin.write(f"{path} {kills + 1}\n")
            process.stdin.flush()
            code = int(process.stdout.readline())
            _check(path, ids)
            with opened(path) as writer:
                writer.compact(everything=True)
                assert [(s.rows, s.live) for s in writer.ledger.shards.all()] == [(40, 40)]
                writer.end_run("complete", {})
            _check(path, ids)
            assert len(list((path / "embeddings").iterdir())) == 2
            assert len(list((path / "vectors").iterdir())) == 1
            if code == 0:
                break
            assert code == -signal.SIGKILL
            kills += 1
        process.stdin.close()
    assert kills >= 5, "shard, keys, manifest, draft and generation are each made durable"


def test_the_command_tells_what_it_did(tmp_path: Path) -> None:
    path = tmp_path / "db"
    ids = _thinned(path)
    runner = CliRunner()
    answer = runner.invoke(cxrdex, ["compact", "--database", str(path), "--format", "json"])
    assert answer.exit_code == 0, answer.output
    data = json.loads(answer.output)
    assert (data["shards"], data["dropped"]) == (5, 20)
    assert data["freed_bytes"] > 0
    _check(path, ids)
    again = runner.invoke(cxrdex, ["compact", "--database", str(path)])
    assert again.output == "0 dead rows dropped, 0 shards written anew; 0.0 MiB less\n"


def test_status_and_verify_show_the_index(tmp_path: Path) -> None:
    path = fill(tmp_path / "db", 12)
    with opened(path) as writer:
        writer.remove_files(1, ["3.png"])
        writer.settle()
        writer.commit([entry(77), entry(78)])
        writer.end_run("complete", {})
    runner = CliRunner()
    status = ["status", "--database", str(path)]
    found = json.loads(runner.invoke(cxrdex, [*status, "--format", "json"]).output)["vectors"]
    assert {name: found[name] for name in ("kind", "count", "recall", "fresh", "dead")} == {
        "kind": "flat", "count": 12, "recall": 1.0, "fresh": 2, "dead": 1,
    }  # fmt: skip
    assert "flat, 12 images" in (text := runner.invoke(cxrdex, status).output)
    assert "2 not in it yet, 1 dead" in text
    shown = runner.invoke(cxrdex, ["verify", "--database", str(path)]).output
    assert "FAISS: flat, 12 images" in shown
    checked = runner.invoke(cxrdex, ["verify", "--database", str(path), "--format", "json"])
    assert json.loads(checked.output)["vectors"]["count"] == 12
    shutil.rmtree(path / "vectors")
    assert "no FAISS index" in runner.invoke(cxrdex, status).output
    lost = json.loads(runner.invoke(cxrdex, [*status, "--format", "json"]).output)
    assert lost["vectors"] is None
