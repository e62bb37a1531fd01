"""The command reference, made from the commands themselves: `python -m cli.reference`."""

from __future__ import annotations

from pathlib import Path

import click

from cli.main import COMMANDS, cxrdex

__all__ = ["render"]

TARGET = Path(__file__).parents[1] / "docs" / "commands.md"


def render() -> str:
    """The Markdown text of docs/commands.md."""
    parts = [
        "# Commands",
        "Written by `make docs` from the commands' own help; a test keeps it true.",
    ]
    root = click.Context(cxrdex, info_name="cxrdex", max_content_width=96, terminal_width=96)
    parts += ["## cxrdex", f"```\n{cxrdex.get_help(root)}\n```"]
    for name in COMMANDS:
        command = cxrdex.get_command(root, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=root)
        context.max_content_width = context.terminal_width = 96
        parts += [f"## cxrdex {name}", f"```\n{command.get_help(context)}\n```"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render())
