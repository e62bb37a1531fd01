"""`cxrdex plan`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from cli.options import FiniteRange, format_option
from cli.terminal import echo, emit_json

if TYPE_CHECKING:
    from indexer.planning.plan import Plan

__all__ = ["plan"]

_TIMES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}


class _Count(click.ParamType[int]):
    """A number such as 250000, 100M or 1.5k."""

    name = "count"

    def convert(self, value: object, param: object, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([kmgb]?)", str(value).strip().lower())
        count = round(float(found[1]) * _TIMES[found[2]]) if found else 0
        if not 1 <= count <= 10**12:
            self.fail(f"{value!r} is no number of images such as 250000, 100M or 1.5G")
        return count


class _Mix(click.ParamType[dict[str, float]]):
    """Percent by encoding."""

    name = "mix"

    def convert(self, value: object, param: object, ctx: click.Context | None) -> dict[str, float]:
        mix: dict[str, float] = {}
        for item in str(value).split(","):
            name, _, share = item.strip().partition("=")
            if name in mix:
                self.fail(f"{name!r} stands twice in it")
            try:
                mix[name] = float(share)
            except ValueError:
                self.fail(f"{item!r} is no share such as jpeg2000=25")
            if not 0 <= mix[name] <= 1e6:
                self.fail(f"{item!r}: a share lies between 0 and 100")
        return mix


@click.command()
@click.option("--images", required=True, type=_Count(), metavar="N", help="Chest films: 2M, 100M.")
@click.option(
    "--modality-mix",
    "mix",
    type=_Mix(),
    metavar="NAME=PERCENT,...",
    help="How the films are encoded, together 100 (uncompressed, jpeg2000, jpeg2000-lossy, "
    "jpeg-lossless, jpeg-ls, rle, jpeg, png); other=N for N files of other kinds, which are looked "
    "at and skipped, for each hundred films.  [default: "
    "uncompressed=50,jpeg2000=25,jpeg-lossless=25]",
)
@click.option(
    "--hours",
    type=FiniteRange(min=0, min_open=True),
    default=168.0,
    show_default=True,
    help="In which the first run is to end.",
)
@click.option(
    "--cores", type=click.IntRange(1), help="Cores there are; takes the place of --hours."
)
@click.option("--json", "as_json", is_flag=True, help="As --format json.")
@format_option("json")
def plan(
    images: int,
    mix: dict[str, float] | None,
    hours: float,
    cores: int | None,
    as_json: bool,
    form: str,
) -> None:
    """Say what an archive of some size needs: hours, cores, disk, memory, network, shards.

    Every number comes from a measurement that is kept with cxrdex, which it names, and says whether
    it was measured at about this size or is extrapolated from another one; what breaks first, and
    the commands to run, come last.
    """
    from indexer.planning.plan import make_plan

    made = make_plan(images, mix, hours=hours, cores=cores)
    if as_json or form == "json":
        emit_json(made.to_json())
        return
    _print(made)


def _print(made: Plan) -> None:
    mix = ", ".join(f"{name} {share:g}" for name, share in made.mix.items())
    echo(f"{made.images:,} chest films ({mix})", bold=True)
    width = max(len(number.name) for number in made.numbers)
    for number in made.numbers:
        shown = f"{number.value:,g}" if number.value < 1e6 else f"{number.value:,.0f}"
        echo(f"  {number.name:<{width}}  {shown} {number.unit}  [{number.how}]")
        if number.note:
            echo(f"  {'':<{width}}    {number.note}")
        for source in number.sources:
            echo(f"  {'':<{width}}    {source}")
    echo("What breaks first", bold=True)
    for limit in made.limits:
        reached = "reached" if limit.images <= made.images else "not reached"
        echo(f"  at {limit.images:,.0f} images ({reached}): {limit.what} [{limit.how}]")
        echo(f"    {limit.advice}")
        for source in limit.sources:
            echo(f"    {source}")
    echo("To run", bold=True)
    for command in made.commands:
        echo(f"  {command}")
