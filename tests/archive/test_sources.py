from __future__ import annotations

import io
import itertools
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.archive.content import refusal
from indexer.archive.sources.members import Member, open_archive, read_member, read_named
from indexer.errors import FailedImage, SkippedImage

FILES = {"a.dcm": b"first", "sub/b.png": b"second" * 100, "sub/deep/c": b"third", "z.jpg": b""}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2021, 3, 4, 5, 6, 8)), data)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_600_000_000
            archive.addfile(info, io.BytesIO(data))
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {m.name: read_member(m) for m in open_archive(path).members()}


def reason(member: Member) -> str:
    with pytest.raises(FailedImage) as caught:
        read_member(member)
    return caught.value.reason


def test_folder_is_read_recursively_in_a_fixed_order(tmp_path: Path) -> None:
    archive = open_archive(write(tmp_path, FILES))
    members = list(archive.members())
    assert [m.name for m in members] == ["a.dcm", "sub/b.png", "sub/deep/c", "z.jpg"]
    assert archive.kind == "folder"
    assert archive.reports is None
    assert {m.archive for m in members} == {str(tmp_path)}
    assert [m.size for m in members] == [5, 600, 5, 0]
    assert members[0].mtime_ns == (tmp_path / "a.dcm").stat().st_mtime_ns
    assert contents(tmp_path) == FILES
    assert list(archive.members()) == members


def test_listing_is_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"s{i}/x{j}.dcm": b"" for i in range(5) for j in range(2)})
    listed: list[str] = []
    scandir = os.scandir

    def counting(path: str) -> object:
        listed.append(path)
        return scandir(path)

    archive = open_archive(tmp_path)
    monkeypatch.setattr(os, "scandir", counting)
    assert len(list(itertools.islice(archive.members(), 2))) == 2
    assert len(listed) == 2


def test_litter_and_dicomdirs_are_left_out(tmp_path: Path) -> None:
    litter = [".DS_Store", "Thumbs.db", "desktop.ini", ".git/x.dcm", "DICOMDIR", "sub/dicomdir"]
    write(tmp_path, dict.fromkeys([*litter, "__MACOSX/._a.dcm", "a.dcm"], b"x"))
    assert list(contents(tmp_path)) == ["a.dcm"]
    assert list(contents(make_zip(tmp_path / "b.zip", {".x": b"", "./c.dcm": b"1"}))) == ["./c.dcm"]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"])
def test_zip_and_tar(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"export{suffix}"
    mode = {"z": "w:gz", "2": "w:bz2"}.get(suffix[-1], "w:xz" if suffix[-2:] == "xz" else "w")
    if suffix == ".zip":
        make_zip(path, FILES)
    else:
        make_tar(path, FILES, "w:gz" if suffix == ".tgz" else mode)
    archive = open_archive(path)
    assert archive.kind == ("zip" if suffix == ".zip" else "tar")
    members = list(archive.members())
    assert {m.archive for m in members} == {str(path)}
    assert {m.name: m.size for m in members} == {k: len(v) for k, v in FILES.items()}
    assert members[0].mtime_ns == (1614834368 if suffix == ".zip" else 1_600_000_000) * 10**9
    assert contents(path) == FILES
    # In any order, and from nothing but what a ledger stores.
    for member in reversed(members):
        bare = Member(member.archive, member.name, member.size, member.mtime_ns)
        assert bare == member
        assert read_member(pickle.loads(pickle.dumps(member))) == FILES[member.name]
        assert read_member(bare) == FILES[member.name]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_nested_in_a_folder(tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]) -> None:
    suffix = ".ZIP" if make is make_zip else ".tar"
    write(tmp_path, {"a.dcm": b"first", "odd!/z.dcm": b"own"})
    (tmp_path / "sub!").mkdir()
    make(tmp_path / "sub!" / f"e{suffix}", {"x/y.dcm": b"inner"})
    assert contents(tmp_path) == {
        "a.dcm": b"first",
        "odd!/z.dcm": b"own",
        f"sub!/e{suffix}!/x/y.dcm": b"inner",
    }


def test_a_zip_behind_a_program_is_opened(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "films.zip", {"a.dcm": b"first"})
    path.write_bytes(b"#!/bin/sh\n" * 200 + path.read_bytes())
    for archive in (open_archive(tmp_path), open_archive(path)):
        (member,) = archive.members()
        assert read_member(member) == b"first"


def test_what_lies_too_deep_says_so(tmp_path: Path) -> None:
    content = make_zip(tmp_path / "5.zip", {"a.dcm": b"first"}).read_bytes()
    inside = refusal(content, "1.zip!/2.zip!/3.zip!/4.zip!/5.zip")
    assert inside.reason == "not_an_image"
    assert "more others than are opened" in inside.detail
    assert "a name that ends with .zip" in refusal(content, "study").detail


@pytest.mark.parametrize("name", ["bad.zip", "bad.tar", "bad.tar.gz"])
def test_damaged_nested_archive_stands_for_itself(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: b"no archive", "good.dcm": b"1"})
    members = {m.name: m for m in open_archive(tmp_path).members()}
    assert sorted(members) == sorted([name, "good.dcm"])
    assert reason(members[name]) == "unreadable_file"


def test_a_file_is_read_by_its_name_alone(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    make_zip(tmp_path / "one.zip", FILES)
    make_tar(tmp_path / "two.tar", FILES)
    for member in open_archive(tmp_path).members():
        assert read_named(member.archive, member.name) == read_member(member)
    with pytest.raises(FailedImage, match="not in its container"):
        read_named(str(tmp_path), "one.zip!/gone.dcm")
    with pytest.raises(SkippedImage, match="limit"):
        read_named(str(tmp_path), "two.tar!/sub/b.png", most=10)


def test_truncated_tar_gives_what_it_can_and_fails_once(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "w.tar", {f"{i}.dcm": os.urandom(3000) for i in range(9)})
    for name in ("cut.tar", "cut.tar.gz"):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        if name.endswith("gz"):
            data = make_tar(tmp_path / "w.gz", {"0.dcm": os.urandom(9000)}, "w:gz").read_bytes()
        else:
            data = whole.read_bytes()[: 4 * 3584 + 100]
        (folder / name).write_bytes(data[: len(data) * 2 // 3] if name.endswith("gz") else data)
        for path, own in ((folder, name), (folder / name, name)):
            failed = [m for m in open_archive(path).members() if _fails(m)]
            assert own in {m.name for m in failed}
            assert {reason(m) for m in failed} == {"unreadable_file"}
            assert len(failed) <= 2


def _fails(member: Member) -> bool:
    try:
        read_member(member)
    except FailedImage:
        return True
    return False


def test_damaged_header_in_a_tar_is_no_end(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "t.tar", {"a.dcm": b"1" * 512, "b.dcm": b"2" * 512})
    data = bytearray(path.read_bytes())
    data[1024:1034] = b"overwrites"
    path.write_bytes(data)
    members = list(open_archive(path).members())
    assert [m.name for m in members] == ["a.dcm", "t.tar"]
    assert reason(members[1]) == "unreadable_file"


def test_encrypted_zip_says_so(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "e.zip", {"a.dcm": b"secret"})
    data = bytearray(path.read_bytes())
    for signature, flag in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + flag] |= 1
    path.write_bytes(data)
    (member,) = open_archive(path).members()
    with pytest.raises(FailedImage, match="encrypted"):
        read_member(member)
