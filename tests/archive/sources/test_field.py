"""Containers as people send them: in each other, without suffix, names given twice."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from indexer.archive.sources import containers
from indexer.archive.sources.members import open_archive, read_member
from indexer.errors import FailedImage, SkippedImage
from tests.archive.making import film, make_dicom, to_bytes

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def contents(path: Path) -> dict[str, bytes]:
    return {m.name: read_member(m) for m in open_archive(path).members()}


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "."), data)
    return buffer.getvalue()


def tarred(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def reason(path: Path) -> tuple[str, str]:
    (member,) = open_archive(path).members()
    with pytest.raises((FailedImage, SkippedImage)) as caught:
        read_member(member)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("outer", [zipped, tarred])
@pytest.mark.parametrize("inner", [zipped, tarred])
def test_containers_in_containers(
    tmp_path: Path, outer: Callable[..., bytes], inner: Callable[..., bytes]
) -> None:
    suffix = {zipped: "zip", tarred: "tar"}
    name = f"p1__{suffix[inner]}"
    data = outer(**{name: inner(IM1=b"one", IM2=b"two"), "plain": b"three"})
    whole = tmp_path / f"export.{suffix[outer]}"
    whole.write_bytes(data)
    inside = name.replace("__", ".")
    expected = {f"{inside}!/IM1": b"one", f"{inside}!/IM2": b"two", "plain": b"three"}
    assert contents(whole) == expected
    assert contents(tmp_path) == {f"{whole.name}!/{n}": d for n, d in expected.items()}


def test_depth_is_limited(tmp_path: Path) -> None:
    data = b"film"
    for _ in range(8):
        data = zipped(a__zip=data) if data != b"film" else zipped(film=data)
    (tmp_path / "a.zip").write_bytes(data)
    (name,) = contents(tmp_path)
    assert name.count("!/") == 4
    assert name.endswith("a.zip"), "the fifth stands for itself"


def test_a_damaged_one_stands_for_itself(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(broken__zip=b"PK\3\4 no", fine=b"film"))
    found = contents(tmp_path)
    assert set(found) == {"a.zip!/broken.zip", "a.zip!/fine"}


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("kind", ["file", "zip"])
def test_one_packed_file(tmp_path: Path, suffix: str, kind: str) -> None:
    data = to_bytes(make_dicom(film()))
    name = f"film.dcm{suffix}"
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(name, PACKERS[suffix](data))
    else:
        (tmp_path / name).write_bytes(PACKERS[suffix](data))
        assert contents(tmp_path / name) == {name: data}, "named as an archive"
    assert list(contents(tmp_path).values()) == [data]


@pytest.mark.parametrize("suffix", PACKERS)
def test_one_packed_file_that_is_damaged_or_too_large(tmp_path: Path, suffix: str) -> None:
    packed = PACKERS[suffix](os.urandom(1000) + bytes(2**20))
    path = tmp_path / f"film.dcm{suffix}"
    path.write_bytes(packed[:600])
    found, detail = reason(tmp_path)
    assert found == "unreadable_file"
    assert "packed" in detail
    path.write_bytes(packed)
    (member,) = open_archive(tmp_path).members()
    with pytest.raises(SkippedImage) as caught:
        read_member(member, 2**19)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize("name", ["study", "1.2.840.7", "STUDY.0001", "20190405"])
@pytest.mark.parametrize("kind", [zipped, tarred])
def test_containers_without_suffix(tmp_path: Path, name: str, kind: Callable[..., bytes]) -> None:
    (tmp_path / name).write_bytes(kind(IM1=b"one"))
    expected = b"one" if kind is zipped else kind(IM1=b"one")
    found = contents(tmp_path)
    if kind is zipped:
        assert found == {f"{name}!/IM1": expected}
    else:
        assert found == {f"{name}!/IM1": b"one"}


def test_names_given_twice(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in (("IM1", b"1"), ("IM2", b"2"), ("im1", b"3"), ("IM3", b"4")):
            archive.writestr(name, data)
    same = buffer.getvalue().replace(b"IM2", b"IM1").replace(b"IM3", b"IM1")
    (tmp_path / "a.zip").write_bytes(same)
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        for data in (b"1", b"2"):
            info = tarfile.TarInfo("IM1")
            info.size = 1
            tar.addfile(info, io.BytesIO(data))
    assert contents(tmp_path) == {
        "a.zip!/IM1": b"1",
        "a.zip!/IM1 (2)": b"2",
        "a.zip!/IM1 (3)": b"4",
        "a.zip!/im1": b"3",
        "b.tar!/IM1": b"1",
        "b.tar!/IM1 (2)": b"2",
    }


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_links_and_devices_in_a_tar_are_counted(
    tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("IM1")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"one"))
        for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE):
            # A name that would be opened as a container if it were a file.
            link = tarfile.TarInfo(f"{kind.decode()}.tar")
            link.type, link.linkname = kind, "IM1"
            tar.addfile(link)
    (tmp_path / "a.tar").write_bytes(packed(buffer.getvalue()))
    first, *others = open_archive(tmp_path).members()
    assert read_member(first) == b"one"
    assert len(others) == 3
    for member in others:
        with pytest.raises(SkippedImage, match="a link or device in a tar") as caught:
            read_member(member)
        assert caught.value.reason == "not_an_image"


def test_an_empty_container_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped())
    found, detail = reason(tmp_path)
    assert found == "unreadable_file"
    assert "empty" in detail


@pytest.mark.parametrize(("number", "method"), [(9, "Deflate64"), (93, "Zstandard"), (77, "77")])
def test_methods_that_are_not_read_are_named(tmp_path: Path, number: int, method: str) -> None:
    data = bytearray(zipped(IM1=b"one" * 100))
    for mark, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        at = data.index(mark) + place
        data[at : at + 2] = number.to_bytes(2, "little")
    (tmp_path / "a.zip").write_bytes(data)
    found, detail = reason(tmp_path)
    assert found == "unreadable_file"
    assert method in detail
    assert "Deflate" in detail


def test_folders_called_like_litter_are_listed(tmp_path: Path) -> None:
    for name in ("DICOMDIR", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "IM1").write_bytes(b"1")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "DICOMDIR").write_bytes(b"x")
    (tmp_path / "a.zip").write_bytes(zipped(**{"DICOMDIR/IM1": b"1", "b/DICOMDIR": b"2"}))
    assert set(contents(tmp_path)) == {
        "DICOMDIR/IM1",
        "Thumbs.db/IM1",
        "desktop.ini/IM1",
        "a.zip!/DICOMDIR/IM1",
    }


def test_a_link_to_itself_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "IM1").write_bytes(b"1")
    (tmp_path / "me").symlink_to("me")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "me").symlink_to("me")
    members = {m.name: m for m in open_archive(tmp_path).members()}
    assert set(members) == {"IM1", "me", "sub/me"}
    assert read_member(members["IM1"]) == b"1"
    with pytest.raises(FailedImage) as caught:
        read_member(members["me"])
    assert "symbolic links" in caught.value.detail


def test_an_error_of_one_entry_costs_that_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"1")
    scan = os.scandir

    class Listing:
        """A folder whose listing breaks off, and of which one entry cannot be told."""

        def __init__(self, path: Any) -> None:
            self._entries = sorted(scan(path), key=lambda e: e.name)

        def __enter__(self) -> Listing:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __iter__(self) -> Any:
            yield from self._entries[:2]
            raise OSError(5, "Input/output error")

    archive = open_archive(tmp_path)
    monkeypatch.setattr("os.scandir", Listing)
    names = [m.name for m in archive.members()]
    assert names == [tmp_path.name, "a", "b"], "what is missing is counted, too"


@pytest.mark.parametrize("suffix", [".dcm", ";1", ".DCM;1"])
def test_a_dicomdir_finds_files_that_got_a_suffix(tmp_path: Path, suffix: str) -> None:
    files = FileSet()
    dataset: Dataset = make_dicom(film(), PatientID="1", StudyID="1", SeriesNumber="1")
    dataset.InstanceNumber, dataset.StudyTime = "1", "120000"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    files.add(dataset)
    files.write(tmp_path / "disc")
    # pydicom leaves it to the garbage collector, which warns in the midst of another test.
    files._stage["t"].cleanup()
    (path,) = [p for p in (tmp_path / "disc").rglob("*") if p.is_file() and p.name != "DICOMDIR"]
    path.rename(path.with_name(path.name + suffix))
    (member,) = open_archive(tmp_path / "disc" / "DICOMDIR").members()
    assert member.size > 0
    assert read_member(member)


def test_inner_containers_are_not_held_by_the_dozen(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(
        zipped(**{f"p{n}__zip": zipped(IM1=bytes([n])) for n in range(9)})
    )
    assert len(contents(tmp_path)) == 9
    assert sum(1 for key in containers._readers if key[2]) == 1
