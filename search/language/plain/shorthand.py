"""Spellings that are no words, and the words that they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Literal, TypeAlias

__all__ = ["spelt_out", "unbracketed"]

_Needs: TypeAlias = Literal["word", "phrase", "sign"]
_Plain: TypeAlias = str | Callable[[re.Match[str]], str]

# The picture as a whole.
_WHOLE = r"(?:chest|cxr|films?|x-?rays?|stud(?:y|ies)|exams?|images?|radiographs?)s?\b"

_RIGHT, _LEFT = r"r(?:ight|t)?", r"l(?:eft|t)?"
_MORE = r"(?:>+|(?:is\s+)?(?:greater|larger|more|worse)\s+than)"
_DEGREE = r"(?:small|mild|minimal|trace|tiny|moderate|mod|severe|large|marked)"
# From the least to the most, each with the words for it.
_DEGREES = ("trace", "minimal", "tiny"), ("small", "mild"), ("moderate",), ("large", "severe")

#: Words for which people write less; a full stop behind one ends no thought.
_SHORTENED = {
    "atelect": "atelectasis",
    "cardiomeg": "cardiomegaly",
    "consol": "consolidation",
    "eff": "effusion",
    "effs": "effusion",
    "infil": "infiltrate",
    "infilt": "infiltrate",
    "exac": "exacerbation",
    "exacerb": "exacerbation",
    "poss": "possible",
    "prob": "probable",
    "susp": "suspected",
    "lg": "large",
    "mediast": "mediastinal",
    "mod": "moderate",
    "pulm": "pulmonary",
    "sm": "small",
    "vasc": "vascular",
    "vol": "volume",
}
_ABBREVIATED = {
    "afebrile": " no fever ",
    "atx": "atelectasis",
    "bil": " bilateral ",
    "cardiopulm": "cardiopulmonary",
    "dz": "disease",
    "fx": "fracture",
    "fx's": "fracture",
    "fxs": "fracture",
    "nad": " no acute findings ",
    "nl": "normal",
    "nml": "normal",
    "normals": "normal",
    "nrml": "normal",
}


def _or_more(match: re.Match[str]) -> str:
    """ "At least moderate" as all degrees from it on, "at most mild" as all up to it."""
    degree = {"mod": "moderate", "marked": "severe"}.get(match[2].lower(), match[2].lower())
    place = next(n for n, words in enumerate(_DEGREES) if degree in words)
    chosen = _DEGREES[place:] if match[1].lower() == "at least" else _DEGREES[: place + 1]
    return f" {' or '.join(word for words in chosen for word in words)} "


def _any_of(words: Iterable[str]) -> str:
    return rf"\b({'|'.join(sorted(words, key=len, reverse=True))})\b"


#: Spellings that are no words, in the order in which they are replaced before anything is read:
#: what a text must have to hold one (anything, two words or a sign, a sign), the spelling, and what
#: it stands for.
_SHORTHAND: tuple[tuple[_Needs, str, _Plain], ...] = (
    ("sign", r"[‘’ʼ´`]", "'"),
    (
        "sign",
        r"\bw(?:ith)?\s?/?\s?(?:/|\band/or\b|\bor\b)\s?w(?:/?o|ithout)\b",
        " plus or minus ",
    ),
    ("word", r"\bw/?/?o(?:ut)?(?=[\s,.]|$)|\bwith\s+out\b", " without "),
    ("sign", r"\bw/\s*o\b", " without "),
    ("sign", r"\b[fw]\s?/\s?u\b(?:\s+(?:for|of)\b)?", " "),
    ("sign", r"\bw/(?=\s|\w)", " with "),
    ("sign", r"\bs\s?/\s?p\b", " status post "),
    ("sign", r"\be\s?/\s?o\b", " evidence of "),
    ("sign", r"♀", " female "),
    ("sign", r"♂", " male "),
    # A full stop behind an abbreviation ends no thought.
    ("sign", r"\b(rt|lt|bil|bilat|sup|inf|ant|lat)\.(?=\s)", r"\1 "),
    ("sign", r"(?<![\w.])r\.(?=\s+\w)", " right "),
    ("sign", r"(?<![\w.])l\.(?=\s+\w)", " left "),
    ("sign", r"\br\s?/\s?o'?d\b|(?<=not )r\s?/\s?o(?=\s*(?:[,;.]|$))", " ruled out "),
    ("sign", r"\br\s?/\s?o\b", " rule out "),
    ("sign", r"\bc\s?/\s?f\b(?:\s+for\b)?", " concern for "),
    # None of something is a denial; an age or a measure of 0 is none.
    (
        "phrase",
        r"(?<![\w.,:=<>-])(?<!age )(?<!aged )0\s+(?!(?:y|yrs?|years?|mo|months?|wks?|weeks?|days?"
        r"|hours?|mm|cm|ml|to|and|or)\b)(?=[a-z])",
        " no ",
    ),
    ("phrase", r"(?<=[a-z])(?<!age)(?<!aged)\s*[:=]?\s*\b0(?=\s*(?:[,;.](?!\d)|$))", " none "),
    ("sign", r"\bh\s?/\s?o\b", " history of "),
    (
        "phrase",
        r"\b[pca]\s?/\s?w\b|\bc\s?/\s?o\b|\bi\s?/\s?s\s?/\s?o\b"
        r"|\b(?:consistent|compatible)\s+with\b|\bcomplain(?:s|ing)\s+of\b"
        r"|\bin\s+(?:the\s+)?setting\s+of\b|\bon\s+(?:a\s+)?background\s+of\b",
        " with ",
    ),
    ("sign", r"\bb\s?/\s?l\b", " bilateral "),
    ("word", r"(?-i:\bBL\b)", " bilateral "),
    ("phrase", r"\b(?:either|one)[- ]sided\b", " left or right "),
    ("phrase", r"\b(small|moderate|large)[- ]volume\b(?!\s+lung)", r"\1"),
    ("sign", r"\band\s?/\s?or\b", " or "),
    ("word", r"\bxor\b", " or "),
    ("sign", r"(?-i:\b(?:R\s?/\s?L|L\s?/\s?R)\b)", " left or right "),
    ("phrase", r"\+\s?/\s?-|±|\bwith or without\b", " plus or minus "),
    ("phrase", r"\bvs?\.?(?=\s)|\bversus\b", " vs "),
    ("sign", r"&+|(?<=\s)\+(?=\s)", " and "),
    ("sign", r"\|+", " or "),
    ("sign", r"(?:(?<=\s)|^)[!¬]\s*(?=\w)", " not "),
    # A dash between blanks parts two thoughts; one right before a word denies it.
    ("sign", r"(?<=[^\s–—−-])\s+[-–—−]+\s+(?=\w)", " , "),
    ("sign", r"(?:(?<=\s)|^)[–—−]\s*(?=[^\W\d])", " not "),
    ("sign", r"(?:(?<=\s)|^)\?[?\s]*(?=\w)", " query "),
    (
        "phrase",
        rf"\b{_RIGHT}\s*{_MORE}\s*{_LEFT}\b|\b{_LEFT}\s*{_MORE}\s*{_RIGHT}\b",
        " bilateral ",
    ),
    ("phrase", r"\b(?:no|not)\s+more\s+than\s+(?=(?:an?\s+)?[a-z])", " at most "),
    ("phrase", rf"\b(at\s+least|at\s+most|up\s+to)\s+(?:an?\s+)?({_DEGREE})\b", _or_more),
    ("phrase", rf"\b({_DEGREE})(?:\s+to\s+|-to-|\s?[-/]\s?)({_DEGREE})\b", r" \1 or \2 "),
    (
        "phrase",
        r"\b(right|left)\s+(upper|middle|lower)\s+and\s+(upper|middle|lower)\s+lobes?\b",
        r" \1 \2 lobe and \1 \3 lobe ",
    ),
    ("phrase", r"\bw(?=\s+\w)", " with "),
    ("word", _any_of(_SHORTENED) + r"\.?", lambda match: _SHORTENED[match[1].lower()]),
    ("word", _any_of(_ABBREVIATED), lambda match: _ABBREVIATED[match[1].lower()]),
    (
        "phrase",
        r"(?<=hilar )lad\b|(?<=mediastinal )lad\b|(?<=axillary )lad\b|(?<=paratracheal )lad\b",
        "lymphadenopathy",
    ),
    ("word", r"\bunilateral\b", " left or right "),
    ("phrase", r"\bpulmonary\s+htn\b", "pulmonary hypertension"),
    ("phrase", r"\bmet\s+disease\b", "metastatic disease"),
    ("phrase", r"\b(?:sub-?q|sq)\b(?=\s+(?:air|gas|emphysema))", "subcutaneous"),
    (
        "phrase",
        r"\b(lung|breast|colon|renal|prostate|thyroid|bladder|esophageal)\s+ca\b",
        r"\1 cancer",
    ),
    ("phrase", r"\bca\s+(?:of\s+(?:the\s+)?)?(lung|breast|colon|prostate)\b", r"\1 cancer"),
    ("phrase", r"(?<=bilat )LL\b|(?<=bilateral )LL\b|(?<=bilateral  )LL\b", "lower lobe"),
    (
        "phrase",
        rf"\b(?:neg(?:ative)?|clear)\s+{_WHOLE}(?!\s+(?:for|of|from)\b)"
        rf"|\b{_WHOLE}\s+(?:is\s+|are\s+|was\s+)?(?:neg(?:ative)?|clear)\b(?!\s+(?:for|of|from)\b)",
        " normal chest ",
    ),
    ("word", r"\bcan'?t\b|\bcannot\b", "can not"),
    ("sign", r"n't\b", " not"),
    # Words that sound like a denial and are none, then one that is a denial in other words.
    (
        "phrase",
        r"\bnot\s+(?:only|just|merely|simply)\b|\b(?:no|without(?:\s+a)?|beyond(?:\s+a)?)\s+doubt\b"
        r"|\bnothing\s+(?:but|except|other\s+than)\b",
        " ",
    ),
    ("phrase", r"\b(?:anything|everything|all|any)\s+(?:but|except|other\s+than)\b", " not "),
    ("sign", r"\b(?!disease)(\w+)-free\b", r" not \1 "),
    (
        "phrase",
        r"\b(?:no|without)\s+(?:(?:any|significant|interval|further)\s+)*changes?(?:\s+(?:in|of)\b)?",
        " unchanged ",
    ),
    (
        "phrase",
        r"\b(?:no|without)\s+(?:(?:any|significant|interval|further)\s+)*"
        r"(increase|decrease|worsening|progression|improvement|enlargement|growth)"
        r"\s+(?:in|of)\s+([^,;.]+)",
        r" \2 without \1 ",
    ),
    # In a denial these add nothing.
    (
        "phrase",
        r"\b(no|without)\s+(?:(?:any|significant|obvious|overt|apparent|definite|evident|gross"
        r"|appreciable|demonstrable|discernible|convincing|visible|radiographic|radiological"
        r"|clear|clear-cut|frank)\s+)+(?=\w)",
        r" \1 ",
    ),
    ("word", r"\bø\s*(?=\w)", " no "),
    ("phrase", r"\bnothing\s+(?:abnormal(?:\s+detected)?|acute)\b", " no acute findings "),
    ("sign", r"\b(?:[sd]/t|2/2)(?=\s)", " due to "),
    ("phrase", r"\bs\.?p\.?(?=\s+\w)|\bstatus[- ]post\b", " status post "),
    ("word", r"\bpost[- ]?op(?:erative)?\s+day\s*#?(\d+)|\bpod\s*#?(\d+)", r" post-op day \1\2 "),
    (
        "word",
        r"\b(?:non-?\s?|un)(?=calcified|displaced|specific|loculated|obstruct|smok|diabet|hypertens)",
        " non ",
    ),
    (
        "phrase",
        r"\b(?:no|without|neg(?:ative)? for)\s+(?:any\s+|evidence\s+of\s+)*"
        r"(?:acute|active|significant)\s+"
        r"(?:(?:cardio\w*|pulmonary|chest|lung|intra-?thoracic|thoracic)\s+)*"
        r"(?:abnormalit(?:y|ies)|process(?:es)?|diseases?|findings?|patholog(?:y|ies))\b"
        r"|\b(?:no|without|free\s+of)\s+(?:any\s+)?(?:abnormalit(?:y|ies)|patholog(?:y|ies)"
        r"|abnormal\s+findings?)\b|\bdisease[- ]free\b"
        r"|^\W*(?:no|without|free\s+of)\s+(?:any\s+)?(?:(?:lung|chest|pulmonary)\s+)?diseases?\W*$",
        " no acute findings ",
    ),
    (
        "phrase",
        r"\bborderline\s+(?:enlarged\s+)?(?:heart|cardiac)(?:\s+(?:size|silhouette))?\b"
        r"|\b(?:heart|cardiac)(?:\s+(?:size|silhouette))?\s+(?:is\s+)?borderline"
        r"(?:\s+enlarged|\s+in\s+size)?\b"
        r"|\b(?:heart|cardiac)(?:\s+(?:size|silhouette|shadow))?\s+(?:is\s+)?(?:at\s+)?(?:the\s+)?upper"
        r"(?:\s+limits?\s+of)?\s+normal\b",
        " borderline cardiomegaly ",
    ),
    ("word", rf"\babnormals?\b(?=\s*(?:{_WHOLE})|\W*$)", " not normal "),
    ("phrase", rf"\b(?:{_WHOLE})\W+(?:is |are )?abnormal\b", " not normal "),
    (
        "phrase",
        r"\blungs?\s+(?:are |is )?not\s+clear\b|^\W*(?:is\s+)?not\s+clear\W*$",
        " not normal ",
    ),
    (
        "word",
        r"^\W*(?:(?:any|some|with|has|have|an?)\s+)*(?:abnormalit(?:y|ies)"
        rf"|(?:something|anything)\s+abnormal|patholog(?:y|ies|ic|ical)(?:\s+{_WHOLE})?)\W*$",
        " not normal ",
    ),
    (
        "phrase",
        r"\bboth\s+lungs?\s+(?:are )?clear\b|\blungs?\s+(?:are )?both\s+clear\b",
        " normal ",
    ),
    (
        "phrase",
        r"\bnormal(?:[- ]sized?)?\s+(?:heart|cardiac|cardiomediastinal)"
        r"(?:\s+(?:size|silhouette|contours?))?\b"
        r"|\b(?:heart|cardiac\s+(?:size|silhouette|shadow))(?:\s+size)?\s*:?\s*(?:is )?"
        r"(?:normal|wnl|unremarkable|within\s+normal\s+limits)\b"
        r"|\b(?:heart|cardiac silhouette)(?:\s+size)?\s+(?:is )?(?:not|un)\s?enlarged\b",
        " not cardiomegaly ",
    ),
    ("word", r"\b(?:non-?\s?|un)normal\b", " not normal "),
    ("phrase", r"\basp\s+(?=pna|pneumonia)", "aspiration "),
    (
        "phrase",
        r"\b(?:heart|cardiac)(?:\s+(?:size|silhouette|shadow|contour))?\s+(?:is\s+)?"
        r"((?:mild|moderate|marked|severe|slight|massive|gross)(?:ly)?\s+)?"
        r"(?:enlarged|enlargement|big|large|increased|huge)\b",
        r" \1 cardiomegaly ",
    ),
    (
        "phrase",
        r"\blungs?\s+(?:are\s+)?clear\s+(?:bilat(?:eral(?:ly)?)?|on\s+both\s+sides|throughout)\b"
        r"|\bbilateral(?:ly)?\s+clear\s+lungs?\b",
        " clear lungs ",
    ),
    (
        "phrase",
        rf"\b(?:air|gas)\s+(?:under|beneath|below)\s+(?:the\s+)?({_RIGHT}|{_LEFT})\s+"
        r"(?:hemi-?)?diaphragms?\b",
        r" free air under diaphragm \1 ",
    ),
    # A letter for a side, in capitals or before a hyphen.
    ("word", r"(?-i:\bR\b\.?)(?=[- ]*(?:sided\b|[^\W\d]{2})|\s*(?:[,;]|$))(?![/'])", " right "),
    ("word", r"(?-i:\bL\b\.?)(?=[- ]*(?:sided\b|[^\W\d]{2})|\s*(?:[,;]|$))(?![/'])", " left "),
    ("phrase", r"[- ]sided\b", " "),
    (
        "word",
        r"(?<!status )\bpost-?\s?"
        r"(?=cabg|sternotomy|mastectomy|lobectomy|pneumonectomy|thoracotomy|pacemaker|stent"
        r"|valve|transplant|bypass|thoracentesis|biopsy|bronchoscopy|(?:ex|in)tubation|mv[ac]\b|fall\b"
        r"|trauma|(?:\w+\s+){1,3}(?:placement|insertion|removal|repair"
        r"|replacement|resection|implantation|surgery)\b)",
        " status post ",
    ),
)
#: A sign or a side in brackets, and what it stands for; all other brackets are of the query
#: language.
_BRACKETED: tuple[tuple[str, str], ...] = (
    (r"\([-\u2013\u2212]\)|(?<!\w)[-\u2013\u2212]ve\b", " negative "),
    (r"\(\+\)|(?<!\w)\+ve\b", " "),
    (r"\((r|rt|right|l|lt|left|b/?l|bilat|bilateral|neg|negative|absent|none)\)", r" \1 "),
)
_NEEDED = {"word": r"", "phrase": r"\W", "sign": r"[^\w\s]"}


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Made when a text first needs it: all together take longer than a search."""
    return re.compile(pattern, re.IGNORECASE)


def spelt_out(text: str) -> str:
    """The text with words in place of shorthand: "s/p CABG w/o eff" to "status post CABG without
    effusion"."""
    for needs, pattern, plain in _SHORTHAND:
        if _compiled(_NEEDED[needs]).search(text):
            text = _compiled(pattern).sub(plain, text)
    return text


def unbracketed(text: str) -> str:
    """The text with words in place of signs and sides in brackets: "effusion (-)", "(R) nodule"."""
    for pattern, plain in _BRACKETED:
        text = _compiled(pattern).sub(plain, text)
    return text
