"""Thumbnails drawn in terminals that can: kitty's protocol, iTerm's, or sixels."""

from __future__ import annotations

import base64
import io
import os
import re
import select
import sys
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["GraphicsProtocol", "drawn", "protocol"]

GraphicsProtocol: TypeAlias = Literal["kitty", "iterm", "sixel"]

# Height of a thumbnail in lines of text, and in pixels where a terminal counts these.
_LINES, _PIXELS = 10, 180
_LEVELS = 64
_ANSWER_SECONDS = 0.2
# A terminal's answer to "primary device attributes"; 4 among its numbers means that it draws
# sixels.
_ATTRIBUTES = re.compile(rb"\x1b\[\?([0-9;]*)c")


def protocol() -> GraphicsProtocol | None:
    """How this terminal draws pictures; None where it cannot, or where stdout is none."""
    if not sys.stdout.isatty():
        return None
    if os.environ.get("KITTY_WINDOW_ID") or "kitty" in os.environ.get("TERM", ""):
        return "kitty"
    if os.environ.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return "iterm"
    return "sixel" if b"4" in _attributes().split(b";") else None


def drawn(picture: bytes, how: GraphicsProtocol) -> str:
    """The escape sequence that draws an image file.

    Parameters
    ----------
    picture
        A WebP, PNG or JPEG file.
    """
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        image = opened.convert("L")
    if how == "sixel":
        image.thumbnail((4 * _PIXELS, _PIXELS))
        return _sixels(image)
    file = io.BytesIO()
    image.save(file, "PNG")
    if how == "iterm":
        text = base64.b64encode(file.getvalue()).decode()
        return f"\x1b]1337;File=inline=1;height={_LINES};size={len(file.getvalue())}:{text}\a"
    return _kitty(base64.b64encode(file.getvalue()).decode())


def _kitty(text: str) -> str:
    parts = [text[start : start + 4096] for start in range(0, len(text), 4096)]
    keys = [f"a=T,f=100,r={_LINES},"] + [""] * (len(parts) - 1)
    more = [1] * (len(parts) - 1) + [0]
    return "".join(
        f"\x1b_G{key}m={follows};{part}\x1b\\"
        for key, follows, part in zip(keys, more, parts, strict=True)
    )


def _sixels(image: Image) -> str:
    """Grey pixels, six rows at a time; the colours of a row of sixels are drawn over each other."""
    import numpy as np

    rows = np.asarray(image).astype(np.uint16) * (_LEVELS - 1) // 255
    rows = np.pad(rows, ((0, -len(rows) % 6), (0, 0)), mode="edge")
    colours = (f"#{n};2;{n * 100 // 63};{n * 100 // 63};{n * 100 // 63}" for n in range(_LEVELS))
    bands = []
    for band in rows.reshape(-1, 6, rows.shape[1]):
        lines = []
        for level in np.unique(band):
            bits = ((band == level) << np.arange(6)[:, None]).sum(0) + 63
            lines.append(f"#{level}" + "".join(map(chr, bits.tolist())))
        bands.append("$".join(lines))
    return (
        f'\x1bP0;1q"1;1;{rows.shape[1]};{len(rows)}' + "".join(colours) + "-".join(bands) + "\x1b\\"
    )


def _attributes() -> bytes:
    """The numbers by which a terminal says what it can; empty where it is silent."""
    try:
        import termios
        import tty
    except ImportError:
        return b""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        before = termios.tcgetattr(terminal)
        try:
            tty.setcbreak(terminal)
            os.write(terminal, b"\x1b[c")
            answer = b""
            while select.select([terminal], [], [], _ANSWER_SECONDS)[0]:
                answer += os.read(terminal, 64)
                if found := _ATTRIBUTES.search(answer):
                    return found[1]
            return b""
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
    finally:
        os.close(terminal)
