"""What is made of an uploaded film is made once, and goes with the upload."""

from __future__ import annotations

import gc
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from starlette.testclient import TestClient

from indexer.cascade.compute import Compute
from indexer.cascade.reading import Predictor
from indexer.database.vectors.index import Vectors
from indexer.pipeline.run import index
from indexer.pipeline.single import FileDecoder
from search.request import ImageId, SearchRequest, Upload
from search.service import SearchService
from search.web.app import create_app
from search.web.audit.trail import Trail
from search.web.audit.writing import Audit
from search.web.films import Films
from search.web.people.settings import SignInSettings
from search.web.people.users import Users
from search.web.settings import WebSettings
from tests.archive.making import film, make_picture


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been called, by name."""
    called: list[str] = []

    def counted(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **options: Any) -> Any:
            called.append(name)
            return real(*args, **options)

        monkeypatch.setattr(owner, name, call)

    counted(FileDecoder, "decode")
    counted(Predictor, "encode")
    counted(Vectors, "search")
    return called


def test_an_upload_is_decoded_and_looked_at_once(web_database: Path, done: list[str]) -> None:
    upload = Upload(make_picture(film(300, 280, bits=8), "PNG"), "new.png")
    chosen = SearchRequest(picture=upload, facets=("view",), choices=("view=frontal",))
    with SearchService(web_database, Compute(device="cpu")) as service:
        reading = service.read(upload)
        everything = SearchRequest(picture=upload, include_unusual=True)
        alike = service.search(everything)
        # Its neighbours are looked for once, too: whether one shows the same, and to be shown.
        assert sorted(done) == ["decode", "encode", "search"]
        grouped = service.search(SearchRequest(picture=upload, group="study"))
        # A facet's own choice is left out of its counts: the picture is asked for again.
        service.search(chosen)
        assert (done.count("decode"), done.count("encode")) == (1, 1)
        again = Upload(upload.content, upload.name)
        assert service.read(again).to_json() == reading.to_json()
        fresh = service.search(SearchRequest(picture=again, include_unusual=True))
        assert fresh.to_json() == alike.to_json()
        fresh = service.search(SearchRequest(picture=again, group="study"))
        assert fresh.to_json() == grouped.to_json()
        assert done.count("decode") == 2
        assert len(service._models._films) == 2
        del upload, chosen, everything, again
        gc.collect()
        assert not service._models._films


def test_no_size_keeps_a_process_for_ever(web_service: SearchService) -> None:
    films = Films(web_service)
    asked = [films._decoder(size, False) for size in range(64, 84)]
    assert films._decoder(83, False) is asked[-1]
    open_ones = [decoder for decoder in asked if not decoder._closed]
    assert open_ones == asked[-6:] == [*films._decoders.values()]
    # Somebody had been given the first one before it was closed, and still gets the film.
    picture = make_picture(film(90, 80, bits=8), "PNG")
    assert asked[0].decode(picture, "new.png").canvas.shape == (64, 64)
    assert not asked[0]._idle
    films.close()
    assert all(decoder._closed for decoder in asked)


def test_the_original_of_a_study_is_found_at_the_click(
    web_service: SearchService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users = Users(tmp_path / "users.json")
    tokens = {}
    for role in ("reader", "administrator"):
        users.add(role, role, None)
        tokens[role] = {"authorization": f"Bearer {users.add_token(role)}"}
    viewer = "https://v.example/view?StudyInstanceUIDs={study_uid}"
    settings = WebSettings(sign_in=SignInSettings(users=tmp_path / "users.json"), viewer=viewer)
    with Audit(tmp_path / "audit.sqlite") as audit:
        app = create_app(web_service, settings, audit)
        client = TestClient(app, "http://127.0.0.1:8000", follow_redirects=False)
        uids, others = [], 0
        for hit in web_service.search(SearchRequest(words="*", limit=12)).hits:
            address = f"/images/{hit.id}"
            with web_service.snapshot() as snapshot:
                file = snapshot.database.image(hit.id).files[0]
            path = Path(file.archive, file.name)
            if not path.is_file():
                continue
            page = client.get(address, headers=tokens["administrator"]).text
            assert f'href="{address}/viewer"' in page
            answer = client.get(f"{address}/viewer", headers=tokens["administrator"])
            # A gzip of one, and a picture, are none that pydicom reads.
            uid = str(dcmread(path, force=True).get("StudyInstanceUID", ""))
            if not uid:
                others += 1
                assert answer.status_code in (303, 404)
                continue
            uids.append(uid)
            assert answer.status_code == 303
            assert answer.headers["location"] == viewer.replace("{study_uid}", uid)
            assert answer.headers["cache-control"] == "no-store"
            assert uid not in page
            assert uid not in caplog.text
            assert client.get(f"{address}/viewer", headers=tokens["reader"]).status_code == 403
            assert f"{address}/viewer" not in client.get(address, headers=tokens["reader"]).text
        assert uids
        assert audit.flush()
        with Trail(audit.path) as trail:
            events = [row.event for row in trail.all()]
        opened = [e for e in events if e.route == "/images/{image_id}/viewer"]
        assert len(opened) == 2 * len(uids) + others
        assert not any(uid in repr(events) for uid in uids)
        closed = TestClient(create_app(web_service, WebSettings()), "http://127.0.0.1:8000")
        assert closed.get(f"{address}/viewer").status_code == 404


def test_a_film_has_more_depth_than_is_shown(
    client: TestClient, web_service: SearchService
) -> None:
    found = web_service.search(SearchRequest(words="view:frontal", limit=20)).hits
    deepest = 0
    for hit in found:
        answer = client.get(f"/v1/images/{hit.id}/values")
        shown = client.get(f"/v1/images/{hit.id}/pixels?size=1024")
        assert answer.status_code == shown.status_code
        if answer.status_code != 200:
            continue
        rows, columns = (int(answer.headers[f"cxrdex-{side}"]) for side in ("rows", "columns"))
        steps = np.frombuffer(zlib.decompress(answer.content), "<u2").astype(np.int64)
        values = (np.cumsum(steps) % 65536).reshape(rows, columns) / 64 - 255
        picture = np.asarray(Image.open(io.BytesIO(shown.content)))
        assert picture.shape == values.shape
        apart = np.abs(np.clip(values, 0, 255) - picture)
        assert apart.mean() < 1
        deepest = max(deepest, len(np.unique(values)))
    assert deepest > 2000
    assert client.get(f"/v1/images/{found[0].id}/values?size=300").status_code == 422


def test_a_film_whose_archive_is_away_is_shown_by_its_thumbnail(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "one.png").write_bytes(make_picture(film(900, 800, bits=8), "PNG"))
    index([archive], tmp_path / "database")
    with SearchService(tmp_path / "database") as service:
        client = TestClient(create_app(service, WebSettings()), "http://127.0.0.1:8000")
        (hit,) = service.search(SearchRequest(words="*")).hits
        address = f"/v1/images/{hit.id}/pixels?size=1024"
        assert client.get(f"{address}&stored=true").headers["content-type"] == "image/png"
        archive.rename(tmp_path / "elsewhere")
        assert client.get(f"/v1/images/{hit.id}/pixels?size=512").status_code == 404
        stored = client.get(f"/v1/images/{hit.id}/pixels?size=512&stored=true")
        assert (stored.status_code, stored.headers["content-type"]) == (200, "image/webp")
        assert stored.headers["cache-control"] == "no-store"
        assert stored.content == service.thumbnail(ImageId(hit.id))
        assert f'src="{address}&amp;stored=true"' in client.get(f"/images/{hit.id}").text
        none = client.get("/v1/images/0123456789abcdef/pixels?stored=true")
        assert none.status_code == 404
