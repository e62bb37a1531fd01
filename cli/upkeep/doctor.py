"""`cxrdex doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import bundle_option, format_option
from cli.terminal import echo, emit_json

if TYPE_CHECKING:
    from indexer.installation import Installation

__all__ = ["doctor"]


@click.command()
@bundle_option
@format_option("json")
def doctor(bundle_path: Path | None, form: str) -> None:
    """Show versions, devices, decoders and the bundle; fails where a decoder is missing."""
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
    said = f"{len(bundle.findings)} findings, {len(bundle.labels.composites)} composite labels"
    echo(f"  {bundle.name} {bundle.hash}, {said}")
