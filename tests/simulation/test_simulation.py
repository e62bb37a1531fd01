from __future__ import annotations

import builtins
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.archive.decoding import DecodedImage, DecodeSettings
from indexer.archive.reports import ReportIndex
from indexer.archive.sources.members import Member, open_archive, read_member
from indexer.errors import ImageError, MissingExtraError, SkippedImage
from indexer.simulation import (
    SimulatedFile,
    Simulation,
    simulate_archive,
    simulate_pictures,
)
from tests.archive.making import decode_member

KEY = b"s" * 32
STUDIES = 28


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    return simulate_archive(tmp_path_factory.mktemp("simulation"), STUDIES, seed=3)


@pytest.fixture(scope="module")
def members(simulation: Simulation) -> dict[str, Member]:
    archive = open_archive(simulation.folder, simulation.reports)
    return {member.name: member for member in archive.members()}


@pytest.fixture(scope="module")
def decoded(members: dict[str, Member]) -> dict[str, DecodedImage | ImageError]:
    results: dict[str, DecodedImage | ImageError] = {}
    for name, member in members.items():
        try:
            results[name] = decode_member(member, DecodeSettings(key=KEY))
        except ImageError as error:
            results[name] = error
    return results


def images(
    simulation: Simulation, decoded: Mapping[str, DecodedImage | ImageError]
) -> list[tuple[SimulatedFile, DecodedImage]]:
    pairs = [(f, decoded[f.name]) for f in simulation.files if f.study is not None]
    return [(file, image) for file, image in pairs if isinstance(image, DecodedImage)]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_every_file_is_known(simulation: Simulation, members: dict[str, Member]) -> None:
    assert {file.name for file in simulation.files} == set(members)


def test_every_file_ends_as_it_should(
    simulation: Simulation, decoded: dict[str, DecodedImage | ImageError]
) -> None:
    seen: set[str] = set()
    truth = {file.name: file for file in simulation.files}
    for name, result in decoded.items():
        file = truth[name]
        if isinstance(result, DecodedImage):
            assert file.outcome == ("duplicate" if result.image_id in seen else "done"), name
            seen.add(result.image_id)
        else:
            outcome = "skipped" if isinstance(result, SkippedImage) else "failed"
            assert file.outcome in (outcome, "left_out"), (name, result.reason)
            assert file.reason in (result.reason, None), (name, result.reason)
    assert Counter(f.outcome for f in simulation.files)["duplicate"] == 1


def test_all_transfer_syntaxes_and_findings_occur(simulation: Simulation) -> None:
    studies = [f for f in simulation.files if f.study is not None]
    assert len({f.transfer_syntax for f in studies}) == 12
    assert {f.study for f in studies} == set(range(1, STUDIES + 1))
    assert len(studies) == STUDIES + STUDIES // 6
    found = Counter((x.kind, x.side) for f in studies for x in f.findings)
    assert len(found) == 9
    assert any(not f.findings for f in studies)


def test_files_say_that_they_are_simulated(
    simulation: Simulation, members: dict[str, Member]
) -> None:
    from io import BytesIO

    from pydicom import dcmread

    for file in simulation.files:
        if file.study is None:
            continue
        header = dcmread(BytesIO(read_member(members[file.name])), force=True)
        assert str(header.PatientName).startswith("SIMULATED^")
        assert header.PatientID.startswith("SIM")
        assert list(header.ImageType) == ["DERIVED", "SECONDARY"]
        assert "SIMULATED" in header.DerivationDescription
        assert "SIMULATED" in header.ImageComments


def test_every_study_finds_its_report(
    simulation: Simulation, decoded: dict[str, DecodedImage | ImageError]
) -> None:
    words = {"opacity": "opacity", "nodule": "nodule", "effusion": "effusion"}
    words |= {"catheter": "venous catheter", "cardiomegaly": "cardiomegaly"}
    with ReportIndex.open(simulation.reports, KEY) as index:
        assert len(index) == STUDIES
        for file, image in images(simulation, decoded):
            report = index.find(image.report_keys)
            assert report is not None, file.name
            text = " ".join(report.sections.values()).lower()
            for kind, word in words.items():
                assert (word in text) == any(f.kind == kind for f in file.findings)
            assert all(finding.side in text for finding in file.findings)
            assert "impression" in report.sections


def test_mirrored_and_burned_in(
    simulation: Simulation, decoded: dict[str, DecodedImage | ImageError]
) -> None:
    pairs = images(simulation, decoded)
    for file, image in pairs:
        assert image.metadata.mirrored == file.mirrored, file.name
        # The heart lies on the patient's left: the right of the picture is the whiter, mid-height.
        heart = image.canvas[150:185].astype(float)
        assert heart[:, 140:190].mean() > heart[:, 70:115].mean(), file.name
    assert sum(file.mirrored for file, _ in pairs) >= 2
    assert sum(image.thumbnail is None for _, image in pairs) == 1


def test_images_differ_but_are_of_one_kind(
    simulation: Simulation, decoded: dict[str, DecodedImage | ImageError]
) -> None:
    canvases = [
        image.canvas for file, image in images(simulation, decoded) if file.outcome == "done"
    ]
    flat = np.stack([c[::8, ::8].astype(float).ravel() for c in canvases])
    correlation = np.corrcoef(flat)
    others = correlation[~np.eye(len(flat), dtype=bool)]
    assert others.min() > 0.5
    assert others.max() < 0.9999


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        simulate_archive(tmp_path / name, studies=14, seed=seed, broken=False)
    first, second, other = (digests(tmp_path / name) for name in "abc")
    assert first == second
    assert not any(name.startswith("other") for name in first)
    pictures = {d for name, d in first.items() if name.startswith("studies")}
    assert not pictures & set(other.values())


def test_pictures(tmp_path: Path) -> None:
    simulate_pictures(tmp_path / "a", 1001, seed=1)
    paths = sorted(p for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(paths) == 1001
    assert Counter(p.suffix for p in paths) == {".jpg": 751, ".png": 250}
    assert len(set(digests(tmp_path / "a").values())) == 1001
    for path in paths[:8]:
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("L", (256, 256))
            assert np.asarray(picture).std() > 30
    simulate_pictures(tmp_path / "b", 4, seed=1)
    again = digests(tmp_path / "b")
    assert again.items() <= digests(tmp_path / "a").items()


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> object:
        if name == "data_store":
            raise ImportError(name)
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'cxrdex\[demo\]'"):
        simulate_archive(tmp_path, 1)
