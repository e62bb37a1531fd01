"""Words that say how the parts of a free text belong together, and what stands for what in it.

The cues of denial and doubt follow NegEx (Chapman et al., J Biomed Inform 34, 2001) and ConText
(Harkema et al., J Biomed Inform 42, 2009), as far as people use them in queries.
"""

from __future__ import annotations

__all__ = ["CUES", "FILLERS", "REASONS"]


def _split(words: str) -> tuple[str, ...]:
    """What stands between bars, without regard to lines."""
    return tuple(" ".join(word.split()) for word in words.split("|"))


#: Kind of cue: its words. ``not``, ``doubt``, ``gone``, ``asked`` and ``past`` hold for what
#: follows, those that end in ``_before`` for what stands before; ``in`` begins a place.
CUES: dict[str, tuple[str, ...]] = {
    "not": _split(
        """
        no evidence of | no evidence for | no sign of | no signs of | without evidence of | absence
        of | lack of | lacks | lacking | negative for | neg for | free of | free from | clear of |
        denies | excluding | excludes | exclude | except for | except | other than | rather than |
        apart from | neither | never | minus | sans | without | does not have | do not have | did
        not have | not having | does not show | not showing | can not see | no longer | not | no |
        non | absent | none | nil | zero | none of | no such thing as | unlikely to be | instead of
        | as opposed to | aside from | save for | devoid of | exclusive of | fails to show | failed
        to show | fails to demonstrate | fails to reveal | no signs or symptoms of | no sign or
        symptom of | without signs or symptoms of | does not demonstrate | no suggestion of | no
        suspicion of | no concern for
        """
    ),
    "not_before": _split(
        """
        ruled out | denied | is denied | was denied | are denied | excluded | is absent | absent |
        is negative | negative | not seen | not present | not found | not identified | not there |
        is not seen | not visible | neg | unlikely | is unlikely | are unlikely | very unlikely |
        not demonstrated | not shown | not detected | not evident | not apparent | no longer seen |
        no longer present | no longer visible | no longer there | no longer identified | is no
        longer seen | are no longer seen | is no longer present | not visualized | not visualised |
        not appreciated
        """
    ),
    "doubt": _split(
        """
        suspect | concern of | worry about | possible | possibly | probable | probably | likely |
        suspected | suspicious for | suspicion of | suspicion for | questionable | question of |
        equivocal | concern for | concerning for | worrisome for | may be | maybe | might be | could
        be | may represent | might represent | could represent | may reflect | might reflect | could
        reflect | presumed | can not exclude | can not rule out | could not exclude | could not rule
        out | not ruling out | not excluding | less likely | uncertain
        """
    ),
    "doubt_before": _split(
        """
        not excluded | is not excluded | are not excluded | not ruled out | is not ruled out | can
        not be excluded | can not be ruled out | can not be entirely excluded | not entirely
        excluded | not completely excluded | could not be excluded | could not be ruled out | is
        possible | are possible | is suspected | are suspected | is likely | are likely | is
        probable | is questionable | is uncertain
        """
    ),
    "gone": _split(
        """
        resolution of | interval resolution of | complete resolution of | disappearance of |
        previously resolved | clearing of | interval clearing of | complete clearing of
        """
    ),
    "gone_before": _split(
        """
        resolved | has resolved | have resolved | is resolved | are resolved | now resolved | has
        now resolved | completely resolved | has completely resolved | has disappeared | disappeared
        | is gone | now gone | gone | cleared | has cleared | have cleared | cleared up | has
        cleared up
        """
    ),
    "asked": _split(
        """
        rule out | ruling out | rule in | query | eval | evaluate for | eval for | to evaluate |
        assess for | check for | looking for | evaluation for | evaluation of | r o
        """
    ),
    "past": _split(
        """
        history of | previous | prior | former | hx of | hx | known history of | past history of |
        pmh of | pmh | previous history of
        """
    ),
    "or": _split("or | nor"),
    "vs": _split("vs | /"),
    "and": _split(
        """
        and | as well as | along with | together with | in addition to | plus | with | suggesting |
        suggestive of | due to | secondary to | from | associated with | accompanied by | after |
        following | then | who have | having | that have | but | yet | also
        """
    ),
    "maybe": _split("plus or minus"),
    "in": _split(
        "in | at | on | of | within | near | above | below | over | involving | into | to | by"
    ),
}

#: Words that add nothing.
FILLERS = _split(
    """
    a | an | the | any | all | some | is | are | was | were | be | been | there | this | that |
    these | those | it | its | do | does | did | can | please | show | showing | shows | shown | me
    | us | find | finding | get | give | list | search | search for | look for | display | i | want
    | need | for | with | who | has | have | had | which | where | whose | what | patient | patients
    | pt | pts | people | person | persons | subject | subjects | individuals | case | cases | case
    of | cases of | example | examples | examples of | study | studies | exam | exams | image |
    images | film | films | picture | pictures | radiograph | radiographs | x-ray | x-rays | xray |
    xrays | x ray | x rays | chest x-ray | chest x-rays | chest x ray | chest xray | chest
    radiograph | chest radiographs | chest film | chest films | cxr | cxrs | chest | chests |
    evidence of | signs of | sign of | findings of | appearance of | presence of | positive for |
    evidence | identified | appreciated | detected | observed | noted | demonstrated | visualized |
    visualised | evident | apparent | reported | seen | present | visible | status post | side |
    sided | like | also | either | both | both of | as | if | old year | years | year | known |
    diagnosed | diagnosis of | dx | suffering | just | about | how | when | during | here | database
    | archive | placement | insertion | in place | now | anything | something | currently | today |
    got | yes | positive | pos | follow up | good | nice | classic | typical | textbook | great |
    indication | reason | reason for exam | between |
    unresolved | not resolved | has not resolved | have not resolved | not yet resolved
    """
)

#: Why somebody was examined, as a report's indication says it: what is looked for, and further
#: words for it.
REASONS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("cough",), ("productive cough", "dry cough", "chronic cough")),
    (("fever", "febrile"), ("pyrexia", "pyrexial")),
    (("chills",), ()),
    (("exacerbation",), ("exacerbations", "acute exacerbation", "flare", "flare up")),
    (
        ("shortness of breath", "dyspnea", "SOB"),
        (
            "short of breath",
            "s.o.b",
            "dyspnoea",
            "dyspneic",
            "dyspnea on exertion",
            "doe",
            "breathlessness",
            "breathless",
            "difficulty breathing",
            "breathing difficulty",
        ),
    ),
    (("chest pain",), ()),
    (("back pain",), ()),
    (("abdominal pain",), ()),
    (("shoulder pain",), ()),
    (("rib pain",), ()),
    (("pain",), ()),
    (("trauma", "injury"), ("traumatic", "injured")),
    (("fall", "fell"), ("falls", "fallen", "fell down")),
    (
        ("MVA", "MVC", "motor vehicle"),
        ("motor vehicle accident", "motor vehicle collision", "car accident", "car crash"),
    ),
    (("hemoptysis",), ("haemoptysis", "coughing blood", "coughing up blood")),
    (("hypoxia", "hypoxic"), ("hypoxemia", "desaturation")),
    (("wheezing", "wheeze"), ()),
    (("syncope",), ("syncopal", "fainted", "fainting")),
    (("weakness", "fatigue"), ()),
    (("weight loss",), ()),
    (("night sweats",), ()),
    (
        ("smoker", "smoking", "tobacco"),
        (
            "tobacco use",
            "ex smoker",
            "ex smokers",
            "former smoker",
            "former smokers",
            "smokers",
            "smokes",
            "smoking history",
        ),
    ),
    (("preop", "preoperative"), ("pre op", "before surgery", "preoperative evaluation")),
    (("PPD",), ("positive ppd", "ppd positive")),
    (("sepsis", "septic"), ()),
    (("hypertension", "HTN"), ("high blood pressure", "hypertensive")),
    (("diabetes", "diabetic"), ("dm",)),
    (("HIV",), ("aids",)),
    (("stroke", "CVA"), ()),
    (("renal failure", "ESRD", "dialysis"), ("kidney failure",)),
    (("palpitations",), ()),
    (("dizziness",), ("dizzy",)),
    (("altered mental status", "confusion"), ("ams", "confused")),
)
