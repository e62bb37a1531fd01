"""Archives behind an address: S3 and a plain server of the web."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.archive.id_key import load_key
from indexer.archive.sources.members import open_archive, read_member, read_named
from indexer.archive.sources.remote import is_address
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.database.reader import DatabaseReader
from indexer.database.upkeep.verify import verify
from indexer.errors import ArchiveError, ArchiveUnavailable, FailedImage, HostMismatch, SkippedImage
from indexer.pipeline.options import FileProcessing, FileSelection
from indexer.pipeline.remote.host import check, versions
from indexer.pipeline.remote.starting import expectation
from indexer.pipeline.run import index
from tests.archive.remote.conftest import Bucket
from tests.archive.remote.s3_server import KEY, SECRET, seaweedfs
from tests.pipeline.making import write_picture, write_pictures

pytest.importorskip("s3fs")


def test_a_bucket_is_read_as_a_folder(
    s3: Bucket, tiny: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same files give the same images, a second run reads nothing, and a change is seen."""
    folder = write_pictures(tmp_path / "archive", 5)
    write_picture(folder / "deep" / "er" / "film.png", 77)
    (folder / "broken.dcm").write_text("no DICOM")
    (folder / ".hidden.png").write_bytes(b"litter")
    address = s3.fill(folder, "x-rays/2024")
    compute = Compute(tiny.path, "cpu", "torch")
    caplog.set_level(logging.DEBUG, "indexer")
    index([folder], tmp_path / "near", compute=compute, processing=FileProcessing(workers=1))
    first = index(
        [address], tmp_path / "far", compute=compute, processing=FileProcessing(workers=1)
    )
    assert (first.total, first.done, first.reasons["failed"]) == (7, 6, {"not_dicom": 1})
    assert verify(tmp_path / "far") == []
    with (
        DatabaseReader.open(tmp_path / "near") as near,
        DatabaseReader.open(tmp_path / "far") as far,
    ):
        assert set(near.image_ids()) == set(far.image_ids())
        readings = [{r.image_id: r.reading for r in db.ledger.images} for db in (near, far)]
        assert readings[0] == readings[1]
        assert far.ledger.files.archive_paths() == [address]
        assert {f.name for f in near.ledger.files.records()} == {
            f.name for f in far.ledger.files.records()
        }
    again = index(
        [address + "/"], tmp_path / "far", compute=compute, processing=FileProcessing(workers=1)
    )
    assert (again.unchanged, again.done) == (7, 0)
    write_picture(folder / "001.png", 500)
    s3.fill(folder, "x-rays/2024")
    s3.client.delete_object(Bucket=s3.name, Key="x-rays/2024/002.png")
    s3.client.delete_object(Bucket=s3.name, Key="x-rays/2024/.hidden.png")
    changed = index(
        [address],
        tmp_path / "far",
        compute=compute,
        selection=FileSelection(prune=True, prune_limit=0.5),
        processing=FileProcessing(workers=1),
    )
    assert (changed.pruned, changed.total) == (1, 6)
    # Neither what was logged nor the ledger holds a login.
    assert SECRET not in caplog.text
    assert KEY not in caplog.text
    for file in (tmp_path / "far").rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes()


def test_an_interrupted_run_goes_on(s3: Bucket, tiny: Bundle, tmp_path: Path) -> None:
    address = s3.fill(write_pictures(tmp_path / "archive", 6), "films")
    compute = Compute(tiny.path, "cpu", "torch")
    part = index(
        [address],
        tmp_path / "db",
        compute=compute,
        selection=FileSelection(limit=2),
        processing=FileProcessing(workers=1),
    )
    assert (part.done, part.left) == (2, 4)
    rest = index([address], tmp_path / "db", compute=compute, processing=FileProcessing(workers=1))
    assert (rest.done, rest.unchanged) == (4, 2)


def test_limits_and_what_is_gone(s3: Bucket, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "archive", 2)
    address = s3.fill(folder, "films")
    members = list(open_archive(address).members())
    assert [member.name for member in members] == ["000.png", "001.png"]
    assert members[0].size == (folder / "000.png").stat().st_size
    assert read_member(members[0]) == (folder / "000.png").read_bytes()
    assert read_named(address, "001.png") == (folder / "001.png").read_bytes()
    with pytest.raises(SkippedImage, match="the limit for a file"):
        read_member(members[0], 100)
    with pytest.raises(SkippedImage, match="the limit for a file"):
        read_named(address, "001.png", 100)
    s3.client.delete_object(Bucket=s3.name, Key="films/000.png")
    with pytest.raises(FailedImage) as caught:
        read_member(members[0])
    assert caught.value.reason == "missing_file"
    # One file is an archive, too.
    (single,) = open_archive(f"{address}/001.png").members()
    assert (single.name, read_member(single)) == ("001.png", (folder / "001.png").read_bytes())


@pytest.mark.skipif(seaweedfs() is None, reason="SeaweedFS is not installed; moto takes any login")
def test_a_wrong_login_is_refused(s3: Bucket, tmp_path: Path) -> None:
    """And, should it go wrong while files are read, is no fault of a file."""
    address = s3.fill(write_pictures(tmp_path / "archive", 1), "films")
    code = (
        "from indexer.archive.sources.members import open_archive, read_named\n"
        "from indexer.errors import ArchiveError, ArchiveUnavailable\n"
        f"try: open_archive({address!r})\n"
        "except ArchiveError as error: print(error)\n"
        f"try: read_named({address!r}, '000.png')\n"
        "except ArchiveUnavailable as error: print(error)"
    )
    wrong = SECRET[::-1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "AWS_SECRET_ACCESS_KEY": wrong},
    )  # fmt: skip
    said = f"archive {address}: permission denied: check the login of the service"
    assert done.stdout.splitlines() == [said, said]
    assert wrong not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://ann:geheim@host/films", "holds a login"),
        ("s3://key:geheim@bucket/films", "holds a login"),
        ("https://host/films?X-Amz-Signature=geheim", "holds a login or a query"),
        ("file:///etc", "no address of s3://"),
        ("memory://films", "no address of s3://"),
        ("s3://", "no address of s3://"),
        ("https://host/a.zip::s3://bucket", "no address of s3://"),
        ("s3://no-such-bucket-here/films", "nothing is there"),
        # Nobody listens there.
        ("http://127.0.0.1:9/films", r"the server cannot be asked \(ClientConnectorError\)"),
        ("https://nowhere.invalid/films", "the server cannot be asked"),
    ],
)
def test_refused(s3: Bucket, tmp_path: Path, address: str, words: str) -> None:
    assert is_address(address)
    with pytest.raises(ArchiveError, match=words) as caught:
        open_archive(address)
    assert "geheim" not in str(caught.value)
    call = ["index", address, "--database", str(tmp_path / "db"), "--quiet"]
    answer = CliRunner().invoke(cxrdex, call)
    assert answer.exit_code == 3
    assert "geheim" not in answer.output
    assert not (tmp_path / "db").exists()


@pytest.fixture
def refused() -> set[str]:
    """What `web` gives nobody, by how its path begins."""
    return set()


@pytest.fixture
def web(tmp_path: Path, refused: set[str]) -> Iterator[str]:
    """Address of a folder that a server of the web lists."""
    write_pictures(tmp_path / "www" / "films", 3)

    class Quiet(SimpleHTTPRequestHandler):
        def send_head(self) -> Any:
            if any(self.path.startswith(start) for start in refused):
                self.send_error(401)
                return None
            return super().send_head()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/films"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_of_the_web(web: str, tiny: Bundle, tmp_path: Path) -> None:
    compute = Compute(tiny.path, "cpu", "torch")
    summary = index([web], tmp_path / "db", compute=compute, processing=FileProcessing(workers=1))
    assert (summary.total, summary.done) == (3, 3)
    assert verify(tmp_path / "db") == []
    again = index([web], tmp_path / "db", compute=compute, processing=FileProcessing(workers=1))
    assert (again.unchanged, again.done) == (3, 0)
    (single,) = open_archive(f"{web}/001.png").members()
    assert read_member(single) == (tmp_path / "www" / "films" / "001.png").read_bytes()


def test_a_refused_login_is_no_fault_of_a_file(
    web: str, refused: set[str], tiny: Bundle, tmp_path: Path
) -> None:
    first, second, _ = open_archive(web).members()
    refused.add("/films/000.png")
    with pytest.raises(FailedImage):
        read_member(first)
    assert read_member(second)
    refused.add("/films")
    with pytest.raises(ArchiveUnavailable, match="this login may not see it"):
        read_member(second)
    refused.clear()
    # What opens addresses is missing: gs:// needs gcsfs.
    code = (
        "import sys; sys.modules['gcsfs'] = None\n"
        "from indexer.archive.sources.members import read_named\n"
        "from indexer.errors import ArchiveUnavailable\n"
        "try: read_named('gs://bucket/films', '000.png')\n"
        "except ArchiveUnavailable as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'gs:// needs gcsfs, which is not installed: pip install "cxrdex[remote]"' in done.stdout


def test_a_host_that_cannot_open_an_address_is_refused(
    web: str, refused: set[str], tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a message before anything is read, as where a path is missing."""
    archives = [open_archive(web)]
    expected = expectation(load_key(), tiny, Compute(tiny.path, "cpu"), archives)
    assert expected.places == (web,)
    assert {"fsspec", "s3fs"} <= expected.versions.keys() - versions().keys()
    check(expected)
    refused.add("/films")
    with pytest.raises(HostMismatch, match=r"cannot be opened there: .* the login in its environ"):
        check(expected)
    refused.clear()
    other = replace(expected, versions={**expected.versions, "s3fs": "2020.1"})
    with pytest.raises(HostMismatch, match=r"s3fs is .+ there and 2020\.1 here"):
        check(other)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(HostMismatch, match="gs:// needs gcsfs, which is not installed"):
        check(replace(expected, places=("gs://bucket/films",)))


def test_without_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from indexer.archive.sources.members import open_archive\n"
        "from indexer.errors import MissingExtraError\n"
        "try: open_archive('s3://bucket/films')\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "cxrdex[remote]"' in done.stdout


def test_a_server_without_tls_is_not_said_to_be_empty(web: str) -> None:
    with pytest.raises(ArchiveError, match="the server cannot be asked"):
        open_archive(web.replace("http://", "https://"))
    with pytest.raises(ArchiveError, match="nothing is there, or this login may not see it"):
        open_archive(f"{web}/nothing")
