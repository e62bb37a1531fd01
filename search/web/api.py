"""The REST API, version 1."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from indexer.errors import ArchiveError, NotFoundError
from search.request import ImageId, Upload
from search.results import document_without_report
from search.web.completions import completions
from search.web.films import DeepSize, Window
from search.web.people.access import require
from search.web.problems import PROBLEM, PROBLEMS
from search.web.queries import FacetQuery, NoQuery, SearchQuery, SimilarQuery, SizeQuery
from search.web.state import ServerState, app_state

__all__ = ["router"]

_IMMUTABLE = {"cache-control": "private, max-age=86400"}
#: The header that says how probable a finding is in the film of a heat map.
PROBABILITY = "cxrdex-probability"
router = APIRouter(prefix="/v1", responses=PROBLEMS)

_State = Annotated[ServerState, Depends(app_state)]
_Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="Image id.")]
_Nothing = Annotated[NoQuery, Query()]


@router.get("/search", dependencies=[require("reader", "search")], response_model=dict[str, Any])
async def search(state: _State, query: Annotated[SearchQuery, Query()]) -> Response:
    """Images by words, by meaning, or both; `after` of an answer asks for the next page."""

    def answer() -> Response:
        return state.json_answer(query.request(state.among(query)))

    return await state.in_turn(answer)


@router.get("/facets", dependencies=[require("reader", "search")])
async def facets(state: _State, query: Annotated[FacetQuery, Query()]) -> dict[str, Any]:
    """Counts over all images that match."""

    def answer() -> dict[str, Any]:
        return state.service.search(query.request(state.among(query))).to_json()

    found = await state.in_turn(answer)
    return {"total": found["total"], "facets": found["facets"]}


@router.get("/suggest", dependencies=[require("reader", "search")])
async def suggest(state: _State, query: Annotated[FacetQuery, Query()]) -> dict[str, Any]:
    """Near words for words that the database does not know, and findings that begin like the last.

    A completion is the whole query with its last word completed, and how many images have it.
    """

    def answer() -> dict[str, Any]:
        found = state.service.search(query.request(state.among(query)))
        return {
            "suggestions": found.to_json()["suggestions"],
            "completions": completions(state.service, query.q),
        }

    return await state.in_turn(answer)


@router.get("/images/{image_id}", dependencies=[require("reader")])
def image(state: _State, image_id: _Id, _: _Nothing) -> dict[str, Any]:
    """All that is known of one image, but for where its files are."""
    return state.service.show(ImageId(image_id)).to_json()


@router.get("/images/{image_id}/sources", dependencies=[require("administrator")])
def sources(state: _State, image_id: _Id, _: _Nothing) -> dict[str, Any]:
    """Where the image's files are: their names may hold patient data."""
    shown = state.service.show(ImageId(image_id)).to_json(sources=True)
    return {"id": image_id, "sources": shown["sources"]}


@router.get(
    "/images/{image_id}/thumbnail",
    dependencies=[require("reader", "nothing")],
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}},
)
def thumbnail(state: _State, image_id: _Id, _: _Nothing) -> Response:
    """A small picture."""
    found = state.service.thumbnail(ImageId(image_id))
    if found is None:
        raise NotFoundError(f"the image {image_id} has no thumbnail that may be shown")
    return Response(found, media_type="image/webp", headers=_IMMUTABLE)


class PixelsQuery(SizeQuery):
    """How large a film is wanted, and in which window."""

    width: Annotated[int, Field(ge=8, le=512, description="Of the window, in greys.")] = 256
    level: Annotated[int, Field(ge=0, le=255, description="Grey in the window's middle.")] = 128
    stored: Annotated[
        bool, Field(description="Give the thumbnail where no file can be read any more.")
    ] = False


@router.get(
    "/images/{image_id}/pixels",
    dependencies=[require("reader")],
    response_class=Response,
    responses={200: {"content": {"image/png": {}, "image/webp": {}}}},
)
def pixels(state: _State, image_id: _Id, query: Annotated[PixelsQuery, Query()]) -> Response:
    """The film itself, from the archive that it was read from, in the window that is asked for."""
    try:
        film = state.films.png(image_id, query.size, Window(query.width, query.level))
    except (ArchiveError, NotFoundError):
        small = state.service.thumbnail(ImageId(image_id)) if query.stored else None
        if small is None:
            raise
        # The archive may be there again at any time.
        return Response(small, media_type="image/webp", headers={"cache-control": "no-store"})
    return Response(film, media_type="image/png", headers=_IMMUTABLE)


class ValuesQuery(NoQuery):
    """How large a film is wanted."""

    size: DeepSize = "1024"


@router.get(
    "/images/{image_id}/values",
    dependencies=[require("reader")],
    response_class=Response,
    responses={
        200: {
            "content": {"application/octet-stream": {}},
            "headers": {
                f"cxrdex-{name}": {
                    "description": f"{name.title()} of the film.",
                    "schema": {"type": "integer"},
                }
                for name in ("rows", "columns")
            },
        }
    },
)
def values(state: _State, image_id: _Id, query: Annotated[ValuesQuery, Query()]) -> Response:
    """The film with its depth, for a viewer to window.

    Differences from one pixel to the next, 16 bits little-endian, packed by zlib. A value v is the
    grey v / 64 - 255 of what `pixels` shows from 0, black, to 255, white.
    """
    film = state.films.values(image_id, query.size)
    size = {"cxrdex-rows": str(film.rows), "cxrdex-columns": str(film.columns)}
    return Response(
        film.packed, media_type="application/octet-stream", headers={**_IMMUTABLE, **size}
    )


class HeatQuery(SizeQuery):
    """A finding, and how large its map is wanted."""

    label: Annotated[str, Query(max_length=200)]


@router.get(
    "/images/{image_id}/heatmap",
    dependencies=[require("reader")],
    response_class=Response,
    responses={
        200: {
            "content": {"image/png": {}},
            "headers": {
                PROBABILITY: {
                    "description": "Of this film alone; that of its study may differ.",
                    "schema": {"type": "number"},
                }
            },
        }
    },
)
def heatmap(state: _State, image_id: _Id, query: Annotated[HeatQuery, Query()]) -> Response:
    """Where the CNN saw a finding, to lay over `pixels` of the same size."""
    layer = state.films.overlay(image_id, query.label, query.size)
    headers = {**_IMMUTABLE, PROBABILITY: f"{layer.probability:.4f}"}
    return Response(layer.png, media_type="image/png", headers=headers)


@router.get(
    "/images/{image_id}/similar",
    dependencies=[require("reader", "search")],
    response_model=dict[str, Any],
)
async def similar(
    state: _State, image_id: _Id, query: Annotated[SimilarQuery, Query()]
) -> Response:
    """The images most like one of the database."""

    def answer() -> Response:
        return state.json_answer(query.request(image_id, state.among(query)))

    return await state.in_turn(answer)


@router.post(
    "/similar",
    dependencies=[require("reader", "search")],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
    responses={
        408: {"description": "The file did not arrive in time.", "content": PROBLEM},
        413: {"description": "The file is too large.", "content": PROBLEM},
    },
    response_model=dict[str, Any],
)
async def similar_to_file(
    state: _State, query: Annotated[SimilarQuery, Query()], request: Request
) -> Response:
    """The images most like a file, which is the body of the request; nothing of it is kept."""
    upload = Upload(await request.body(), "the file")

    def answer() -> Response:
        return state.json_answer(query.request(upload, state.among(query)))

    return await state.in_turn(answer, reads=True)


@router.get("/studies/{study}", dependencies=[require("reader")])
def study(
    state: _State,
    study: Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="Study id.")],
    _: _Nothing,
) -> dict[str, Any]:
    """The images of a study."""
    with state.service.snapshot() as snapshot:
        images = [*snapshot.database.documents(snapshot.database.image_ids(study=study))]
    if not images:
        raise NotFoundError(f"no study has the id {study}")
    if not state.service.shows_reports:
        images = [document_without_report(one) for one in images]
    return {"study": study, "patient": images[0]["patient"], "images": images}


@router.get("/status", dependencies=[require("reader", "nothing")])
def status(state: _State, _: _Nothing) -> dict[str, Any]:
    """What the database holds, and what it was made with."""
    return state.status()


@router.get("/healthz", dependencies=[require("reader", "nothing")])
def healthz(_: _Nothing) -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=[require("reader", "nothing")])
def readyz(state: _State, _: _Nothing) -> JSONResponse:
    """Whether searches can be answered: the text store is asked."""
    state.service.search(FacetQuery().request())
    return JSONResponse({"status": "ok"})


@router.get(
    "/metrics",
    dependencies=[require("reader", "nothing")],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
def metrics(state: _State, _: _Nothing) -> Response:
    """Counts of requests and their times, and sizes of the database, for Prometheus."""
    return Response(state.metrics_text(), media_type="text/plain; version=0.0.4")


@router.get("/openapi.json", dependencies=[require("reader", "nothing")], include_in_schema=False)
def openapi(request: Request, _: _Nothing) -> JSONResponse:
    """This interface, described."""
    return JSONResponse(request.app.openapi())
