"""`cxrdex verify`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import database_option, format_option
from cli.terminal import echo, emit_json

__all__ = ["verify"]


@click.command()
@database_option
@click.option("--repair", is_flag=True, help="Rebuild what is derived: FAISS, text, thumbnails.")
@format_option("json")
def verify(database: Path, repair: bool, form: str) -> None:
    """Check that ledger, shards, FAISS and text agree; exits with 0 only where they do."""
    from indexer.database.layout import Layout
    from indexer.database.upkeep.problems import Repair, Verification
    from indexer.database.upkeep.repair import repair as mend
    from indexer.database.upkeep.verify import verify as check
    from indexer.errors import InconsistentError

    layout = Layout(database)
    result = mend(database) if repair else Repair((), tuple(check(database)))
    found = Verification.of(layout, result.problems, result.done)
    if form == "json":
        emit_json(found.to_json())
    else:
        for done in found.repaired:
            echo(done)
        for problem in found.problems:
            echo(f"{problem.where}: {problem.detail}; {problem.repair}")
        if not found.problems:
            on_server = layout.read_manifest().vectors == "elasticsearch"
            stores = "Elasticsearch" if on_server else "FAISS, text"
            echo(f"consistent: ledger, shards, {stores} and thumbnails agree")
            if found.generation:
                echo(f"FAISS: {found.generation.summary(0, 0)}")
    if found.problems:
        raise InconsistentError(f"{database} is inconsistent in {len(found.problems)} ways")
