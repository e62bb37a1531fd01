"""How a bundle computes: which one, and where and in what its CNN runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexer.cascade.bundle import Bundle

__all__ = ["Compute"]


@dataclass(frozen=True, slots=True)
class Compute:
    """What indexing, searching and evaluating compute with.

    Parameters
    ----------
    bundle
        Folder of the trained bundle; None for the one that ships with cxrdex.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    runtime
        What computes the CNN: ``"auto"``, ``"torch"``, ``"openvino"`` or ``"cuda"``.
    precision
        What it multiplies in: ``"auto"``, ``"float32"``, ``"bf16"`` or ``"int8"``.
    """

    bundle: str | Path | None = None
    device: str = "auto"
    runtime: str = "auto"
    precision: str = "auto"

    def with_default_bundle(self, place: str | None) -> Compute:
        """As this one; where it names no bundle, with that of a database, which lies in `place`."""
        return self if self.bundle is not None else replace(self, bundle=place)

    def load_bundle(self) -> Bundle:
        """The bundle.

        Raises
        ------
        BundleError
            There is none in its folder, or it is damaged.
        """
        from indexer.cascade.bundle import Bundle

        return Bundle.load(None if self.bundle is None else Path(self.bundle))
