"""How good the bundle is on the val part of each source: every table of `docs/results.md` that
`cxrdex evaluate` makes, one after the other.

    python -m benchmarks.evaluations ../shared [--before BUNDLE]

With ``--before`` another bundle is judged by the same commands, beside the one that ships.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.record import write_result

#: Name of the result, data set, protocol, and whether the bundle before is judged by it, too.
_EVALUATIONS: tuple[tuple[str, str, str, bool], ...] = (
    ("product-val", "openi", "product", True),
    ("product-nih-val", "nih", "product", True),
    ("words-roco-val", "roco", "words", True),
    ("words-val", "openi", "words", True),
    ("retrieval-val", "openi", "retrieval", True),
    # The bundle before has no operating point.
    ("paper-val", "openi", "paper", False),
)


@click.command()
@click.argument("shared", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--before", type=click.Path(path_type=Path, exists=True), help="Another bundle.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([name for name, *_ in _EVALUATIONS]),
    help="Make these results alone; may be given several times.",
)
def main(shared: Path, before: Path | None, only: tuple[str, ...]) -> None:
    """Judge the bundle that ships by the sources in SHARED, and keep what comes out."""
    for name, source, protocol, comparable in _EVALUATIONS:
        if only and name not in only:
            continue
        _evaluate(name, shared / source, protocol, None)
        if before is not None and comparable:
            _evaluate(f"{name}-before", shared / source, protocol, before)


def _evaluate(name: str, dataset: Path, protocol: str, bundle: Path | None) -> None:
    """Run one command and keep its scores."""
    words = [str(dataset), "--part", "val", "--protocol", protocol]
    other = [] if bundle is None else ["--bundle", str(bundle)]
    command = [sys.executable, "-m", "cli", "evaluate", *words, *other, "--format", "json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    # The path of the other bundle is of this machine; its hash is among the scores.
    told = " ".join(["cxrdex evaluate", *words, *(["--bundle", "BEFORE"] if bundle else [])])
    write_result(name, {"command": told, **json.loads(done.stdout)})


if __name__ == "__main__":
    main()
