"""The command reference, made from the commands themselves: `python -m cli.reference`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.main import COMMANDS, HELP_OPTIONS, cxrdex

__all__ = ["render"]

_WIDTH = 96
TARGET = Path(__file__).parents[1] / "docs" / "commands.md"


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        parent,
        name,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=HELP_OPTIONS,
        show_default=True,
    )


def render() -> str:
    """The Markdown text of docs/commands.md."""
    parts = [
        "# Commands",
        "Written by `make docs` from the commands' own help; a test keeps it true.",
    ]
    root = _context(cxrdex, "cxrdex", None)
    parts += ["## cxrdex", f"```\n{cxrdex.get_help(root)}\n```"]
    for name in COMMANDS:
        command = cxrdex.get_command(root, name)
        assert command is not None
        own = _context(command, name, root)
        parts += [f"## cxrdex {name}", f"```\n{command.get_help(own)}\n```"]
        for part, below in getattr(command, "commands", {}).items():
            shown = below.get_help(_context(below, part, own))
            parts += [f"### cxrdex {name} {part}", f"```\n{shown}\n```"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render())
