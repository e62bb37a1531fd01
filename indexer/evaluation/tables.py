"""Scores as people read them: tables of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ScoreTable", "tables"]

_Scores = Mapping[str, Any]
# How parts of keys are written in headings, where not as they are.
_SPELLED = {"auc": "AUC", "f1": "F1", "map": "mAP", "p": "P", "r": "R", "ndcg": "nDCG"}
_OF_PRODUCT = ("mean_auc", "normal_auc", "micro_f1", "macro_f1", "calibration_error")


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A title, the heads of the columns after the first, and rows that begin with their name."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(scores: _Scores) -> list[ScoreTable]:
    """The tables of what `protocols.evaluate` gave; intervals stand in brackets."""
    makers = {"paper": _paper, "product": _product, "retrieval": _retrieval, "words": _captions}
    return makers[scores["protocol"]](scores)


def _product(scores: _Scores) -> list[ScoreTable]:
    columns = _pooled_and_single(scores)
    rows = [
        [_words(key), *(_cell(part[key], part["intervals"].get(key)) for _, part in columns)]
        for key in _OF_PRODUCT
    ]
    intervals = scores["intervals"]
    return [
        ScoreTable("scores", [name for name, _ in columns], rows),
        _likely(columns),
        _flat("words", ("f1", "exact_match"), scores["words"], intervals, "words"),
        _flat(
            "findings that are there",
            ("auc", "average_precision", "f1", "positives"),
            {name: row for name, row in scores["findings"].items() if row["positives"]},
            intervals,
            "findings",
        ),
    ]


def _likely(columns: list[tuple[str, _Scores]]) -> ScoreTable:
    heads = [_words(key) for key in columns[0][1]["likely"]]
    rows = [[name, *map(_cell, part["likely"].values())] for name, part in columns]
    return ScoreTable("likely findings", heads, rows)


def _retrieval(scores: _Scores) -> list[ScoreTable]:
    found = []
    parts = _pooled_and_single(scores)
    for group, title in (("all", "all queries"), ("abnormal", "abnormal queries")):
        rows = []
        for name, part in parts:
            own, others = part["image_to_image"][group], part["baselines"]["image_to_image"]
            path = f"image_to_image.{group}"
            heads, row = _row(f"bundle, {name}", own, part["intervals"], path)
            rows.append(row)
            rows += [_row(f"{_words(k)}, {name}", v[group])[1] for k, v in others.items()]
        found.append(ScoreTable(f"by picture, {title}", heads, rows))
    scored = {"bundle": scores["text_to_image"], **scores["baselines"]["text_to_image"]}
    rows = []
    for name, part in scored.items():
        if part is not None:
            intervals = scores["intervals"] if name == "bundle" else {}
            heads, row = _row(name, part, intervals, "text_to_image")
            rows.append(row)
    return [*found, ScoreTable("by words", heads, rows)]


def _captions(scores: _Scores) -> list[ScoreTable]:
    own = _row("bundle", scores["text_to_image"], scores["intervals"], "text_to_image")
    chance = _row("chance", scores["baselines"]["text_to_image"]["chance"])
    return [ScoreTable("by the words of captions", own[0], [own[1], chance[1]])]


def _paper(scores: _Scores) -> list[ScoreTable]:
    best = scores["best"]
    answers = {
        **{f"{name} *" if name == best else name: v for name, v in scores["variants"].items()},
        **scores["baselines"],
    }
    heads = ["accuracy", "balanced accuracy", *(f"BLEU-{n}" for n in scores["bleu"])]
    rows, ill = [], []
    for name, row in answers.items():
        ends = row["intervals"]
        rows.append(
            [
                _words(name),
                *(_cell(row[key], ends[key], 1) for key in ("accuracy", "balanced_accuracy")),
                *_bleus(row, "bleu"),
            ]
        )
        ill.append([_words(name), *_bleus(row, "bleu_diseased")])
    point = scores.get("operating_point")
    cases = ", ".join(f"{count} of at least {n} words" for n, count in scores["cases"].items())
    return [
        ScoreTable(f"percent; * is the cascade; BLEU over {cases}", heads, rows),
        ScoreTable("BLEU of diseased images", heads[2:], ill),
        *([] if point is None else [_curve(point)]),
        _matrix(f"images by true class (rows) and by what {best} says", scores["confusion"]),
    ]


def _curve(point: _Scores) -> ScoreTable:
    rows = [
        [
            f"{row['limit']:.3f}{' *' if row['limit'] == point['limit'] else ''}",
            _cell(row["accuracy"], digits=1),
            *(_cell(value, digits=1) for value in row["bleu"].values()),
        ]
        for row in point["curve"]
    ]
    heads = ["accuracy", *(f"BLEU-{n}" for n in point["curve"][0]["bleu"])]
    title = "on val, by the chance from which on an image is called normal; * is the cascade's"
    return ScoreTable(title, heads, rows)


def _bleus(row: _Scores, key: str) -> list[str]:
    return [_cell(value, row["intervals"][key][n], 1) for n, value in row[key].items()]


def _matrix(title: str, confusion: _Scores) -> ScoreTable:
    """Classes that are neither there nor said are left out; the columns have the rows' numbers."""
    names, counts = confusion["classes"], confusion["counts"]
    kept = [c for c in range(len(names)) if any(counts[c]) or any(row[c] for row in counts)]
    rows = [
        [f"{number} {names[c]}", *(str(counts[c][other] or ".") for other in kept)]
        for number, c in enumerate(kept, 1)
    ]
    return ScoreTable(title, [str(number) for number in range(1, len(kept) + 1)], rows)


def _pooled_and_single(scores: _Scores) -> list[tuple[str, _Scores]]:
    single = "single images"
    if not scores["pool_studies"]:
        return [(single, scores)]
    return [("pooled by study", scores), (single, scores["unpooled"])]


def _flat(
    title: str,
    keys: Sequence[str],
    group: Mapping[str, _Scores],
    intervals: _Scores,
    path: str,
) -> ScoreTable:
    rows = [_row(name, row, intervals, f"{path}.{name}")[1] for name, row in group.items()]
    return ScoreTable(title, [_words(key) for key in keys], rows)


def _row(
    name: str, row: _Scores, intervals: _Scores | None = None, path: str = ""
) -> tuple[list[str], list[str]]:
    """Heads and cells."""
    ends = intervals or {}
    cells = (_cell(value, ends.get(f"{path}.{key}")) for key, value in row.items())
    return [_words(key) for key in row], [name, *cells]


def _words(key: str) -> str:
    return " ".join(_SPELLED.get(part, part) for part in key.split("_")).replace(" at ", "@")


def _cell(value: float | None, ends: Sequence[float] | None = None, digits: int = 3) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    number = f"{value:.{digits}f}"
    return f"{number} ({ends[0]:.{digits}f}-{ends[1]:.{digits}f})" if ends else number
