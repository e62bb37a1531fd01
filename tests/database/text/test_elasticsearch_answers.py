"""Nothing that Elasticsearch quotes of a document or a query ends in an error of ours."""

from __future__ import annotations

from typing import Any

import pytest

from indexer.database.text.elasticsearch.answers import error_type, innermost
from indexer.database.text.elasticsearch.bulk import BulkAction, undone
from indexer.errors import DatabaseError

SECRET = "Mueller, Hans"


def refusal(reason: str, **error: Any) -> str:
    answer = {"type": "document_parsing_exception", "reason": reason, **error}
    with pytest.raises(DatabaseError) as raised:
        undone([BulkAction("0" * 16, ())], [{"index": {"status": 400, "error": answer}}])
    return str(raised.value)


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        (f"[1:9] failed to parse field [age] of type [byte]. Preview: 'field [{SECRET}]'", "age"),
        (f"failed to parse field [report] of type [text]: '{SECRET}'", "report"),
        ("[1:5] mapping set to strict, dynamic introduction of [colour] is not allowed", "colour"),
        (f'For input string: "failed to parse field [{SECRET}]"', None),
        (f"cannot take field [{SECRET}] nor an introduction of [{SECRET}]", None),
    ],
)
def test_of_a_refused_document_only_the_field_is_named(reason: str, field: str | None) -> None:
    for said in (refusal(reason), refusal("refused", caused_by={"reason": reason})):
        assert "Mueller" not in said
        assert ("in the field" in said) == (field is not None)
        assert field is None or f"in the field {field}: " in said


def test_a_type_is_taken_for_one_only_where_it_looks_like_one() -> None:
    assert error_type({"type": "too_many_clauses"}) == "too_many_clauses"
    for odd in ({"type": SECRET}, {"type": ["a"]}, {}, SECRET, None):
        assert error_type(odd) == "unknown"
    assert SECRET not in refusal("", type=SECRET)


def test_of_a_refused_query_only_the_types_are_told() -> None:
    cause = {"type": "too_many_nested_clauses", "reason": SECRET}
    failed = {"type": "query_shard_exception", "reason": SECRET, "caused_by": cause}
    body = {"error": {"type": "search_phase_execution_exception", "root_cause": [failed]}}
    assert innermost(body) == "too_many_nested_clauses"
    assert innermost(SECRET) == innermost({"error": SECRET}) == "unknown"
