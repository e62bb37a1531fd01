"""Words for people of a sex or an age, as patterns."""

from __future__ import annotations

__all__ = ["CHILDREN", "GROUPS", "SEXES"]

#: Sexes of the index, with the words for them.
SEXES = {
    "F": r"wom[ae]n|females?|lad(?:y|ies)|girls?|she|mothers?",
    "M": r"m[ae]n|males?|gentlem[ae]n|boys?|he|fathers?",
}
#: Words for children.
CHILDREN = r"child(?:ren|hood)?|kids?|p(?:a?e)?ediatrics?|pedi?s?|juveniles?|minors"
#: Words for people of some age, with the condition; girls and boys are sexes as well.
GROUPS = (
    (r"newborns?|neonat(?:es?|al)|preemies?", "age:<1"),
    (r"infants?|bab(?:y|ies)", "age:<2"),
    (r"toddlers?", "age:[1 TO 3]"),
    (r"adolescents?|teen(?:age(?:d|rs?)?|s)?", "age:[13 TO 17]"),
    (CHILDREN, "age:<18"),
    (r"(?:girls?|boys?)", "age:<18"),
    (r"young(?:er)? adults?", "age:[18 TO 40]"),
    (r"older adults?|elderly|geriatric|seniors?|old (?:people|persons?|patients?)", "age:>=65"),
    (r"of (?:child-?bearing|reproductive) age", "age:[15 TO 49]"),
    (r"middle[- ]aged", "age:[40 TO 65]"),
    *(
        (rf"{decade}genarians?", f"age:[{first} TO {first + 9}]")
        for decade, first in (
            ("quadra", 40),
            ("quinqua", 50),
            ("sexa", 60),
            ("septua", 70),
            ("octo", 80),
        )
    ),
    # Ages over 90 are kept as 90.
    (r"(?:nona|cente)(?:ge)?narians?", "age:>=90"),
    (r"adults?(?! resp)", "age:>=18"),
    (
        r"young(?= (?:wom[ae]n|m[ae]n|females?|males?|people|persons?|patients?|lad))",
        "age:[18 TO 40]",
    ),
    (r"(?:old|older)(?= (?:wom[ae]n|m[ae]n|females?|males?|lad))", "age:>=65"),
)
