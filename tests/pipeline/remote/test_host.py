"""What a host compares before it reads, and reads; without a cluster."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.archive.decoding import DecodeSettings
from indexer.archive.deidentify import fingerprint
from indexer.archive.id_key import load_key
from indexer.archive.sources.members import open_archive
from indexer.cascade.bundle import Bundle
from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.database.outcomes import Failed, Read
from indexer.errors import BundleError, ClusterError, HostMismatch, MissingExtraError
from indexer.pipeline.executor import FileTask
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.remote.cluster import ClusterNode, Share, connect
from indexer.pipeline.remote.host import (
    Expected,
    HostReader,
    HostSettings,
    check,
    computes,
    versions,
)
from indexer.pipeline.run import index
from tests.pipeline.making import make_bundle, misbehaving_reader, write_pictures


@pytest.fixture
def expected(tiny: Bundle, archive: Path) -> Expected:
    places = (str(archive), str(archive / "000.png"))
    compute = Compute(tiny.path, "cpu")
    return Expected(versions(), fingerprint(load_key()), tiny.hash, compute, places)


def test_a_host_like_this_one_fits(expected: Expected) -> None:
    check(expected)
    assert expected.versions["cxrdex"]
    assert expected.versions["pydicom"]
    assert computes(expected.compute).split(" in ")[0] in ("openvino", "torch")


def test_another_version_is_refused(expected: Expected) -> None:
    other = replace(expected, versions={**expected.versions, "pydicom": "1.0"})
    with pytest.raises(HostMismatch, match=r"pydicom is .+ there and 1\.0 here"):
        check(other)


def test_another_key_is_refused_and_none_is(
    expected: Expected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    monkeypatch.setenv("CXRDEX_KEY_FILE", str(other))
    with pytest.raises(HostMismatch, match=r"no id key at .*other: copy the key file"):
        check(expected)
    assert not other.exists()
    mine = load_key()
    with pytest.raises(HostMismatch, match=f"{fingerprint(mine)} instead of {expected.key}"):
        check(expected)


def test_another_bundle_is_refused_and_none_is(expected: Expected, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", seed=3)
    elsewhere = replace(expected, compute=Compute(other.path, "cpu"))
    with pytest.raises(HostMismatch, match=f"{other.hash} there and {expected.bundle} here"):
        check(elsewhere)
    with pytest.raises(BundleError, match="no bundle at"):
        check(replace(expected, compute=Compute(tmp_path / "none", "cpu")))


def test_an_archive_that_is_not_mounted_is_refused(expected: Expected, archive: Path) -> None:
    (archive / "000.png").unlink()
    with pytest.raises(HostMismatch, match="an archive is not to be seen there"):
        check(expected)


def test_another_way_to_compute_is_refused(expected: Expected) -> None:
    check(replace(expected, computes=computes(expected.compute)))
    with pytest.raises(HostMismatch, match=r"the others with cuda in float16, .* `precision`"):
        check(replace(expected, computes="cuda in float16"))


def test_a_plan_holds_no_key(expected: Expected, tiny: Bundle) -> None:
    plan = HostSettings("r", expected, DecodeSettings(tiny.size, tiny.squash), 1, 8)
    assert load_key() not in pickle.dumps(plan)


def test_a_host_reads_chunk_after_chunk(expected: Expected, tiny: Bundle, archive: Path) -> None:
    """The processes stay; one that crashes costs its file alone, and readings are the model's."""
    write_pictures(archive / "crash", 1, 50)
    members = sorted(open_archive(archive).members(), key=lambda member: member.name)
    plan = HostSettings(
        "r", expected, DecodeSettings(tiny.size, tiny.squash), 2, 8, reader=misbehaving_reader
    )
    reader = HostReader(plan)
    try:
        answers = [
            reader.read([FileTask(1, member) for member in part])
            for part in (members[:3], members[3:])
        ]
    finally:
        reader.close()
    outcomes = [outcome for answer in answers for outcome in answer.outcomes]
    assert [outcome.file.name for outcome in outcomes] == [member.name for member in members]
    model = Predictor(tiny, expected.compute, 8)
    for outcome in outcomes:
        if "crash" in outcome.file.name:
            assert isinstance(outcome, Failed)
            assert outcome.reason == "decoder_crashed"
            continue
        assert isinstance(outcome, Read)
        assert outcome.image.canvas.size == 0
        assert outcome.reading is not None
        assert outcome.reading.embedding.shape == (tiny.dimensions,)
    assert model.bundle.hash == expected.bundle
    assert all(answer.seconds >= answer.predicting > 0 for answer in answers)
    assert answers[0].decoding > 0


def test_shares_of_hosts() -> None:
    nodes = [
        ClusterNode("a", "10.0.0.1", 16, 0),
        ClusterNode("b", "10.0.0.2", 40, 0),
        ClusterNode("c", "c", 8, 2),
    ]
    assert [Share(8, 0).places_on(node) for node in nodes] == [2, 5, 1]
    assert [Share(4, 1).places_on(node) for node in nodes] == [0, 0, 2]
    assert Share(8, 0).places(nodes) == 8


@pytest.mark.parametrize("on", ["here", "ray://", "ray://host", "ray://host:port", "http://a:1"])
def test_what_is_no_address_is_refused(on: str) -> None:
    with pytest.raises(ClusterError, match="is no cluster: say ray://HOST:PORT"), connect(on):
        pass


def test_an_address_where_nothing_listens_is_refused(archive: Path, tmp_path: Path) -> None:
    """And no database is made."""
    with pytest.raises(ClusterError, match=r"no cluster answers at 127\.0\.0\.1:9 "):
        index([archive], tmp_path / "db", processing=FileProcessing(on="ray://127.0.0.1:9"))
    assert not (tmp_path / "db").exists()


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cxrdex\[ray\]'"), connect("ray"):
        pass


def test_a_plain_run_imports_no_ray() -> None:
    code = "import cxrdex, indexer.pipeline.run, sys; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
