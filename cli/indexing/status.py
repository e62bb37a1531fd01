"""`cxrdex status`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

__all__ = ["status"]


@click.command()
@database_option
@format_option("json")
def status(database: Path, form: str) -> None:
    """Count what a database holds, and say what it was made with."""
    from indexer.database.reader import Database
    from indexer.database.vectors.generation import current_generation

    with Database.open(database) as opened:
        last = opened.last_run()
        manifest, archives = opened.manifest, opened.ledger.files.by_archive()
        generation = current_generation(opened.layout.vectors)
        fresh, dead = (
            generation.differs(opened.ledger.shards.all()) if generation else (len(opened), 0)
        )
        vectors = {**generation.to_json(), "fresh": fresh, "dead": dead} if generation else None
        answer = {
            "images": opened.counts(),
            "reasons": opened.reasons(),
            "indexed": len(opened),
            "studies": opened.ledger.images.studies,
            "patients": opened.ledger.images.patients,
            "archives": archives,
            "waiting_documents": opened.ledger.outbox.count,
            "vectors": vectors,
            "manifest": asdict(manifest),
            "last_run": asdict(last) if last else None,
        }
        if form == "json":
            emit_json(answer)
            return
        rows = [
            ("files", ", ".join(f"{count} {name}" for name, count in opened.counts().items())),
            ("indexed", f"{len(opened)} images of {answer['studies']} studies"),
            *(("archive", f"{path}: {count} files") for path, count in archives.items()),
            ("bundle", f"{manifest.bundle_name} {manifest.bundle}"),
            ("text store", manifest.text),
            ("vectors", generation.summary(fresh, dead) if generation else "no FAISS index"),
        ]
        if answer["waiting_documents"]:
            rows.append(("waiting", f"{answer['waiting_documents']} documents for the text store"))
        if last:
            rows.append(("last run", f"{last.state}, {last.finished or last.started}"))
        for name, value in rows:
            echo(f"{name:12} {value}")
        for kind, reasons in opened.reasons().items():
            for reason, count in reasons.items():
                echo(f"{kind:12} {count} {reason.replace('_', ' ')}")
