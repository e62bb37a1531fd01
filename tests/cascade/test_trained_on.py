from __future__ import annotations

from indexer.cascade.trained_on import TrainedOn, compressed


def test_names_are_known_again_wherever_they_lie() -> None:
    names = [f"CXR{number}_IM-0001-1001" for number in range(5000)]
    text = compressed(names)
    assert len(text) < 5000 * 6
    known = TrainedOn(text)
    assert len(known) == 5000
    assert all(f"images/{name}.png" in known for name in names[::100])
    assert sum(f"CXR{number}_IM-0001-1001.dcm" in known for number in range(5000, 9000)) == 0
    assert "1.2.840.113619" not in known
    assert "CXR1_IM-0001-1001" not in TrainedOn(compressed([]))
