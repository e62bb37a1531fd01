"""`cxrdex demo`."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import click

from cli.terminal import echo

__all__ = ["demo"]


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep archive and database here.  [default: a temporary folder]",
)
@click.option("--studies", type=click.IntRange(12), default=80, help="Studies to simulate.")
def demo(folder: Path | None, studies: int) -> None:
    """Index a small simulated archive, then search it by picture and by words.

    The archive is made from one public radiograph: DICOM studies in many encodings, some with
    simulated findings, mixed with files that are no chest radiographs and with broken ones.
    """
    from indexer.simulation import simulate_archive

    with nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="cxrdex-") as home:
        root = Path(home)
        root.mkdir(parents=True, exist_ok=True)
        # A demonstration leaves nothing in the user's configuration.
        os.environ.setdefault("CXRDEX_KEY_FILE", str(root / "key"))
        archive, database = root / "archive", str(root / "database")
        made = simulate_archive(archive, studies)
        echo(f"{archive}: {len(made.files)} files of a simulated archive")
        films = [f for f in made.files if f.outcome == "done" and (archive / f.name).is_file()]
        # Films whose only finding is an effusion come first; a small archive may have none.
        films.sort(key=lambda film: [f.kind for f in film.findings] != ["effusion"])
        example = films[0].name
        reports = ["--reports", str(made.reports)]
        _run("index", str(archive), *reports, "--database", database)
        _run("status", "--database", database)
        _run("failures", "--database", database)
        _run("similar", str(archive / example), "-k", "5", "--database", database)
        _run("search", '"pleural effusion on the left"', "--limit", "5", "--database", database)
        _run("verify", "--database", database)
        if folder is None:
            echo()
            echo("Nothing of it is kept; `cxrdex demo --folder FOLDER` keeps it for the browser.")
        else:
            _tell_how_to_open(database)


def _tell_how_to_open(database: str) -> None:
    """Say the command that opens the database in the browser, as this one was called."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        program = f"{shlex.quote(sys.executable)} -m cli"
    elif shutil.which(called.name) == str(called):
        program = called.name
    else:
        program = shlex.quote(os.path.relpath(called))
    if importlib.util.find_spec("uvicorn") is None:
        echo()
        echo("The browser needs the extra: pip install 'cxrdex[web]'; then", bold=True)
    else:
        echo()
        echo("In the browser, at http://127.0.0.1:8000/ until Ctrl-C:", bold=True)
    echo(f"{program} serve --database {shlex.quote(database)}")


def _run(*words: str) -> None:
    """Show a command as a user would type it, then run it."""
    from cli.main import cxrdex

    echo()
    echo(f"$ cxrdex {shlex.join(words)}", bold=True)
    cxrdex.main([*words], prog_name="cxrdex", standalone_mode=False)
