"""`cxrdex index`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.indexing.options import choices_options, processing_options, selection_options
from cli.indexing.progress import shown
from cli.options import ArchivePath, Folder, compute_options, database_option, format_option
from cli.terminal import echo, emit_json, one_line

if TYPE_CHECKING:
    from indexer.cascade.compute import Compute
    from indexer.database.choices import Choices
    from indexer.pipeline.options import FileProcessing, FileSelection
    from indexer.pipeline.reports import ReportCount
    from indexer.pipeline.run import Summary
    from indexer.pipeline.stages.meters import StagesUse

__all__ = ["index"]

# Whether small values are white; None for as the header has it.
_POLARITIES = {"MONOCHROME1": True, "MONOCHROME2": False, "HEADER": None}


@click.command()
@click.argument("archives", nargs=-1, required=True, type=ArchivePath())
@database_option
@click.option(
    "--reports",
    type=Folder(),
    help="Folder of reports to attach: Open-i *.xml, HL7 messages, or texts (*.txt, *.rtf, *.html) "
    "named by file stem, folder, SOPInstanceUID, StudyInstanceUID or AccessionNumber.",
)
@click.option(
    "--list-reports",
    is_flag=True,
    help="Name the report files that cannot be read or that no image has; names may hold patient "
    "data.",
)
@click.option(
    "--labels",
    "label_sets",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DATASET",
    help="A data set whose labels, annotations or captions become those of the images of the same "
    "names, as people's words: a folder with dataset.toml, or a published collection such as "
    "CheXpert (docs/datasets.md). May be given several times.",
)
@selection_options
@click.option("--yes", is_flag=True, help="With --prune: drop whatever is gone, without asking.")
@click.option("--strict", is_flag=True, help="End with exit code 10 where files failed.")
@choices_options
@compute_options
@processing_options
@click.option(
    "--polarity",
    "polarities",
    multiple=True,
    metavar="MAKER=MONOCHROME1|MONOCHROME2|HEADER",
    help="Whether small values are white (MONOCHROME1) in films of a manufacturer whose headers "
    "have it wrong; HEADER to believe them again. The database remembers it, for query films too; "
    "what was read before stays as it is until --reread. May be repeated.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
@format_option("json")
def index(
    *,
    archives: tuple[Path | str, ...],
    database: Path,
    reports: Path | None,
    list_reports: bool,
    label_sets: tuple[Path, ...],
    selection: FileSelection,
    yes: bool,
    strict: bool,
    choices: Choices,
    compute: Compute,
    processing: FileProcessing,
    polarities: tuple[str, ...],
    quiet: bool,
    form: str,
) -> None:
    """Read every chest X-ray of the ARCHIVES into a database.

    An archive is a folder, a zip or tar file, a DICOMDIR, a folder in the layout of the Open-i
    download, or an address (s3://bucket/prefix, https://..., with the extra `remote`). Run again,
    only what is new or changed is read. One bad file never stops a run: `cxrdex failures` lists
    those. Ctrl-C stops cleanly, and the next run goes on.
    """
    from indexer.database.choices import choose_text
    from indexer.database.layout import Layout
    from indexer.errors import FilesFailed, PruneRefused
    from indexer.pipeline.run import index as run_index
    from search.service import prepare_meanings

    note = None
    if not quiet and not Layout(database).is_made:
        _, url, why = choose_text(
            choices.text_store, choices.elasticsearch_url, choices.vector_store
        )
        place = f"Elasticsearch at {url}" if url else "an index in its folder"
        note = f"The new database keeps words in {place} ({why})."

    choices = replace(choices, polarity=dict(map(_polarity, polarities)))

    def run(selection: FileSelection) -> Summary:
        with shown(quiet or form == "json", note) as progress:
            summary = run_index(
                archives,
                database,
                reports=reports,
                labels=label_sets,
                compute=compute,
                choices=choices,
                selection=selection,
                processing=processing,
                progress=progress,
            )
            prepare_meanings(database, summary)
            return summary

    whatever = replace(selection, prune_limit=None)
    try:
        summary = run(whatever if yes else selection)
    except PruneRefused as error:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        echo(str(error), err=True)
        click.confirm("Drop them?", abort=True, err=True)
        summary = run(whatever)
    if form == "json":
        emit_json(summary.to_json())
    else:
        print_summary(summary)
    if list_reports and summary.reports is not None:
        for line in summary.reports.names:
            echo(one_line(line), err=form == "json")
    if summary.waiting:
        echo(
            f"Warning: {summary.waiting} documents wait for Elasticsearch; images can be searched, "
            f"words cannot yet. `cxrdex sync --database {database}` sends them.",
            err=True,
        )
    if summary.interrupted:
        echo("Interrupted; run the same command again to go on.", err=True)
        sys.exit(130)
    if strict and summary.failed:
        raise FilesFailed(f"{summary.failed} files failed; `cxrdex failures` lists them")


def _polarity(text: str) -> tuple[str, bool | None]:
    maker, _, meaning = text.rpartition("=")
    meaning = meaning.strip().upper()
    if not maker.strip() or meaning not in _POLARITIES:
        raise click.BadParameter(
            f"{text}: name a manufacturer and MONOCHROME1, MONOCHROME2 or HEADER, as in "
            '"Acme=MONOCHROME2"',
            param_hint="--polarity",
        )
    return " ".join(maker.casefold().split()), _POLARITIES[meaning]


def _print_stages(use: StagesUse) -> None:
    names = [
        (f"{stage.host} " if stage.host else "")
        + (stage.stage if stage.workers == 1 else f"{stage.stage} x{stage.workers}")
        for stage in use.stages
    ]
    width = max([10, *map(len, names)])
    for stage, name in zip(use.stages, names, strict=True):
        waits = ", ".join(f"{share:.0%} {what}" for what, share in stage.waits.items() if share)
        echo(f"  {name:<{width}} {stage.busy:4.0%} busy; waits: {waits or 'none'}")
    cores = "" if use.processor is None else f"{use.cores} cores {use.processor:.0%} busy; "
    echo(f"  {cores}limited by: {use.limit}")


def _print_reports(reports: ReportCount) -> None:
    """How many reports there are, and what matched nothing."""
    if reports.without_image:
        echo(f"  {reports.without_image} of {reports.files} reports belong to no image")
    elif reports.files:
        echo(f"  {reports.files} reports, each of an image")
    for reason, count in reports.unreadable.items():
        echo(f"  {count} report files left out: {reason}")
    if reports.without_image or reports.unreadable:
        echo("  --list-reports names them.")


def print_summary(summary: Summary) -> None:
    """What a run did, and why it left files out."""
    from indexer.archive.notes import NOTES

    echo(
        f"{summary.total} files: {summary.done} done, {summary.duplicate} duplicate, "
        f"{summary.skipped} skipped, {summary.failed} failed, {summary.unchanged} unchanged; "
        f"{summary.seconds:.1f} s, {summary.images_per_second:.1f} images/s"
    )
    if summary.stages is not None:
        _print_stages(summary.stages)
    for status, reasons in summary.reasons.items():
        for reason, count in reasons.items():
            echo(f"  {status} {count:6} {reason.replace('_', ' ')}")
    for note, count in summary.notes.items():
        echo(f"  noted   {count:6} {note.replace('_', ' ')}: {NOTES[note]}")
    for count, what in (
        (summary.left, "files are left to be read"),
        (summary.reports_changed, "images got a new or changed report, or lost a withdrawn one"),
        (summary.labels_unmatched, "labelled images of the data sets are none of the files read"),
    ):
        if count:
            echo(f"  {count} {what}")
    if summary.reports is not None:
        _print_reports(summary.reports)
    if summary.pruned:
        echo(f"  {summary.pruned} files gone from the archive were dropped")
    elif summary.removed:
        echo(f"  {summary.removed} files are gone from the archive; --prune drops their images")
    if summary.failed or summary.skipped:
        echo("`cxrdex failures` lists the files.")
