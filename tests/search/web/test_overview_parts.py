"""The map of composite labels: where labels lie, and what asks for them."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.cascade.bundle import Bundle
from search.web.overview.composite_map import (
    HEIGHT,
    WIDTH,
    composite_map,
    composite_places,
    label_query,
    spread,
)


def test_every_composite_label_of_a_bundle_has_its_place(bundle: Bundle) -> None:
    places = composite_places(bundle)
    assert list(places) == list(bundle.labels.composites)
    at = np.array([*places.values()])
    assert ((at >= 0) & (at <= 1)).all()
    assert (composite_places(bundle)) == places
    # Labels of one finding lie nearer to each other than to others.
    first = np.array([name.startswith("cardiomegaly") for name in places])
    apart = np.linalg.norm(at[:, None] - at[None], axis=2)
    assert apart[first][:, first].mean() < apart[first][:, ~first].mean()


@pytest.mark.parametrize(
    ("label", "query"),
    [
        ("opacity, base, left (2)", 'finding:("opacity" AND "base" AND "left")'),
        ("catheters, indwelling, right", 'finding:("catheters, indwelling" AND "right")'),
        ("cardiomegaly, unspecified", 'finding:("cardiomegaly")'),
        ("unheard of, mixed", 'finding:("unheard of")'),
    ],
)
def test_what_asks_for_a_label(label: str, query: str) -> None:
    assert label_query(label, ("opacity", "catheters, indwelling", "cardiomegaly")) == query


def test_crowds_are_spread_inside_the_picture() -> None:
    places = np.random.default_rng(1).normal(300, 3, (30, 2))
    apart = spread(places, np.full(30, 20.0))
    distance = np.linalg.norm(apart[:, None] - apart[None], axis=2)[~np.eye(30, dtype=bool)]
    assert distance.min() > 15
    assert ((apart >= 0) & (apart <= (WIDTH, HEIGHT))).all()


def test_a_point_grows_with_its_images() -> None:
    names = {"opacity, left": (0.1, 0.1), "opacity, right": (0.9, 0.9), "mass": (0.5, 0.2)}
    queries = {name: label_query(name, ("opacity", "mass")) for name in names}
    counts = {"opacity, left": 9, "opacity, right": 1, "mass": 0}
    points = composite_map(names, queries, counts).points
    assert [p.label for p in points] == ["opacity, left", "opacity, right", "mass"]
    assert points[0].radius > points[1].radius > points[2].radius
    assert [p.titled for p in points] == [True, False, True]
    assert points[0].colour == points[1].colour != points[2].colour
    assert composite_map({}, {}, {}).points == ()
