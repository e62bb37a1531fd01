"""Which part of a report's text is what: its headings, as hospitals write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

__all__ = ["SECTIONS", "join", "split"]

SECTIONS = ("indication", "comparison", "findings", "impression")

# The text under other languages' headings is kept in its section, but not read for findings.
_ALONE = {
    "indication": (
        "indication|clinical indication|(?:clinical )?history|reason for exam(?:ination)?"
        "|fragestellung|klinische angaben|indikation|indicación"
    ),
    "comparison": "comparisons?",
    "findings": (
        "findings?|findings? ?(?:and|&|/) ?impressions?|befunde?|hallazgos|résultats?"
        "|compte rendu|referto|achados|bevindingen"
    ),
    "impression": (
        "impressions?|conclusion|opinion|beurteilung|zusammenfassung|impresión|conclusión"
        "|conclusioni|impressão|conclusão|conclusie"
    ),
}
# Headings only if a colon follows, as letterheads use the same words ...
_WITH_COLON = {
    "indication": (
        "indications|indication for exam(?:ination)?|(?:history and )?reason for (?:the |this )?"
        "(?:exam(?:ination)?|study|visit|request)"
        "|clinical (?:information|details|data|question|statement|context|background|notes?)"
        "|rechtfertigende indikation|klinische fragestellung|klinik|anamnese"
        "|renseignements(?: cliniques)?|motif|indicaci[oó]n(?:es)?|datos cl[ií]nicos"
        "|motivo(?: de consulta)?|indica[cç][aã]o|dados cl[ií]nicos|quesito(?: clinico)?|anamnesi"
        "|vraagstelling|klinische (?:gegevens|vraagstelling)|indicatie|frågeställning|anamnes"
    ),
    "comparison": (
        "prior (?:exams?|studies|study)|vergleich|vorbefunde?|voraufnahmen?|comparaison"
        "|comparaci[oó]n|compara[cç][aã]o|confronto|vergelijking|jämförelse"
    ),
    "findings": "(?:radiograph\\w+|radiolog\\w+|chest) findings|resultats?|reperti|fynd",
    "impression": (
        "(?:impression|conclusion)s? ?(?:and|&|/) ?recommendations?|conclusions|interpretation"
        "|assessment|summary|(?:radiolog\\w+ )?diagnosis|conclusi[oó]n(?:es)?"
        "|impresi[oó]n(?: diagn[oó]stica)?|conclus[aã]o|impress[aã]o(?: diagn[oó]stica)?"
        "|opini[aã]o|sammanfattning|bed[öo]mning|konklusion"
    ),
    # ... and words that may also be the title of the whole report: findings unless another heading
    # is.
    "report": (
        "(?:radiolog\\w+ |final |preliminary |wet )?(?:report|read)|descriptions?|observations?"
        "|informe|descripci[oó]n|relat[oó]rio|laudo|descri[cç][aã]o|verslag|utlåtande|svar"
        "|beskrivelse"
    ),
}
# Headings that end a section; what they hold is technique or names, and is not kept.
_ENDINGS = (
    "techni(?:que|k)|t[eé]cnica|examination|exam|procedure|views?|date|patient|name"
    "|dictated by|signed by|attending|electronically signed(?: by)?|radiologist"
    "|(?:referring|reporting) (?:physician|doctor|radiologist)|notification"
)


def _any(names: dict[str, str], group: str) -> str:
    return "|".join(f"(?P<{section}_{group}>{ways})" for section, ways in names.items())


# At the start of a line, numbered or set off; a section's name may stand there alone.
_MARK = r"(?:\d{1,2}[.)][ \t]*|[#*_>\[=]{1,6}[ \t]*){0,3}"
_MARK_AFTER = r"[ \t]?[*_\]#=]{0,6}[ \t]*"
_DASH = r"[-\N{EN DASH}\N{EM DASH}](?=\s)"
_LINE = (
    rf"^[ \t]*{_MARK}(?:(?:{_any(_ALONE, 'a')}){_MARK_AFTER}(?::[*_]{{0,3}}|(?<=\])|{_DASH}|$)"
    rf"|(?:{_any(_WITH_COLON, 'b')}){_MARK_AFTER}:[*_]{{0,3}}|(?:{_ENDINGS})[ \t]*:)"
)
# Inside a line a heading follows a sentence or is in capitals.
_WITHIN = rf"(?<=[.\s])(?:{_any(_ALONE, 'a')}|{_any(_WITH_COLON, 'b')})[ \t]?:"
_SENTENCE_ENDS = (".", "!", "?", ";", ":")
# Lines that are shorter than this end where their writer wanted, not where a system wrapped.
_NARROWEST = 60
# Ends of a line that the next one goes on from.
_GOES_ON = (",", " and", " or", " of", " the", " with", " a", " an", " in", " for", "-")
# An item of a list, and an entry of a table: "Effusion: none".
_ITEM = re.compile(
    r"(?:[-*+>\N{BULLET}\N{EN DASH}\N{MIDDLE DOT}]|\d{1,2}[.)]|\[[ xX]?\]"
    r"|[\u2610-\u2612\u25a0-\u25ff])\s"
)
_ENTRY = re.compile(r"\W*[^\W\d][\w /()-]{1,40}\s?(?:[:=,;|]|\t| - )\s?\S")
_RULE = re.compile(r"^[ \t]*[=\-_*~]{3,}[ \t]*$", re.MULTILINE)


@cache
def _headings() -> tuple[re.Pattern[str], re.Pattern[str]]:
    # Compiled for the first report that is read, since searches that import SECTIONS read none.
    return re.compile(_LINE, re.IGNORECASE | re.MULTILINE), re.compile(_WITHIN, re.IGNORECASE)


def split(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a text with their sections, "" for what is none; all of it, without headings.

    Text above the first heading is a letterhead with names and dates, so it is dropped.
    """
    line, within = _headings()
    found = [(m.start(), m.end(), _section(m)) for m in line.finditer(text)]
    for match in within.finditer(text):
        start = match.start()
        before = text[max(0, start - 3) : start].rstrip()
        if match[0].isupper() or before.endswith(_SENTENCE_ENDS):
            found.append((start, match.end(), _section(match)))
    headings, reached = list[tuple[int, int, str]](), 0
    for start, end, section in sorted(found):
        # A heading at the start of its line is found in the line, too.
        if start >= reached:
            headings.append((start, end, section))
            reached = end
    named = {section for _, _, section in headings}
    if not any(named):
        yield "findings", text
        return
    whole = "" if "findings" in named else "findings"
    ends = [start for start, _, _ in headings[1:]] + [len(text)]
    for (_, start, section), end in zip(headings, ends, strict=True):
        yield whole if section == "report" else section, _RULE.sub("", text[start:end])


def _section(match: re.Match[str]) -> str:
    return (match.lastgroup or "").partition("_")[0]


def join(parts: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Texts by section in the order of `SECTIONS`, white space evened out, empty ones left out.

    A line that ends a statement without a full stop, as in lists, gets one: what one line denies
    would else deny the next.
    """
    texts: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for section, text in parts:
        if section in texts and (plain := _in_one_line(text)):
            texts[section].append(plain)
    return {section: _ended(found) for section, found in texts.items() if found}


def _in_one_line(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines()]
    width = max([_NARROWEST, *map(len, lines)])
    statements: list[list[str]] = []
    last = ""
    for line in lines:
        if line and last and not _is_new_statement(last, line, width):
            statements[-1].append(line)
        elif line:
            statements.append([line])
        last = line
    return _ended(" ".join(statement) for statement in statements)


def _is_new_statement(last: str, line: str, width: int) -> bool:
    """Whether a line is more than what did not fit into the one before it."""
    if last.endswith(_GOES_ON):
        return False
    if _ITEM.match(line) or (_ENTRY.match(last) and _ENTRY.match(line)):
        return True
    fits = len(last) + 1 + len(line.split(" ", 1)[0]) <= width
    return fits and (line[0].isupper() or line[0].isdigit())


def _ended(statements: Iterable[str]) -> str:
    """Statements one after the other, each but the last with a mark at its end."""
    *others, last = [*statements] or [""]
    return " ".join((*(s if s.endswith((*_SENTENCE_ENDS, ",")) else f"{s}." for s in others), last))
