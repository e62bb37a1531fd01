"""The commands that errors and reports of the library advise; their names stand here alone.

What is a setting of a function is named as one, `name` or `name=value`, and the command line puts
its own option there (`cli.options.as_options`); see ADR 25.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "AGAIN",
    "EVALUATE",
    "FORGOTTEN",
    "INDEX",
    "INDEX_ON_SERVER",
    "KEEP_AUDIT",
    "LEXICON",
    "MERGE",
    "MIGRATE",
    "NAME_HOST",
    "NAME_REPORTS",
    "PRUNE",
    "PRUNE_MORE",
    "REPAIR",
    "REREAD",
    "SHARE",
    "SYNC",
    "TRAIN",
    "USER",
    "VERIFY",
    "WORDS_IN_FOLDER",
    "compact",
    "index",
    "prune",
    "repair",
    "reread",
]

AGAIN = "index the archive again"
EVALUATE = "`cxrdex evaluate DATASET --bundle THIS_FOLDER`"
INDEX = "`cxrdex index`"
INDEX_ON_SERVER = "`cxrdex index --elasticsearch-url URL`"
KEEP_AUDIT = "`cxrdex serve --audit FILE`"
LEXICON = "`cxrdex lexicon`"
MERGE = "`cxrdex merge`"
MIGRATE = "run `cxrdex migrate`"
NAME_HOST = "`cxrdex serve --name`"
REPAIR = "run `cxrdex verify --repair`"
REREAD = f"{REPAIR}, then {AGAIN}"
SHARE = "`cxrdex index ... --group NAME`"
SYNC = "`cxrdex sync`"
TRAIN = "`cxrdex train`"
USER = "`cxrdex user add`"
VERIFY = "run `cxrdex verify`"

# Of `cxrdex index`, where its own text is kept or asked about at the terminal.
FORGOTTEN = "its patient, study or image was removed by `cxrdex forget`; --undo allows it again"
NAME_REPORTS = "name its folder with --reports"
PRUNE = "If they are gone for good, say --prune --yes"
PRUNE_MORE = f"{PRUNE}, or allow more with --prune-limit"
WORDS_IN_FOLDER = "--text-store embedded keeps words in the folder"


def compact(database: Path) -> str:
    """Giving back the space of what a database dropped."""
    return f"`cxrdex compact --database {database}`"


def index(database: Path) -> str:
    """Filling a database."""
    return f"`cxrdex index ARCHIVE --database {database}`"


def prune(archive: str, old: str) -> str:
    """Dropping the files of an archive that is gone."""
    return f"`cxrdex index {archive} {old} --prune --yes`"


def repair(database: Path) -> str:
    """Mending a database, and reading again what is lost."""
    return f"run `cxrdex verify --repair --database {database}`, then index its archive again"


def reread(database: Path) -> str:
    """Bringing a database up to another bundle."""
    return f"`cxrdex index ARCHIVE --database {database} --reread`"
