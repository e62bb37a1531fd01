"""The command `cxrdex`, whose hosts read as `readers.slow_reader` does.

python -m tests.pipeline.remote.driver SECONDS MARKS index ARCHIVE --database DATABASE ...
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from cli.main import main
from indexer.pipeline.remote import starting
from tests.pipeline.remote.readers import slow_reader

if __name__ == "__main__":
    seconds, marks, *words = sys.argv[1:]
    reader = partial(slow_reader, float(seconds), Path(marks))
    starting.HostSettings = partial(starting.HostSettings, reader=reader)  # type: ignore[attr-defined, assignment]
    sys.argv = ["cxrdex", *words]
    main()
