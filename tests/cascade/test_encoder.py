from __future__ import annotations

import pytest
import torch

from indexer.cascade.encoder import Encoder, Member

PICTURES = torch.randint(0, 255, (5, 1, 32, 32), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def members() -> list[Member]:
    torch.manual_seed(0)
    return [Member("test_resnet", 8, 3, sentences=6).eval() for _ in range(2)]


@torch.inference_mode()
def test_one_member_is_the_encoder(members: list[Member]) -> None:
    encoder = Encoder("test_resnet", 8, 3).eval()
    encoder.load_members(members[:1])
    one, alone = encoder(PICTURES), members[0](PICTURES)
    torch.testing.assert_close(one.embedding, alone.embedding)
    torch.testing.assert_close(one.logits, alone.logits)
    assert one.sentence.shape == (5, 0)


@torch.inference_mode()
def test_members_are_averaged_and_joined(members: list[Member]) -> None:
    encoder = Encoder("test_resnet", 16, 3, sentences=6, members=2).eval()
    with pytest.raises(RuntimeError):
        encoder.load_members(members)
    encoder = Encoder("test_resnet", 8, 3, sentences=6, members=2).eval()
    encoder.load_members(members)
    apart = [member(PICTURES) for member in members]
    both = encoder(PICTURES)
    torch.testing.assert_close(both.logits, (apart[0].logits + apart[1].logits) / 2)
    torch.testing.assert_close(both.view, (apart[0].view + apart[1].view) / 2)
    for vectors in (both.embedding, both.sentence):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))
    assert both.embedding.shape == (5, 8)
    torch.testing.assert_close(both.sentence, encoder.place(both.embedding))
