"""What is installed here: versions of packages, devices, decoders and a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.archive.decoders.transfer_syntaxes import DecoderStatus
    from indexer.cascade.bundle import Bundle

__all__ = ["PACKAGES", "Installation"]

#: Packages that decide how files are read, and how fast.
PACKAGES = (
    "cxrdex",
    "torch",
    "openvino",
    "faiss-gpu",
    "faiss-cpu",
    "elasticsearch",
    "tantivy",
    "pydicom",
    "python-gdcm",
    "pyjpegls",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "pillow",
    "sentence-transformers",
    "timm",
)


@dataclass(frozen=True, slots=True)
class Installation:
    """What is there of what cxrdex needs.

    Parameters
    ----------
    versions
        By package; None of one that is not installed.
    devices
        What can compute.
    decoders
        What decodes each transfer syntax of DICOM.
    bundle
        The bundle.
    """

    versions: dict[str, str | None]
    devices: dict[str, Any]
    decoders: Sequence[DecoderStatus]
    bundle: Bundle

    @classmethod
    def here(cls, bundle: Bundle) -> Installation:
        """As it is on this machine."""
        from indexer.archive.decoders.transfer_syntaxes import decoders

        versions = {package: _version(package) for package in PACKAGES}
        return cls(versions, _devices(), decoders(), bundle)

    @property
    def undecodable(self) -> list[str]:
        """Transfer syntaxes without a decoder."""
        return [one.transfer_syntax for one in self.decoders if not one.available]

    def to_json(self) -> dict[str, Any]:
        """A JSON object, as docs/output.md describes it."""
        return {
            "versions": self.versions,
            "devices": self.devices,
            "decoders": [
                {
                    "transfer_syntax": one.transfer_syntax,
                    "decoder": one.plugin,
                    "available": one.available,
                }
                for one in self.decoders
            ],
            "bundle": {
                "name": self.bundle.name,
                "hash": self.bundle.hash,
                "findings": list(self.bundle.findings),
                "composites": list(self.bundle.labels.composites),
            },
        }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> dict[str, Any]:
    import faiss
    import torch

    from indexer.cascade.runtimes import NAMES, available, choose

    return {
        "runtime": choose(),
        "runtimes": [name for name in NAMES if name != "auto" and available(name)],
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cpu_threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())],
        "faiss_gpus": faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0,
    }
