"""Makes ``data/database-VERSION.zip``, a tiny database of this version, to be opened by later ones.

Run with the code of the version: ``python -m tests.database.upkeep.make_old_database VERSION``.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from indexer.cascade.compute import Compute
from indexer.pipeline.options import FileProcessing
from indexer.pipeline.run import index
from tests.pipeline.making import make_bundle, write_pictures

DATA = Path(__file__).parent / "data"


def main(version: str) -> None:
    """Six pictures of blotches, one with a report, read by an untrained cascade."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        bundle = make_bundle(root / "bundle")
        write_pictures(root / "archive", 6)
        (root / "reports").mkdir()
        report = "FINDINGS: Opacity in the left lung. No pneumothorax."
        (root / "reports" / "000.txt").write_text(report)
        index(
            [root / "archive"],
            root / "db",
            reports=root / "reports",
            compute=Compute(bundle.path, "cpu"),
            processing=FileProcessing(workers=1),
        )
        with zipfile.ZipFile(DATA / f"database-{version}.zip", "w", zipfile.ZIP_DEFLATED) as made:
            for path in sorted((root / "db").rglob("*")):
                if path.is_file() and not path.name.endswith(".lock"):
                    made.write(path, path.relative_to(root / "db"))


if __name__ == "__main__":
    main(sys.argv[1])
