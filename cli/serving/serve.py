"""`cxrdex serve`."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.logs import log_on_stderr
from cli.options import compute_options, database_option
from cli.serving.audit import AuditOptions, audit_options
from cli.serving.sign_in import sign_in_options
from cli.serving.user import ROLE
from cli.terminal import echo

if TYPE_CHECKING:
    from indexer.cascade.compute import Compute
    from search.web.people.person import Role
    from search.web.people.settings import SignInSettings

__all__ = ["serve"]

# An idle connection is kept for longer than nginx (60 s) and browsers keep one: a request that is
# sent while the server closes its connection is lost.
_IDLE_SECONDS = 75


@click.command()
@database_option
@click.option(
    "--host",
    default="127.0.0.1",
    help="Address to listen on; one that other machines reach needs a sign-in.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    help="Its port; 0 for any that is free.",
)
@click.option(
    "--max-upload",
    type=click.IntRange(1),
    default=128,
    metavar="MIB",
    help="Size that an uploaded film may have.",
)
@click.option(
    "--uploads-at-once",
    type=click.IntRange(1),
    default=64,
    metavar="COUNT",
    help="Films that are received and answered at a time, of 512 MiB together.",
)
@click.option(
    "--viewer",
    metavar="ADDRESS",
    help="Link to another viewer on case pages; {study} and {image} stand for the ids, {study_uid} "
    "for the original Study Instance UID, which is read from the film's file at the click.",
)
@click.option(
    "--viewer-role",
    type=ROLE,
    default="administrator",
    help="Role from which on people are led to originals by {study_uid}.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="Host name by which browsers may call it, beside its address. May be repeated.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Its certificates (PEM), for https.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Key of the certificate (PEM).",
)
@click.option(
    "--reports",
    type=ROLE,
    default="reader",
    help="Role from which on people see the text of reports.",
)
@click.option(
    "--request-rate",
    type=click.IntRange(0),
    default=1200,
    help="Requests a minute of one person; 0 for any number. Counts where there is a sign-in.",
)
@click.option(
    "--upload-rate",
    type=click.IntRange(0),
    default=30,
    help="Films a minute that one person may send; as above.",
)
@sign_in_options
@audit_options
@compute_options
@click.pass_context
def serve(
    context: click.Context,
    *,
    database: Path,
    host: str,
    port: int,
    max_upload: int,
    uploads_at_once: int,
    viewer: str | None,
    viewer_role: Role,
    names: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    reports: Role,
    request_rate: int,
    upload_rate: int,
    sign_in: SignInSettings | None,
    audit: AuditOptions,
    compute: Compute,
) -> None:
    """Answer searches in the browser and over a REST API, until Ctrl-C.

    Without a sign-in (--users, --proxy-header, --openid) it listens on addresses of this machine
    alone, and whoever uses the machine may do everything. Images that an index run brings meanwhile
    are found without a restart. Needs the extra `web`.
    """
    # Requests are answered side by side: one that took all cores would make the others wait, and
    # threads that wait for each other's part take processor time too.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from indexer.errors import CxrdexError, MissingExtraError
    from indexer.memory import share_heaps
    from search.service import SearchService

    try:
        import uvicorn

        from search.web.app import create_app
        from search.web.settings import WebSettings, is_loopback
    except ImportError as error:
        raise MissingExtraError("serving needs the extra: pip install 'cxrdex[web]'") from error
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    settings = WebSettings(
        host=host,
        port=port,
        names=names,
        sign_in=sign_in,
        upload_bytes=max_upload << 20,
        uploads_at_once=uploads_at_once,
        request_rate=request_rate,
        upload_rate=upload_rate,
        viewer=viewer,
        viewer_role=viewer_role,
        reports=reports,
    )
    if tls_cert is None and not is_loopback(host) and sign_in and not sign_in.proxies:
        echo("Passwords travel readably to this address: add --tls-cert and --tls-key", err=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if audit.path is not None:
        # Whoever cuts the end of the audit is found by the hashes in this log.
        log_on_stderr(context)
    share_heaps()
    # The server hands the signal back when it has ended; what is open here is then closed too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        SearchService(database, compute, decoders=2) as service,
        audit.open() or nullcontext() as trail,
        socket.socket(family) as door,
    ):
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
        except OSError as error:
            raise CxrdexError(f"cannot listen on {host} port {port}: {error.strerror}") from error
        # Listening begins before the address is printed, so that whoever reads it can connect at
        # once.
        door.listen()
        # The access log is off: questions are never logged.
        config = uvicorn.Config(
            create_app(service, settings, trail),
            log_level="warning",
            access_log=False,
            lifespan="on",
            # Proxy headers are left to `search.web.people.door`, which knows the trusted proxies.
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_IDLE_SECONDS,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
        )
        name = names[0] if names else f"[{host}]" if ":" in host else host
        scheme = "https" if tls_cert else "http"
        echo(f"{scheme}://{name}:{door.getsockname()[1]}/ answers; Ctrl-C ends it")
        try:
            uvicorn.Server(config).run(sockets=[door])
        except ssl.SSLError as error:
            raise CxrdexError(f"--tls-cert {tls_cert}: {error.reason or error}") from error
