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
    from indexer.database.vectors.generation import current_generation
    from indexer.database.verify import repair as mend
    from indexer.database.verify import verify as check
    from indexer.errors import InconsistentError

    problems = mend(database) if repair else check(database)
    generation = current_generation(Layout(database).vectors)
    if form == "json":
        answer = {
            "consistent": not problems,
            "problems": [p.to_json() for p in problems],
            "vectors": generation.to_json() if generation else None,
        }
        emit_json(answer)
    else:
        for problem in problems:
            echo(f"{problem.where}: {problem.detail}; {problem.repair}")
        if not problems:
            on_server = Layout(database).read_manifest().vectors == "elasticsearch"
            stores = "Elasticsearch" if on_server else "FAISS, text"
            echo(f"consistent: ledger, shards, {stores} and thumbnails agree")
            if generation:
                echo(f"FAISS: {generation.summary(0, 0)}")
    if problems:
        raise InconsistentError(f"{database} is inconsistent in {len(problems)} ways")
