from __future__ import annotations

import pytest
import torch

from indexer.cascade.networks.encoder import Encoder, EnsembleMember

PICTURES = torch.randint(0, 255, (5, 1, 32, 32), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def members() -> list[EnsembleMember]:
    torch.manual_seed(0)
    return [EnsembleMember("test_resnet", 8, 3, sentences=6).eval() for _ in range(2)]


def _encoder(members: list[EnsembleMember], dimensions: int = 8, sentences: int = 0) -> Encoder:
    encoder = Encoder(["test_resnet"] * len(members), dimensions, 3, sentences).eval()
    for own, member in zip(encoder.members, members, strict=True):
        own.load_state_dict({k: v for k, v in member.state_dict().items() if "sentence" not in k})
    return encoder


@torch.inference_mode()
def test_one_member_says_what_the_encoder_says(members: list[EnsembleMember]) -> None:
    one, alone = _encoder(members[:1])(PICTURES), members[0](PICTURES)
    torch.testing.assert_close(one.logits, alone.logits)
    torch.testing.assert_close(one.view, alone.view)
    assert one.sentence.shape == (5, 0)


@torch.inference_mode()
def test_members_are_averaged_and_joined(members: list[EnsembleMember]) -> None:
    with pytest.raises(RuntimeError):
        _encoder(members, dimensions=16)
    encoder = _encoder(members, sentences=6)
    apart = [member(PICTURES) for member in members]
    both = encoder(PICTURES)
    torch.testing.assert_close(both.logits, (apart[0].logits + apart[1].logits) / 2)
    torch.testing.assert_close(both.view, (apart[0].view + apart[1].view) / 2)
    assert both.embedding.shape == (5, 8)
    torch.testing.assert_close(both.sentence, encoder.place(both.embedding))


@torch.inference_mode()
def test_likeness_is_looks_and_shared_labels(members: list[EnsembleMember]) -> None:
    encoder = _encoder(members)
    encoder.worth.copy_(torch.tensor([2.0, 0.5, 3.0]))
    apart = [member(PICTURES).embedding for member in members]
    logits = encoder(PICTURES).logits
    sides = encoder.side_by_side(torch.stack(apart), logits)
    cosines = sum(vectors @ vectors.T for vectors in apart) / 2
    chances = logits.sigmoid()
    shared = (chances * torch.tensor([2.0, 0.5, 3.0])) @ chances.T
    torch.testing.assert_close(sides @ sides.T, cosines + shared)


@pytest.mark.parametrize("name", ["densenet121", "mobilenetv3_small_050", "nin_bn"])
def test_any_backbone_makes_a_member(name: str) -> None:
    member = EnsembleMember(name, 8, 3, sentences=6, drop_path=0.1).eval()
    with torch.inference_mode():
        outputs = member(PICTURES.repeat(1, 1, 2, 2))
    assert outputs.embedding.shape == (5, 8)
    assert outputs.logits.shape == (5, 3)
    assert bool(outputs.logits.isfinite().all())
