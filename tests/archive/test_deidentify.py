from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.archive.deidentify import (
    Metadata,
    dicom_identity,
    dicom_metadata,
    fingerprint,
    image_id,
    open_i_uid,
    picture_identity,
    pseudonym,
)
from indexer.archive.id_key import drafted_key, find_key, load_key
from indexer.archive.sources.names import stem
from indexer.errors import CxrdexError
from tests.archive.making import film, make_dicom

KEY = bytes(range(32))


def test_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    key = load_key(path)
    assert len(key) == 32
    assert load_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["key"]


def test_key_file_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRDEX_KEY_FILE", str(tmp_path / "mine"))
    assert load_key() == (tmp_path / "mine").read_bytes()


def test_two_keys_differ(tmp_path: Path) -> None:
    one, two = load_key(tmp_path / "a"), load_key(tmp_path / "b")
    assert one != two
    assert fingerprint(one) != fingerprint(two)
    assert len(fingerprint(one)) == 8


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of Unix")
@pytest.mark.parametrize("kind", ["pipe", "endless", "long"])
def test_what_is_no_key_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(bytes(100_000))
        path.chmod(0o600)
    with pytest.raises(CxrdexError, match=r"not a file|no key"):
        load_key(path)


def test_short_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(CxrdexError, match="5 bytes"):
        load_key(tmp_path / "key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "key").write_bytes(bytes(32))
    (tmp_path / "key").chmod(mode)
    with pytest.raises(CxrdexError, match="chmod 600"):
        load_key(tmp_path / "key")


def test_a_draft_that_is_not_kept_leaves_nothing(tmp_path: Path) -> None:
    with drafted_key(tmp_path / "new" / "key") as (key, _):
        assert len(key) == 32
    assert find_key(tmp_path / "new" / "key") is None
    assert list((tmp_path / "new").iterdir()) == []
    with drafted_key(tmp_path / "key") as (one, keep), drafted_key(tmp_path / "key") as (_, late):
        assert keep() == one
        assert late() == one, "of two the first one counts"
    assert load_key(tmp_path / "key") == one


def test_unusable_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CxrdexError, match="CXRDEX_KEY_FILE"):
        load_key(tmp_path)


@given(st.binary(min_size=16, max_size=40), st.text(max_size=20))
def test_pseudonyms_are_hex_and_told_apart_by_kind(key: bytes, value: str) -> None:
    name = pseudonym(key, "study", value)
    assert len(name) == 12
    assert int(name, 16) >= 0
    assert name != pseudonym(key, "patient", value)
    assert name == pseudonym(key, "study", f" {value} ")


def test_image_id_depends_on_key_and_pixels() -> None:
    ids = {image_id(KEY, b"a" * 32), image_id(KEY, b"b" * 32), image_id(KEY[::-1], b"a" * 32)}
    assert len(ids) == 3
    assert {len(i) for i in ids} == {16}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b/scan.dcm", "scan"),
        ("export.zip!/x/1.2.840.10008", "1.2.840.10008"),
        ("1.2.840.10008.dcm", "1.2.840.10008"),
        ("CXR1_1_IM-0001-3001.png", "CXR1_1_IM-0001-3001"),
        ("IM0001", "IM0001"),
    ],
)
def test_stem(name: str, expected: str) -> None:
    assert stem(name) == expected


@pytest.mark.parametrize(
    ("name", "uid"),
    [
        ("x/CXR12_IM-0100-1001.jpg", "CXR12"),
        ("CXR12_1_IM-0100-1001.png", "CXR12"),
        ("CXR12.png", None),
        ("chest.png", None),
    ],
)
def test_open_i_names(name: str, uid: str | None) -> None:
    assert open_i_uid(name) == uid


def test_open_i_pictures_of_one_study_share_it() -> None:
    one = picture_identity(KEY, "CXR12_IM-0100-1001.jpg", "0" * 16)
    two = picture_identity(KEY, "CXR12_IM-0100-2001.jpg", "1" * 16)
    assert one.study == two.study == one.patient == pseudonym(KEY, "study", "CXR12")
    assert one.report_keys != two.report_keys


def test_plain_pictures_are_studies_of_their_own() -> None:
    one, two = (picture_identity(KEY, "a.png", i * 16) for i in "01")
    assert one.study != two.study


def test_dicom_identity_and_report_keys() -> None:
    header = make_dicom(film())
    identity = dicom_identity(KEY, header, "in/file7.dcm", "0" * 16)
    assert identity.study == pseudonym(KEY, "study", "1.2.3.4")
    names = ("in/file7", "file7", "1.2.3.4.5", "1.2.3.4", "ACC9", "acc9")
    assert identity.report_keys == tuple(pseudonym(KEY, "report", name) for name in names)
    header.IssuerOfPatientID = "Hospital B"
    assert dicom_identity(KEY, header, "f", "0" * 16).patient != identity.patient


def test_missing_ids_fall_back_to_study_then_image() -> None:
    nobody = make_dicom(film(), PatientID=None)
    same_study = [dicom_identity(KEY, nobody, "f", i * 16).patient for i in "01"]
    assert same_study[0] == same_study[1]
    bare = make_dicom(film(), PatientID=None, StudyInstanceUID=None)
    assert dicom_identity(KEY, bare, "f", "0" * 16) != dicom_identity(KEY, bare, "f", "1" * 16)


@pytest.mark.parametrize(
    ("attributes", "age"),
    [
        ({"PatientAge": "045Y"}, 45),
        ({"PatientAge": "018M"}, 1),
        ({"PatientAge": "012M"}, 1),
        ({"PatientAge": "006W"}, 0),
        ({"PatientAge": "68"}, 68),
        ({"PatientAge": "090Y"}, 90),
        ({"PatientAge": "104Y"}, 90),
        ({"PatientAge": "old"}, None),
        ({"PatientBirthDate": "19700705"}, 48),
        ({"PatientBirthDate": "19700704"}, 49),
        ({"PatientBirthDate": "19000101"}, 90),
        ({"PatientBirthDate": "20200101"}, None),
        ({"PatientBirthDate": "19709999"}, None),
        ({}, None),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_age(attributes: dict[str, Any], age: int | None) -> None:
    assert dicom_metadata(make_dicom(film(), **attributes), 1, 1, "x", False).age == age


@pytest.mark.parametrize(
    ("attributes", "year"),
    [
        ({}, 2019),
        ({"StudyDate": "1996.10.29"}, 1996),
        ({"StudyDate": None, "AcquisitionDate": "20010101"}, 2001),
        ({"StudyDate": "", "ContentDate": "20020202"}, 2002),
        ({"StudyDate": "00000000"}, None),
        ({"StudyDate": None}, None),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_year(attributes: dict[str, Any], year: int | None) -> None:
    assert dicom_metadata(make_dicom(film(), **attributes), 1, 1, "x", False).year == year


@pytest.mark.parametrize(
    ("position", "meaning", "view"),
    [
        ("pa", None, "PA"),
        ("LL", None, "LL"),
        ("", "postero-anterior", "PA"),
        (None, "Left lateral", "LL"),
        (None, "oblique", None),
        ("<b>", None, None),
        (None, None, None),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_view(position: str | None, meaning: str | None, view: str | None) -> None:
    from pydicom.dataset import Dataset

    header = make_dicom(film(), ViewPosition=position)
    if meaning:
        code = Dataset()
        code.CodeMeaning = meaning
        header.ViewCodeSequence = [code]
    assert dicom_metadata(header, 1, 1, "x", False).view == view


@pytest.mark.parametrize(("sex", "kept"), [("F", "F"), ("m ", "M"), ("O", "O"), ("X", None)])
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_sex(sex: str, kept: str | None) -> None:
    assert dicom_metadata(make_dicom(film(), PatientSex=sex), 1, 1, "x", False).sex == kept


def test_metadata_has_no_more_than_the_allow_list() -> None:
    header = make_dicom(film(), PatientSex="F", Manufacturer=" Acme \n Corp ")
    header.add_new(0x00091001, "LO", "private note")
    metadata = dicom_metadata(header, 3, 4, "RLE Lossless", True)
    assert metadata == Metadata(
        view="PA",
        sex="F",
        year=2019,
        manufacturer="Acme Corp",
        rows=3,
        columns=4,
        transfer_syntax="RLE Lossless",
        mirrored=True,
    )
    assert Metadata.from_json(json.loads(json.dumps(metadata.to_json()))) == metadata
