"""Query files and uploads are decoded under the guards that an archive's files are."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from indexer.archive.decoding import DecodeSettings, decode
from indexer.archive.limits import Limits
from indexer.errors import CxrdexError, FailedImage, ImageError, SkippedImage
from indexer.pipeline import single
from indexer.pipeline.single import FileDecoder
from tests.archive.making import film, make_dicom, make_picture, to_bytes

SETTINGS = DecodeSettings(
    64, True, b"k" * 32, limits=Limits(file_bytes=2**22, pixels=10**6, seconds=20)
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[FileDecoder]:
    with FileDecoder(SETTINGS) as found:
        yield found


def _reason(decoder: FileDecoder, source: Path | bytes, name: str = "") -> str:
    with pytest.raises(ImageError) as caught:
        decoder.decode(source, name)
    return caught.value.reason


def test_a_file_and_an_upload_give_what_decode_gives(decoder: FileDecoder, tmp_path: Path) -> None:
    data = to_bytes(make_dicom(film()))
    path = tmp_path / "film.dcm"
    path.write_bytes(data)
    wanted = decode(data, "film.dcm", SETTINGS)
    for found in (decoder.decode(path), decoder.decode(data, "film.dcm")):
        assert found.image_id == wanted.image_id
        assert found.report_keys == wanted.report_keys
        assert np.array_equal(found.canvas, wanted.canvas)


def packed(kind: str, *names: str) -> bytes:
    """A zip or tar of one film under some names."""
    data, buffer = to_bytes(make_dicom(film())), io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, data)
    else:
        with tarfile.open(fileobj=buffer, mode=kind) as archive:  # type: ignore[call-overload]
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "w", "w:gz", "w:xz"])
def test_the_one_film_of_a_zip_or_tar_is_read(
    decoder: FileDecoder, tmp_path: Path, kind: str
) -> None:
    wanted = decode(to_bytes(make_dicom(film())), "film.dcm", SETTINGS)
    path = tmp_path / "film.dcm"
    path.write_bytes(packed(kind, "a/film.dcm", "a/Thumbs.db", ".hidden"))
    assert decoder.decode(path).image_id == wanted.image_id
    assert decoder.decode(path.read_bytes(), "an upload").image_id == wanted.image_id
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner", path.read_bytes())
    assert decoder.decode(buffer.getvalue(), "a.zip").image_id == wanted.image_id


@pytest.mark.parametrize("names", [(), ("a.dcm", "b.dcm")])
def test_of_several_films_in_a_zip_or_tar_none_is_chosen(
    decoder: FileDecoder, names: tuple[str, ...]
) -> None:
    for kind in ("zip", "w"):
        if kind == "w" and not names:
            continue
        with pytest.raises(SkippedImage, match="one film is asked for") as caught:
            decoder.decode(packed(kind, *names), "films.zip")
        assert caught.value.reason == "not_an_image"


def test_a_packed_query_film_is_read_within_the_limits(decoder: FileDecoder) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(2**23))
    assert _reason(decoder, buffer.getvalue(), "a.zip") == "too_large"
    assert _reason(decoder, packed("zip", "a.dcm")[:-40], "a.zip") == "unreadable_file"


def test_nothing_but_regular_files_is_read(decoder: FileDecoder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    started = time.monotonic()
    assert _reason(decoder, tmp_path / "pipe.dcm") == "unreadable_file"
    assert _reason(decoder, Path("/dev/zero")) == "unreadable_file"
    assert _reason(decoder, tmp_path) == "unreadable_file"
    assert _reason(decoder, tmp_path / "gone.dcm") == "missing_file"
    assert time.monotonic() - started < 10


def test_sizes_are_limited(decoder: FileDecoder, tmp_path: Path) -> None:
    large = tmp_path / "large.dcm"
    with large.open("wb") as file:
        file.truncate(2**40)
    assert _reason(decoder, large) == "too_large"
    assert _reason(decoder, bytes(2**22 + 1)) == "too_large"
    assert _reason(decoder, make_picture(np.zeros((2000, 2000), np.uint8), "PNG")) == "too_large"


def test_what_is_no_image_says_so(decoder: FileDecoder) -> None:
    assert _reason(decoder, b"Dear colleague", "letter.txt") == "not_an_image"
    assert _reason(decoder, b"Dear colleague", "letter.dcm") == "not_dicom"


def test_the_worker_is_kept(tmp_path: Path) -> None:
    with FileDecoder(SETTINGS) as decoder:
        decoder.warm()
        pids = set()
        for seed in range(3):
            decoder.decode(make_picture(film(bits=8, seed=seed), "PNG"))
            (worker,) = decoder._idle
            pids.add(worker.process.pid)
        assert len(pids) == 1


def test_none_is_started_beside_as_many_as_there_may_be() -> None:
    with FileDecoder(SETTINGS, workers=1) as decoder:
        with decoder._free:
            decoder.warm()
            assert not decoder._idle
        decoder.warm()
        decoder.warm()
        assert len(decoder._idle) == 1


def test_a_worker_that_was_killed_is_replaced() -> None:
    data = make_picture(film(bits=8), "PNG")
    with FileDecoder(SETTINGS) as decoder:
        wanted = decoder.decode(data)
        pid = decoder._idle[0].process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert decoder.decode(data).image_id == wanted.image_id


def _obey(settings: DecodeSettings, task: tuple[bytes | str, str]) -> object:
    match task[1]:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            time.sleep(600)
        case "memory":
            bytearray(2**33)
        case "raise":
            raise ZeroDivisionError
    return task[1]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("crash", "decoder_crashed"),
        ("hang", "timed_out"),
        ("memory", "too_large"),
        ("raise", "decoder_crashed"),
    ],
)
def test_a_misbehaving_file_costs_itself_alone(
    monkeypatch: pytest.MonkeyPatch, order: str, reason: str
) -> None:
    monkeypatch.setattr(single, "_decode", _obey)
    with FileDecoder(DecodeSettings(limits=Limits(seconds=1.0))) as decoder:
        assert _reason(decoder, b"x", order) == reason
        answer: object = decoder.decode(b"x", "good")
        assert answer == "good"


def test_threads_share_a_decoder() -> None:
    films = [make_picture(film(bits=8, seed=seed), "PNG") for seed in range(8)]
    wanted = [decode(data, "", SETTINGS).image_id for data in films]
    with FileDecoder(SETTINGS, workers=2) as decoder, ThreadPoolExecutor(4) as threads:
        found = [image.image_id for image in threads.map(decoder.decode, films * 3)]
        assert len(decoder._idle) <= 2
    assert found == wanted * 3
    assert threading.active_count() < 20


def test_workers_that_cannot_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda: b"false")
    with FileDecoder(SETTINGS) as decoder, pytest.raises(CxrdexError, match="cannot be started"):
        decoder.decode(b"x")


def test_errors_keep_their_type(decoder: FileDecoder) -> None:
    with pytest.raises(SkippedImage):
        decoder.decode(to_bytes(make_dicom(film(), Modality="CT")))
    with pytest.raises(FailedImage):
        decoder.decode(to_bytes(make_dicom(film()))[:-50])


def test_a_process_that_forgets_to_close_its_decoder_ends_all_the_same(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from indexer.archive.decoding import DecodeSettings\n"
        "from indexer.errors import SkippedImage\n"
        "from indexer.pipeline.single import FileDecoder\n"
        "if __name__ == '__main__':\n"
        "    decoder = FileDecoder(DecodeSettings())\n"
        "    try:\n"
        "        decoder.decode(b'a letter')\n"
        "    except SkippedImage as error:\n"
        "        print(error.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "not_an_image\n"
