"""Archives that are damaged, change or are linked."""

from __future__ import annotations

import os
import socket
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.archive.sources.members import Member, open_archive, read_member
from indexer.errors import ArchiveError, FailedImage, SkippedImage
from tests.archive.test_sources import contents, make_tar, make_zip, reason, write


def make_dicomdir(folder: Path, ids: list[list[str]]) -> Path:
    from pydicom import config, dcmwrite
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

    directory = Dataset()
    directory.FileSetID = "TEST"
    records = []
    for kind, file_id in [("PATIENT", None), *(("IMAGE", i) for i in ids)]:
        record = Dataset()
        record.DirectoryRecordType = kind
        if file_id:
            element = DataElement("ReferencedFileID", "CS", file_id, validation_mode=config.IGNORE)
            record.add(element)
        records.append(record)
    directory.DirectoryRecordSequence = records
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(folder / "DICOMDIR", directory, enforce_file_format=True)
    return folder / "DICOMDIR"


def test_damaged_data_in_a_zip_fails(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "e.zip", {"a.dcm": bytes(range(256)) * 9})
    data = bytearray(path.read_bytes())
    data[60] ^= 255
    path.write_bytes(data)
    (member,) = open_archive(path).members()
    assert reason(member) == "unreadable_file"


def test_many_archives_need_few_open_files(tmp_path: Path) -> None:
    for i in range(12):
        make_zip(tmp_path / f"{i:02d}.zip", {"x.dcm": b"%d" % i})
    members = list(open_archive(tmp_path).members())
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert [read_member(m) for m in members * 2] == [b"%d" % i for i in range(12)] * 2
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 4


def test_a_changed_zip_is_opened_anew(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "e.zip", {"a.dcm": b"old"})
    assert contents(path) == {"a.dcm": b"old"}
    make_zip(path, {"a.dcm": b"newer"})
    assert contents(path) == {"a.dcm": b"newer"}


def test_links(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"o.dcm": b"out"})
    inside = write(tmp_path / "in", {"sub/a.dcm": b"1"})
    (inside / "loop").symlink_to(inside)
    (inside / "up").symlink_to(tmp_path)
    (inside / "sub" / "same").symlink_to(inside / "sub")
    (inside / "far").symlink_to(outside)
    (inside / "far2").symlink_to(outside)
    (outside / "back").symlink_to(outside)
    (inside / "file.dcm").symlink_to(outside / "o.dcm")
    (inside / "gone.dcm").symlink_to(tmp_path / "nowhere")
    members = {m.name: m for m in open_archive(inside).members()}
    names = [n for n in members if n.endswith("o.dcm") or "a.dcm" in n]
    assert len(names) == 2
    assert read_member(members["file.dcm"]) == b"out"
    assert members["gone.dcm"].size == -1
    assert reason(members["gone.dcm"]) == "missing_file"
    assert len(members) == 4


def test_what_is_no_file_is_counted_but_never_opened(tmp_path: Path) -> None:
    os.mkfifo(write(tmp_path, {"a.dcm": b"1"}) / "pipe")
    os.symlink("/dev/zero", tmp_path / "zero.dcm")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "z.sock"))
        members = {m.name: m for m in open_archive(tmp_path).members()}
        assert list(members) == ["a.dcm", "pipe", "z.sock", "zero.dcm"]
        for name in ("pipe", "z.sock", "zero.dcm"):
            with pytest.raises(FailedImage, match="a pipe, device or socket"):
                read_member(members[name])


def test_unreadable_subfolder_is_counted_and_does_not_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a/1.dcm": b"1", "b/2.dcm": b"2", "c/3.dcm": b"3"})
    scandir = os.scandir

    def refusing(path: str) -> object:
        if path.rstrip("/").endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    members = list(open_archive(tmp_path).members())
    assert [(m.name, m.size) for m in members] == [("a/1.dcm", 1), ("b", -1), ("c/3.dcm", 1)]
    assert reason(members[1]) == "unreadable_file"


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.dcm"
    with open(raw, "wb") as file:
        file.write(b"latin")
    make_zip(tmp_path / "ä.zip", {"ü.dcm": b"inner"})
    members = list(open_archive(tmp_path).members())
    assert [m.name.encode() for m in members] == [b"caf\\xe9.dcm", "ä.zip!/ü.dcm".encode()]
    assert [read_member(m) for m in members] == [b"latin", b"inner"]


def test_a_vanished_file_is_missing(tmp_path: Path) -> None:
    (member,) = open_archive(write(tmp_path, {"a.dcm": b"1"})).members()
    (tmp_path / "a.dcm").unlink()
    assert reason(member) == "missing_file"
    path = make_zip(tmp_path / "e.zip", {"a.dcm": b"1"})
    assert reason(Member(str(path), "b.dcm", 1, 0)) == "missing_file"
    path = make_tar(tmp_path / "e.tar", {"a.dcm": b"1"})
    assert reason(Member(str(path), "b.dcm", 1, 0)) == "missing_file"


def test_what_is_said_of_a_failure_names_no_file(tmp_path: Path) -> None:
    with pytest.raises(FailedImage) as caught:
        read_member(Member(str(tmp_path), "Doe^John.dcm", 1, 0))
    assert "Doe" not in str(caught.value)


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "disk.iso").open("wb") as file:
        file.truncate(2**30 + 1)
    (member,) = open_archive(tmp_path).members()
    with pytest.raises(SkippedImage, match="512 MiB"):
        read_member(member)


def test_dicomdir(tmp_path: Path) -> None:
    write(tmp_path, {"images/ct/im1": b"one", "IMAGES/IM2": b"two", "stray.dcm": b"3"})
    ids = [["IMAGES", "CT", "IM1"], ["IMAGES", "IM2"], ["IMAGES", "IM3"], ["..", "stray.dcm"]]
    path = make_dicomdir(tmp_path, ids)
    archive = open_archive(path)
    assert archive.kind == "dicomdir"
    members = list(archive.members())
    assert members[1].name == "IMAGES/IM2"
    assert read_member(members[1]) == b"two"
    assert [m.size for m in members[1:]] == [3, -1, -1]
    # An id that leads out of the medium is not followed.
    assert [reason(m) for m in members[2:]] == ["missing_file", "unreadable_file"]
    assert all(m.archive == str(path) for m in members)


def test_dicomdir_names_match_whatever_their_case(tmp_path: Path) -> None:
    write(tmp_path, {"dicom/st1/im1.dcm": b"one"})
    path = make_dicomdir(tmp_path, [["DICOM", "ST1", "IM1.DCM"]])
    (member,) = open_archive(path).members()
    assert member.name == "dicom/st1/im1.dcm"
    assert read_member(member) == b"one"


def test_open_i_layout(tmp_path: Path) -> None:
    files = {"images/CXR1_IM-1-1.png": b"p", "ecgen-radiology/1.xml": b"<x/>", "notes.xml": b"n"}
    write(tmp_path, files)
    archive = open_archive(tmp_path)
    assert archive.reports == tmp_path / "ecgen-radiology"
    assert [m.name for m in archive.members()] == ["images/CXR1_IM-1-1.png", "notes.xml"]
    assert open_archive(tmp_path / "images").reports is None


def test_named_reports_inside_an_archive_are_no_images(tmp_path: Path) -> None:
    write(tmp_path, {"a.dcm": b"1", "texts/a.txt": b"t", "texts/b.dcm": b"2", "c.txt": b"3"})
    archive = open_archive(tmp_path, tmp_path / "texts")
    assert [m.name for m in archive.members()] == ["a.dcm", "c.txt", "texts/b.dcm"]
    archive = open_archive(tmp_path, tmp_path)
    assert [m.name for m in archive.members()] == ["a.dcm", "texts/b.dcm"]
    outside = open_archive(tmp_path / "texts", tmp_path / "elsewhere")
    assert [m.name for m in outside.members()] == ["a.txt", "b.dcm"]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("x.dcm", b"anything"),
        ("x", bytes(128) + b"DICM"),
        ("x", b"\x08\0\x05\0CS\x0a\0ISO_IR 100"),
        ("x", b"\x89PNG\r\n\x1a\n"),
        ("x", b"\xff\xd8\xff\xe0"),
        ("x", b"RIFF\1\0\0\0WEBPVP8 "),
        ("x", b"BM\1\2\3\4\0\0\0\0"),
    ],
)
def test_one_picture_is_an_archive_of_one(tmp_path: Path, name: str, head: bytes) -> None:
    write(tmp_path, {name: head})
    archive = open_archive(tmp_path / name)
    assert archive.kind == "folder"
    (member,) = archive.members()
    assert (member.archive, member.name, member.size) == (str(tmp_path / name), name, len(head))
    assert read_member(member) == head


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("gone", None, "No such file"),
        ("empty.dcm", b"", "empty"),
        ("notes.txt", b"BM was here, just text", "not a folder, zip, tar, DICOMDIR"),
        ("x.zip", b"PK\3\4 and then nothing", "no readable zip"),
        ("x.zip", b"<html>not found</html>", "no readable zip"),
        ("x.tgz", b"\x1f\x8b nothing", "no readable tar"),
        ("DICOMDIR", b"no DICOM at all", "not a readable DICOMDIR"),
    ],
)
def test_what_is_no_archive_is_named(
    tmp_path: Path, name: str, data: bytes | None, says: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ArchiveError) as caught:
        open_archive(tmp_path / name)
    message = str(caught.value)
    assert says in message
    assert str(tmp_path / name) in message
    assert "\n" not in message


def test_no_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(path: str) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(ArchiveError, match="Permission denied"):
        open_archive(tmp_path)


@settings(max_examples=60, deadline=None)
@given(
    files=st.dictionaries(
        st.from_regex(r"([a-c]!?/){0,2}[a-d]{1,3}(\.dcm)?", fullmatch=True),
        st.binary(max_size=40),
        max_size=6,
    )
)
def test_every_kind_gives_the_same_files(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folders = {os.path.dirname(n) for n in files} | {
        os.path.dirname(os.path.dirname(n)) for n in files
    }
    files = {n: d for n, d in files.items() if n not in folders}
    folder = tmp_path_factory.mktemp("x")
    assert contents(write(folder / "plain", files) if files else folder) == files
    assert contents(make_tar(folder / "t.tgz", files, "w:gz")) == files
    assert contents(make_zip(folder / "z.zip", files)) == files
    nested = folder / "nested"
    nested.mkdir()
    make_zip(nested / "n.zip", files or {"a": b""})
    files = files or {"a": b""}
    assert contents(nested) == {f"n.zip!/{name}": data for name, data in files.items()}


def _as_member(path: Path) -> Member:
    return next(iter(open_archive(path).members()))


def test_a_read_takes_no_memory_for_the_limit(tmp_path: Path) -> None:
    (tmp_path / "small.dcm").write_bytes(b"x" * 1000)
    member = _as_member(tmp_path / "small.dcm")
    tracemalloc.start()
    try:
        assert len(read_member(member, 2**28)) == 1000
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_file_that_grows_is_read_whole_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "growing.dcm").write_bytes(bytes(range(200)))
    member = _as_member(tmp_path / "growing.dcm")

    def earlier(handle: int) -> SimpleNamespace:
        status = stat_of(handle)
        return SimpleNamespace(st_mode=status.st_mode, st_size=50, st_blksize=512)

    stat_of = os.fstat
    monkeypatch.setattr("indexer.archive.sources.members.os.fstat", earlier)
    assert read_member(member) == bytes(range(200))
    with pytest.raises(SkippedImage, match="over"):
        read_member(replace(member, size=50), 199)
