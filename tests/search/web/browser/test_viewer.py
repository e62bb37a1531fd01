"""The film on its canvas: window, heat map, zoom, films side by side."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.search.web.browser.conftest import PHONE, Opening
from tests.search.web.site import Site

# Mean of a canvas, how far its colours are from grey, and its size.
_LOOK = """(at) => {
  const canvas = document.querySelectorAll(".viewer canvas")[at];
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let sum = 0;
  let colour = 0;
  for (let i = 0; i < data.length; i += 4) {
    sum += data[i];
    colour = Math.max(colour, Math.abs(data[i] - data[i + 2]));
  }
  return { mean: sum / (data.length / 4), colour, width, height };
}"""


def look(page: Page, at: int = 0) -> Any:
    return page.evaluate(_LOOK, at)


def of_effusion(site: Site, count: int) -> list[str]:
    """Ids of images of several studies, which stay those whatever other tests judge."""
    query = 'report:"pleural effusion"'
    found = site.asked("reader", "/v1/search", q=query, group="study", limit=count)
    return [hit["id"] for hit in found["hits"]]


def locate(page: Page, label: str) -> None:
    """Choose a finding and wait for its map; the first one waits for its network too."""
    with page.expect_response(re.compile("/heatmap"), timeout=60_000) as waiting:
        page.get_by_label("Where is").select_option(label)
    assert waiting.value.status == 200
    until_coloured(page)


def until_coloured(page: Page, at: int = 0) -> None:
    for _ in range(100):
        if look(page, at)["colour"] > 20:
            return
        page.wait_for_timeout(100)
    raise AssertionError("no heat map is drawn")


def test_window_invert_rotate_and_zoom(opened: Opening, site: Site) -> None:
    (image,) = of_effusion(site, 1)
    page = opened(f"/images/{image}", "reader")
    canvas = page.locator(".viewer canvas")
    expect(canvas).to_be_visible()
    start = look(page)
    assert start["colour"] == 0

    page.keyboard.press("2")
    expect(page.get_by_role("slider", name="Window")).to_have_value("150")
    lungs = look(page)
    assert lungs["mean"] > start["mean"] + 5
    page.keyboard.press("0")
    assert look(page) == start

    box = canvas.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 80, middle[1] + 40, steps=4)
    page.mouse.up()
    expect(page.get_by_role("slider", name="Window")).to_have_value("176")
    expect(page.get_by_role("slider", name="Level")).to_have_value("148")
    page.get_by_role("button", name="Reset").click()

    page.keyboard.press("i")
    assert abs(look(page)["mean"] + start["mean"] - 255) < 2
    page.keyboard.press("i")
    page.keyboard.press("r")
    turned = look(page)
    assert (turned["width"], turned["height"]) == (start["height"], start["width"])
    page.keyboard.press("0")
    page.mouse.move(*middle)
    page.mouse.wheel(0, -200)
    nearer = look(page)
    assert nearer["mean"] != start["mean"]
    canvas.focus()
    page.keyboard.press("ArrowRight")
    assert look(page)["mean"] != nearer["mean"]
    page.keyboard.press("0")
    assert look(page) == start


_GREYS = """() => {
  const canvas = document.querySelector(".viewer canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const greys = new Set();
  for (let i = 0; i < data.length; i += 4) greys.add(data[i]);
  return greys.size;
}"""


def test_a_narrow_window_shows_a_films_depth(opened: Opening, site: Site) -> None:
    (image,) = of_effusion(site, 1)
    page = opened(f"/images/{image}", "reader")
    expect(page.locator(".viewer canvas")).to_be_visible()
    start = look(page)
    page.get_by_role("slider", name="Window").fill("16")
    expect(page.locator(".viewer")).to_have_attribute("data-deep", "1024")
    # Of 256 greys a window of 16 would show 16 and a few between.
    assert page.evaluate(_GREYS) > 100
    page.get_by_role("button", name="Reset").click()
    assert look(page) == start


def test_a_large_film_is_shown_with_its_pixels_when_zoomed(opened: Opening, site: Site) -> None:
    (image,) = of_effusion(site, 1)
    page = opened(f"/images/{image}", "reader")
    expect(page.locator(".viewer canvas")).to_be_visible()
    start = look(page)
    larger = f"/v1/images/{image}/pixels?size=2048"
    page.locator(".viewer").evaluate("(place, to) => { place.dataset.larger = to; }", larger)
    with page.expect_response(re.compile("size=2048")):
        for _ in range(2):
            page.get_by_role("button", name="Nearer").click()
    for _ in range(100):
        if look(page)["width"] == 2 * start["width"]:
            break
        page.wait_for_timeout(100)
    assert look(page)["height"] == 2 * start["height"]
    page.keyboard.press("0")
    assert abs(look(page)["mean"] - start["mean"]) < 1


def test_two_fingers_zoom_and_move(opened: Opening, site: Site) -> None:
    (image,) = of_effusion(site, 1)
    page = opened(f"/images/{image}", "reader", size=PHONE)
    canvas = page.locator(".viewer canvas")
    expect(canvas).to_be_visible()
    canvas.scroll_into_view_if_needed()
    start = look(page)
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    hand = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": one[0], "y": one[1], "id": n} for n, one in enumerate(points)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (x - 20, y), (x + 20, y))
    for apart in (30, 40, 60):
        touch("touchMove", (x - apart, y), (x + apart, y))
    touch("touchEnd")
    page.wait_for_timeout(500)
    view = page.evaluate("history.state.film.view")
    assert 2 < view["zoom"] < 4
    assert (view["width"], view["level"]) == (256, 128)
    assert look(page) != start
    touch("touchStart", (x - 30, y), (x + 30, y))
    touch("touchMove", (x, y + 20), (x + 60, y + 20))
    touch("touchEnd")
    page.wait_for_timeout(500)
    moved = page.evaluate("history.state.film.view")
    assert moved["x"] > view["x"] + 0.03
    assert moved["y"] > view["y"] + 0.02
    touch("touchStart", (x, y))
    touch("touchMove", (x - 40, y))
    touch("touchEnd")
    expect(page.get_by_role("slider", name="Window")).not_to_have_value("256")


def test_a_heat_map_is_laid_over_the_film(opened: Opening, site: Site) -> None:
    (image,) = of_effusion(site, 1)
    page = opened(f"/images/{image}", "reader")
    expect(page.locator(".viewer canvas")).to_be_visible()
    locate(page, "pleural effusion")
    strong = look(page)["colour"]
    with site.person("reader") as ask:
        heat = ask.get(f"/v1/images/{image}/heatmap", params={"label": "pleural effusion"})
    own = float(heat.headers["cxrdex-probability"])
    said = page.get_by_text("in this film alone")
    expect(said).to_have_text(f"pleural effusion: {own:.2f} in this film alone")
    page.get_by_role("slider", name="Heat").fill("10")
    assert 0 < look(page)["colour"] < strong
    page.locator("h1").click()
    page.keyboard.press("h")
    assert look(page)["colour"] == 0
    page.keyboard.press("h")
    assert look(page)["colour"] > 20


def test_an_address_may_name_a_finding(opened: Opening, site: Site) -> None:
    (image,) = of_effusion(site, 1)
    page = opened(f"/images/{image}?label=pleural+effusion", "reader")
    until_coloured(page)
    expect(page.get_by_label("Where is")).to_have_value("pleural effusion")


def test_a_map_that_cannot_be_had_is_said(opened: Opening, site: Site) -> None:
    (image,) = of_effusion(site, 1)
    page = opened(f"/images/{image}", "reader")
    expect(page.locator(".viewer canvas")).to_be_visible()
    page.context.set_offline(True)
    page.get_by_label("Where is").select_option("pleural effusion")
    expect(page.get_by_text("there is no heat map of this film")).to_be_visible()


def test_the_view_of_a_film_is_there_again_after_reload_and_back(
    opened: Opening, site: Site
) -> None:
    (image,) = of_effusion(site, 1)
    page = opened(f"/images/{image}", "reader")
    expect(page.locator(".viewer canvas")).to_be_visible()
    for key in ("2", "i", "r"):
        page.keyboard.press(key)
    locate(page, "pleural effusion")
    seen = look(page)
    # It is kept when it has not changed for a moment.
    page.wait_for_timeout(500)
    page.reload()
    until_coloured(page)
    assert look(page) == seen
    page.get_by_role("link", name="Cohorts").click()
    expect(page).to_have_url(re.compile("/cohorts"))
    page.go_back()
    until_coloured(page)
    assert look(page) == seen


def test_films_side_by_side_are_linked(opened: Opening, site: Site) -> None:
    page = opened("/search?q=view:frontal", "reader")
    # The film in which a name is written has no thumbnail, and is shown to administrators alone.
    marks = page.locator(".card:not(:has(.unseen)) input[name=ids][type=checkbox]")
    for place in range(2):
        marks.nth(place).check()
    page.get_by_role("button", name="Compare marked").click()
    expect(page).to_have_url(re.compile("/compare"))
    expect(page.locator(".viewer canvas")).to_have_count(2)
    start = [look(page, at)["mean"] for at in range(2)]
    page.keyboard.press("3")
    both = [look(page, at)["mean"] for at in range(2)]
    assert all(abs(one - two) > 2 for one, two in zip(start, both, strict=True))
    page.keyboard.press("l")
    page.locator(".viewer canvas").nth(1).focus()
    page.keyboard.press("i")
    assert look(page, 0)["mean"] == both[0]
    assert look(page, 1)["mean"] != both[1]
    locate(page, "pleural effusion")
    for at in range(2):
        until_coloured(page, at)


def test_keys_lead_to_the_studies_before_and_after(opened: Opening, site: Site) -> None:
    studies: dict[str, dict[str, str]] = {}
    for hit in site.asked("reader", "/v1/search", limit=200)["hits"]:
        studies.setdefault(hit["patient"], {})[hit["study"]] = hit["id"]
    several = next(images for images in studies.values() if len(images) > 1)
    pressed = set()
    for image in several.values():
        page = opened(f"/images/{image}", "reader")
        for key in ("p", "n"):
            link = page.locator(f"a[data-key={key}]")
            if not link.count():
                continue
            wanted = link.get_attribute("href")
            page.keyboard.press(key)
            expect(page).to_have_url(f"{site.address}{wanted}")
            expect(page.locator(".viewer canvas")).to_have_count(2)
            pressed.add(key)
            page.go_back()
    assert pressed == {"p", "n"}
