"""`cxrdex serve`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import compute_options, database_option
from cli.terminal import echo

if TYPE_CHECKING:
    from indexer.cascade.compute import Compute

__all__ = ["serve"]


@click.command()
@database_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; as there is no sign-in, one of this machine alone.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Its port; 0 for any that is free.",
)
@click.option(
    "--max-upload",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    metavar="MIB",
    help="Size that an uploaded film may have.",
)
@click.option(
    "--viewer",
    metavar="ADDRESS",
    help="Link to another viewer on case pages; {study} and {image} stand for the ids.",
)
@compute_options
def serve(
    *,
    database: Path,
    host: str,
    port: int,
    max_upload: int,
    viewer: str | None,
    compute: Compute,
) -> None:
    """Answer searches in the browser and over a REST API, until Ctrl-C.

    Images that an index run brings meanwhile are found without a restart. Needs the extra `web`.
    """
    from indexer.errors import CxrdexError, MissingExtraError
    from search.service import SearchService

    try:
        import uvicorn

        from search.web.app import create_app
        from search.web.settings import WebSettings
    except ImportError as error:
        raise MissingExtraError("serving needs the extra: pip install 'cxrdex[web]'") from error
    settings = WebSettings(host=host, port=port, upload_bytes=max_upload << 20, viewer=viewer)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with SearchService(database, compute, decoders=2) as service, socket.socket(family) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
        except OSError as error:
            raise CxrdexError(f"cannot listen on {host} port {port}: {error.strerror}") from error
        name = f"[{host}]" if ":" in host else host
        echo(f"http://{name}:{door.getsockname()[1]}/ answers; Ctrl-C ends it")
        # What people ask is in no log.
        config = uvicorn.Config(
            create_app(service, settings), log_level="warning", access_log=False, lifespan="on"
        )
        uvicorn.Server(config).run(sockets=[door])
