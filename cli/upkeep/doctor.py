"""`cxrdex doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import Folder, bundle_option, format_option
from cli.terminal import echo, emit_json

if TYPE_CHECKING:
    from indexer.installation import Installation

__all__ = ["doctor"]

# What counts are of, where their key alone would say something else.
_COUNTED = {
    "reports": "images with a report",
    "forgotten": "patients, studies and images forgotten",
}


def _show_privacy(database: Path, form: str) -> None:
    from indexer.database.upkeep.privacy import look

    found = look(database)
    if form == "json":
        emit_json(found.to_json())
        return
    for what, count in found.counts.items():
        echo(f"{count:10} {_COUNTED.get(what, what)}")
    for holding in found.holdings:
        size = "" if holding.bytes is None else f" ({holding.bytes / 2**20:.1f} MiB)"
        echo(f"{holding.part}{size}", bold=True)
        echo(f"  holds: {holding.holds}")
        echo(f"  readers: {holding.readers}")
    for warning in found.warnings:
        echo(f"Warning: {warning}", err=True)


@click.command()
@bundle_option
@click.option(
    "--privacy",
    type=Folder(),
    metavar="DB",
    help="Show instead who can read a database, and what of a patient is where in it.",
)
@format_option("json")
def doctor(bundle_path: Path | None, privacy: Path | None, form: str) -> None:
    """Show versions, devices, decoders and the bundle; fails where a decoder is missing."""
    if privacy is not None:
        _show_privacy(privacy, form)
        return
    from indexer.cascade.bundle import Bundle
    from indexer.errors import MissingExtraError
    from indexer.installation import Installation

    found = Installation.here(Bundle.load(bundle_path))
    if form == "json":
        emit_json(found.to_json())
    else:
        _show(found)
    if found.undecodable:
        missing = ", ".join(found.undecodable)
        raise MissingExtraError(f"no decoder for {missing}: install cxrdex anew")


def _show(found: Installation) -> None:
    for section, values in (("versions", found.versions), ("devices", found.devices)):
        echo(section, bold=True)
        for name, value in values.items():
            echo(f"  {name:22} {value if value is not None else 'not installed'}")
    echo("decoders", bold=True)
    for decoder in found.decoders:
        state = decoder.plugin if decoder.available else "MISSING"
        echo(f"  {state:10} {decoder.transfer_syntax}")
    echo("bundle", bold=True)
    bundle = found.bundle
    contents = f"{len(bundle.findings)} findings, {len(bundle.labels.composites)} composite labels"
    echo(f"  {bundle.name} {bundle.hash}, {contents}")
