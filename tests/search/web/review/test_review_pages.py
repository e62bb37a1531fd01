"""One film after the other, by forms without scripts, as a browser sends them."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from search.web.people.person import Role
from search.web.review.queue import Queues
from tests.search.web.review.conftest import Judged

FINDING = "cardiomegaly"


class _Forms(HTMLParser):
    """The forms of a page: address, hidden fields, and what its buttons say."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str], list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((values["action"], {}, []))
        if tag == "input" and values.get("type") == "hidden":
            self.forms[-1][1][values["name"]] = values["value"]
        if tag == "button" and values.get("name") == "action":
            self.forms[-1][2].append(values["value"])


def page_text(judged: Judged, address: str, status: int = 200) -> str:
    answer = judged.client.get(address)
    assert answer.status_code == status, answer.text
    return answer.text


def press(judged: Judged, page: str, action: str, **more: Any) -> str:
    """Send the form of a button, and give the page that it leads to."""
    parsed = _Forms()
    parsed.feed(page)
    address, fields, _ = next(form for form in parsed.forms if action in form[2])
    sent = judged.client.post(
        address, data={**fields, "action": action, **more}, follow_redirects=False
    )
    assert sent.status_code == 303, sent.text
    return page_text(judged, sent.headers["location"])


def shown_image(page: str) -> str:
    found = re.search(r'action="/review/([0-9a-f]{16})"', page)
    assert found is not None, page
    return found[1]


def progress(page: str) -> tuple[int, int]:
    found = re.search(r"([0-9,]+) of ([0-9,]+) judged", page)
    assert found is not None, page
    return int(found[1]), int(found[2])


@pytest.fixture(scope="module")
def order(judged: Judged) -> list[str]:
    """The images in the order in which they come."""
    films = Queues(judged.service).of(FINDING).films
    assert len({film.study for film in films}) == len(films) > 5
    distances = [abs(film.chance - 0.5) for film in films]
    assert distances == sorted(distances)
    return [film.image for film in films]


def _held(judged: Judged, image: str) -> list[dict[str, Any]]:
    labels = judged.labels(image)[0]["labels"]
    return [{key: one[key] for key in ("finding", "verdict", "words")} for one in labels]


def test_one_after_the_other(judged: Judged, order: list[str]) -> None:
    page = page_text(judged, f"/review?label={FINDING}")
    assert shown_image(page) == order[0]
    assert progress(page) == (0, len(order))
    assert f"/v1/images/{order[0]}/pixels?size=1024" in page
    assert f"/v1/images/{order[0]}/heatmap?size=1024&amp;label={FINDING}" in page
    assert f'data-next-film="/v1/images/{order[1]}/pixels' in page

    page = press(judged, page, "accept")
    assert (shown_image(page), progress(page)) == (order[1], (1, len(order)))
    page = press(judged, page, "reject")
    assert (shown_image(page), progress(page)) == (order[2], (2, len(order)))
    # The next one, without a judgement; then back, and the judgement of the second undone.
    skipped = page_text(judged, f"/review?label={FINDING}&after={order[2]}")
    assert shown_image(skipped) == order[3]
    back = page_text(judged, f"/review?label={FINDING}&image={order[1]}")
    assert "said it is not there" in " ".join(back.split())
    page = press(judged, back, "undo")
    assert (shown_image(page), progress(page)) == (order[1], (1, len(order)))
    history = judged.labels(order[1])[0]["history"]
    assert [event["action"] for event in history] == ["reject", "undo"]
    # What was said of another finding since stays.
    judged.put(order[0], *_held(judged, order[0]), {"finding": "goiter", "verdict": "absent"})
    again = page_text(judged, f"/review?label={FINDING}&image={order[0]}")
    press(judged, again, "undo")
    assert [one["finding"] for one in judged.labels(order[0])[0]["labels"]] == ["goiter"]
    judged.put(order[0], *_held(judged, order[0]), {"finding": FINDING, "verdict": "present"})
    # Who begins anew meets those that nobody judged.
    assert shown_image(page_text(judged, f"/review?label={FINDING}")) == order[1]


def test_a_correction(judged: Judged, order: list[str]) -> None:
    page = page_text(judged, f"/review?label={FINDING}&image={order[4]}")
    page = press(
        judged, page, "correct", finding="pleural effusion", words=["left", ""], more="base, small"
    )
    held = {one["finding"]: one for one in judged.labels(order[4])[0]["labels"]}
    assert held[FINDING]["verdict"] == "absent"
    assert set(held["pleural effusion"]["words"]) == {"left", "base", "small"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"finding": "cardiomegaly"}, "names another finding"),
        ({"finding": "cardiomegalie"}, "near it are cardiomegaly"),
        ({"words": ["gigantic"]}, "gigantic"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_correction_says_so(
    judged: Judged, order: list[str], more: dict[str, Any], told: str
) -> None:
    before = judged.labels(order[5])
    answer = judged.client.post(
        f"/review/{order[5]}", data={"label": FINDING, "number": 0, "action": "correct", **more}
    )
    assert answer.status_code in (400, 422)
    assert told in answer.text
    assert judged.labels(order[5]) == before


def test_someone_else_was_quicker(judged: Judged, order: list[str]) -> None:
    data = {"label": FINDING, "number": "0", "action": "reject"}
    first = judged.client.post(f"/review/{order[5]}", data=data, follow_redirects=False)
    assert first.status_code == 303
    second = judged.client.post(f"/review/{order[5]}", data=data)
    assert second.status_code == 412
    assert "read them again" in second.text


def test_the_end(judged: Judged, order: list[str]) -> None:
    page = page_text(judged, f"/review?label={FINDING}&after={order[-1]}&last={order[-1]}")
    assert "That was the last film" in page
    assert "Begin again" in page


def test_the_choice_of_findings_counts(judged: Judged, order: list[str]) -> None:
    page = " ".join(page_text(judged, "/review").split())
    assert re.search(rf'label={FINDING}">{FINDING}</a> <span class="count">\d+ judged', page)
    assert "no probabilities of" in page_text(judged, "/review?label=flu", 404)
    assert "none that is judged" in page_text(
        judged, f"/review?label={FINDING}&image={'0' * 16}", 404
    )


def test_a_case_is_judged_on_its_page(judged: Judged) -> None:
    image, finding = judged.predicted()
    page = page_text(judged, f"/images/{image}")
    parsed = _Forms()
    parsed.feed(page)
    address, fields, _ = next(
        form for form in parsed.forms if "reject" in form[2] and form[1]["label"] == finding
    )
    sent = judged.client.post(address, data={**fields, "action": "reject"}, follow_redirects=False)
    assert sent.headers["location"] == f"/images/{image}#findings"
    assert f"<s>{finding}</s>" in page_text(judged, f"/images/{image}")
    press(judged, page_text(judged, f"/images/{image}"), "undo")
    assert f"<s>{finding}</s>" not in page_text(judged, f"/images/{image}")


def test_readers_see_no_forms(judged: Judged, as_role: Callable[[Role], None]) -> None:
    image, _ = judged.predicted()
    as_role("reader")
    assert f'action="/images/{image}/labels"' not in page_text(judged, f"/images/{image}")
    assert judged.client.get(f"/review?label={FINDING}").status_code == 403
    data = {"label": FINDING, "number": "0", "action": "reject"}
    assert judged.client.post(f"/images/{image}/labels", data=data).status_code == 403
