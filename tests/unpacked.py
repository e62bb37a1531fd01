"""Every byte that a folder holds, unpacked where an embedded text store packs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

__all__ = ["contents"]

# tantivy ends each file with a footer in JSON, its length and a number that says so.
_MAGIC = 1337
# A store ends with where its blocks end, how they are packed, and space for more.
_STORE_FOOTER, _LZ4 = 24, 1


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The bytes of every file, by its path inside the folder.

    Documents of tantivy (``*.store``) follow unpacked, and of each of its indexes the terms that
    its dictionaries hold, also those of deleted documents, which it lists as ``NAME/terms``.
    Of other packed files, such as its columns (``*.fast``), there are the packed bytes alone.
    """
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name, data = str(path.relative_to(folder)), path.read_bytes()
        yield name, data
        if path.suffix == ".store":
            yield f"{name} unpacked", _documents(data)
        if path.name == "meta.json":
            yield f"{path.parent.relative_to(folder)}/terms", _terms(path.parent)


def _terms(index: Path) -> bytes:
    import tantivy

    fields = json.loads((index / "meta.json").read_bytes())["schema"]
    names = [f["name"] for f in fields if f["type"] == "text" and f["options"]["indexing"]]
    searcher = tantivy.Index.open(str(index)).searcher()
    found = (term for name in names for term, _ in searcher.terms_with_prefix(name, ""))
    return "\n".join(found).encode()


def _documents(store: bytes) -> bytes:
    """The blocks of a store of tantivy, one after the other."""
    size, magic = (int.from_bytes(store[at:][:4], "little") for at in (-8, -4))
    assert magic == _MAGIC, "another format of tantivy"
    footer = store[: -8 - size][-_STORE_FOOTER:]
    end, packing = int.from_bytes(footer[:8], "little"), footer[8]
    assert packing == _LZ4, "another compression of tantivy"
    blocks, place = [], 0
    while place < end:
        length = int.from_bytes(store[place : place + 4], "little")
        block, place = _unpack(store, place + 4, length)
        blocks.append(block)
    assert place == end
    return b"".join(blocks)


def _unpack(data: bytes, place: int, length: int) -> tuple[bytes, int]:
    """A block of LZ4 that is `length` bytes long unpacked, and where it ends."""
    unpacked = bytearray()

    def more(count: int) -> int:
        nonlocal place
        if count == 15:
            while True:
                place += 1
                count += data[place - 1]
                if data[place - 1] < 255:
                    break
        return count

    while True:
        token = data[place]
        place += 1
        literals = more(token >> 4)
        unpacked += data[place : place + literals]
        place += literals
        if len(unpacked) >= length:
            assert len(unpacked) == length
            return bytes(unpacked), place
        distance = int.from_bytes(data[place : place + 2], "little")
        place += 2
        start = len(unpacked) - distance
        for at in range(more(token & 15) + 4):
            # One by one, as a match may reach into what it makes.
            unpacked.append(unpacked[start + at])
