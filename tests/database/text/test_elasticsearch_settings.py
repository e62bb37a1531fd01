"""How Elasticsearch is reached, and that no secret gets out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from cli.main import cxrdex
from indexer.database.choices import Choices
from indexer.database.layout import Layout
from indexer.database.text.elasticsearch.settings import (
    ElasticsearchSettings,
    checked_urls,
    configured_urls,
)
from indexer.database.text.elasticsearch.store import ElasticsearchTextStore
from indexer.database.upkeep.verify import verify
from indexer.database.writer import Writer
from indexer.errors import DatabaseError, DatabaseMismatch
from tests.database.making import KEY, entry, make_bundle
from tests.elasticsearch_server import ElasticsearchServer, unavailable

SECRET = "a-secret-that-nobody-may-see"
NAMES = ("URL", "API_KEY", "USER", "PASSWORD", "CA_FILE", "SHARDS")


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        monkeypatch.delenv(f"CXRDEX_ELASTICSEARCH_{name}", raising=False)
    path = tmp_path / "config.toml"
    path.write_text("")
    monkeypatch.setenv("CXRDEX_CONFIG", str(path))
    return path


def test_the_environment_goes_before_the_file_and_that_before_the_manifest(
    nothing_configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ElasticsearchSettings.load("http://a:1").urls == ("http://a:1",)
    nothing_configured.write_text(
        f'[elasticsearch]\nurl = "http://b:2,https://c"\nuser = "u"\npassword = "{SECRET}"\n'
    )
    found = ElasticsearchSettings.load("http://a:1")
    assert found.urls == configured_urls() == ("http://b:2", "https://c:9200")
    assert (found.user, found.password, found.api_key) == ("u", SECRET, None)
    monkeypatch.setenv("CXRDEX_ELASTICSEARCH_URL", "http://d:4")
    monkeypatch.setenv("CXRDEX_ELASTICSEARCH_API_KEY", SECRET)
    found = ElasticsearchSettings.load("http://a:1")
    assert (found.urls, found.user, found.api_key) == (("http://d:4",), None, SECRET)
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "no Elasticsearch is named"),
        ({"URL": "http://a", "USER": "u"}, "user and password"),
        ({"URL": "http://a", "PASSWORD": SECRET}, "user and password"),
        ({"URL": "http://a", "API_KEY": SECRET, "USER": "u", "PASSWORD": "p"}, "API key and a"),
        ({"URL": "http://a", "CA_FILE": "/nowhere.pem"}, "no CA file /nowhere.pem"),
        ({"URL": f"https://me:{SECRET}@a"}, "CXRDEX_ELASTICSEARCH_PASSWORD"),
        ({"URL": f"https://me:{SECRET}@a:x"}, "malformed"),
        ({"URL": "ftp://a"}, "no address"),
        ({"URL": "localhost:9200"}, "no address"),
        ({"URL": "http://a", "SHARDS": "0"}, "'0' shards is asked for: write a number from 1"),
        ({"URL": "http://a", "SHARDS": "three"}, "write a number from 1 to 1024"),
    ],
)
def test_wrong_settings_are_refused_without_telling_secrets(
    settings: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"CXRDEX_ELASTICSEARCH_{name}", value)
    with pytest.raises(DatabaseError, match=words) as raised:
        ElasticsearchSettings.load()
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no toml", "is no TOML"),
        ('[elasticsearch]\nuri = "http://a"', "has no uri"),
        ("[elasticsearch]\nurl = 5", "holds texts only"),
    ],
)
def test_a_wrong_file_is_refused(text: str, words: str, nothing_configured: Path) -> None:
    nothing_configured.write_text(text)
    with pytest.raises(DatabaseError, match=words):
        ElasticsearchSettings.load()


def test_addresses() -> None:
    assert checked_urls("https://[::1]/path/") == ("https://[::1]:9200/path",)


def open_database(path: Path, store: str | None = None, url: str | None = None) -> Layout:
    with Writer.open(path, make_bundle(), KEY, Choices(store, url)):
        return Layout(path)


def test_a_new_database_says_where_its_words_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "note.txt").write_text("no image")

    def output(*options: str) -> str:
        database = tmp_path / f"database{len(list(tmp_path.iterdir()))}"
        words = ["index", str(archive), "--database", str(database), *options]
        return CliRunner().invoke(cxrdex, words).stderr.splitlines()[0]

    assert "in its folder (no address of Elasticsearch is given" in output()
    assert "in its folder (as asked for)" in output("--text-store", "embedded")
    nobody = "http://127.0.0.1:9"
    assert f"{nobody} (as asked for)" in output("--elasticsearch-url", nobody)
    monkeypatch.setenv("CXRDEX_ELASTICSEARCH_URL", nobody)
    assert f"{nobody} (its address is configured by CXRDEX_ELASTICSEARCH_URL" in output()
    assert "in its folder (as asked for)" in output("--text-store", "embedded")


def test_a_database_keeps_its_text_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "http://127.0.0.1:9"
    first = open_database(tmp_path / "a", None, nobody).read_manifest()
    assert (first.text, first.text_url) == ("elasticsearch", nobody)
    assert open_database(tmp_path / "b").read_manifest().text == "tantivy"
    monkeypatch.setenv("CXRDEX_ELASTICSEARCH_URL", nobody)
    second = open_database(tmp_path / "c").read_manifest()
    assert second.text == "elasticsearch"
    assert second.text_index != first.text_index
    assert open_database(tmp_path / "d", "embedded").read_manifest().text == "tantivy"
    for path, store, url in (
        ("a", "embedded", None),
        ("a", None, "http://127.0.0.1:10"),
        ("b", "elasticsearch", None),
        ("b", None, nobody),
    ):
        with pytest.raises(DatabaseMismatch, match="was made with"):
            open_database(tmp_path / path, store, url)
    with pytest.raises(DatabaseError, match="is configured"):
        open_database(tmp_path / "e", None, "http://127.0.0.1:10")
    with pytest.raises(DatabaseError, match="for an embedded text store"):
        open_database(tmp_path / "e", "embedded", nobody)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ElasticsearchServer, Path]]:
    """A server with TLS and a user, and the file of its CA."""
    if reason := unavailable():
        pytest.skip(reason)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    server = ElasticsearchServer(
        {
            "xpack.security.http.ssl.enabled": True,
            "xpack.security.http.ssl.key": "node.key",
            "xpack.security.http.ssl.certificate": "node.pem",
        },
        users={"cxrdex": SECRET},
        files={
            "node.key": certificate.private_key_pem.bytes(),
            "node.pem": b"".join(part.bytes() for part in certificate.cert_chain_pems),
        },
    ).start()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    yield server, path
    server.stop()


def test_tls_with_a_login_and_with_an_api_key(
    secured: tuple[ElasticsearchServer, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, ca_file = secured
    path = tmp_path / "database"
    monkeypatch.setenv("CXRDEX_ELASTICSEARCH_USER", "cxrdex")
    monkeypatch.setenv("CXRDEX_ELASTICSEARCH_PASSWORD", SECRET)
    with pytest.raises(DatabaseError, match="CXRDEX_ELASTICSEARCH_CA_FILE"):
        ElasticsearchTextStore.connect("cxrdex-1", server.url).prepare()
    monkeypatch.setenv("CXRDEX_ELASTICSEARCH_CA_FILE", str(ca_file))
    with caplog.at_level(logging.DEBUG):
        choices = Choices(elasticsearch_url=server.url)
        with Writer.open(path, make_bundle(), KEY, choices) as writer:
            writer.begin_run()
            writer.archive("/archive")
            writer.commit([entry(number) for number in range(5)])
            writer.end_run("complete", {})
        with ElasticsearchSettings.load(server.url).client() as client:
            key = client.security.create_api_key(name="cxrdex")["encoded"]
        monkeypatch.delenv("CXRDEX_ELASTICSEARCH_USER")
        monkeypatch.delenv("CXRDEX_ELASTICSEARCH_PASSWORD")
        with pytest.raises(DatabaseError, match="refuses this user"):
            ElasticsearchTextStore.connect("cxrdex-1", server.url).prepare()
        monkeypatch.setenv("CXRDEX_ELASTICSEARCH_API_KEY", key)
        assert [p for p in verify(path) if p.where == "text"] == []
        assert len(list(ElasticsearchTextStore.connect(_index(path), server.url).hashes())) == 5
    assert "opacity" not in caplog.text
    for secret in (SECRET, key):
        assert secret not in caplog.text
        assert secret not in Layout(path).manifest.read_text()


def _index(path: Path) -> str:
    return str(Layout(path).read_manifest().text_index)
