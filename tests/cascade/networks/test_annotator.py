from __future__ import annotations

from typing import Literal

import pytest
import torch

from indexer.cascade.networks.annotator import Annotator

CELLS: list[Literal["gru", "lstm"]] = ["gru", "lstm"]


def _model(cell: Literal["gru", "lstm"], layers: int = 1) -> Annotator:
    torch.manual_seed(0)
    return Annotator(8, words=12, cell=cell, units=16, layers=layers).eval()


@pytest.mark.parametrize("cell", CELLS)
def test_the_state_of_every_layer_starts_from_the_image(cell: Literal["gru", "lstm"]) -> None:
    model = _model(cell, layers=2)
    one, other = (model.initial_state(torch.randn(1, 8)) for _ in range(2))
    assert len(one) == (1 if cell == "gru" else 2), "an LSTM has a memory, too"
    for mine, theirs in zip(one, other, strict=True):
        for layer in range(2):
            assert not torch.allclose(mine[layer], theirs[layer])


@pytest.mark.parametrize("cell", CELLS)
def test_the_state_advances(cell: Literal["gru", "lstm"]) -> None:
    model = _model(cell)
    image = torch.randn(1, 8)
    words = torch.tensor([[3, 5, 7]])
    whole = model(image, words)
    state = model.initial_state(image)
    for step in range(3):
        logits, state = model.step(words[:, step : step + 1], state)
        torch.testing.assert_close(logits[:, 0], whole[:, step])
    other = model(image, torch.tensor([[4, 5, 7]]))
    assert not torch.allclose(whole[:, 2], other[:, 2]), "word 0 must still be felt at word 2"


@pytest.mark.parametrize("cell", CELLS)
def test_beam_search_finds_at_least_what_greedy_does(cell: Literal["gru", "lstm"]) -> None:
    model = _model(cell)
    images, findings = torch.randn(20, 8), torch.randint(1, 5, (20,))

    def chance(lines: list[list[tuple[int, float]]]) -> float:
        return sum(sum(p for _, p in line) for line in lines)

    def log_likelihood(beam: int) -> float:
        total = 0.0
        for row, line in enumerate(model.describe(images, findings, beam=beam, length=4)):
            words = [int(findings[row]), *[w for w, _ in line]]
            tail = [*words[1:], 0] if len(words) < 5 else words[1:]
            state = model.initial_state(images[row : row + 1])
            logits, _ = model.step(torch.tensor([words[: len(tail)]]), state)
            for step in range(len(tail)):
                used = torch.tensor(words[: step + 1])
                masked = logits[0, step].index_fill(0, used, -torch.inf)
                total += float(masked.log_softmax(0)[tail[step]].detach())
        return total

    greedy, beam = (model.describe(images, findings, beam=b, length=4) for b in (1, 8))
    assert log_likelihood(8) >= log_likelihood(1) - 1e-4
    assert chance(greedy) > 0
    assert chance(beam) > 0


def test_words_have_probabilities_and_do_not_repeat() -> None:
    for line in _model("gru").describe(torch.randn(30, 8), torch.randint(1, 5, (30,))):
        words = [word for word, _ in line]
        assert len(set(words)) == len(words)
        assert all(0 < chance <= 1 for _, chance in line)


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    model, images = _model("gru"), torch.randn(64, 8)
    findings = torch.randint(1, 5, (64,))
    whole = model.describe(images, findings)
    turned = model.describe(images.flip(0), findings.flip(0))
    assert whole == turned[::-1]
