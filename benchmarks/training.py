"""How fast the product's CNN learns, with torch's depthwise gradients and with those of
`indexer.learning.depthwise`, turn about.

    python -m benchmarks.training
"""

from __future__ import annotations

import statistics
import time

import click
import torch

from benchmarks.record import write_result
from indexer.cascade.networks.encoder import EnsembleMember
from indexer.learning.depthwise import use_fast_depthwise
from indexer.memory import keep_freed_memory
from indexer.training.recipe import Recipe


@click.command()
@click.option("--steps", default=12, show_default=True, help="Steps of each.")
def main(steps: int) -> None:
    """Print and keep images/s of each."""
    keep_freed_memory(-1)
    recipe = Recipe()
    ways = {}
    for name in ("torch", "cxrdex"):
        member = EnsembleMember(
            recipe.backbones[0], recipe.dimensions, 200, drop_path=recipe.drop_path
        )
        member.to(memory_format=torch.channels_last).train()
        if name == "cxrdex":
            use_fast_depthwise(member)
        ways[name] = member, torch.optim.AdamW(member.parameters())
    pictures = torch.rand(recipe.batch_size, 1, recipe.crop, recipe.crop) * 255
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(steps):
        for name, (member, optimizer) in ways.items():
            started = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16):
                loss = member(pictures).logits.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seconds[name].append(time.perf_counter() - started)
    rates = {n: round(len(pictures) / statistics.median(s), 1) for n, s in seconds.items()}
    write_result(
        "training",
        {
            "command": "python -m benchmarks.training",
            "crop": recipe.crop,
            "batch_size": recipe.batch_size,
            "images_per_s": rates,
            "ratio": round(rates["cxrdex"] / rates["torch"], 2),
        },
    )


if __name__ == "__main__":
    main()
