"""Parameters that are shared out give the loss, the gradients and the steps of one process, in
fp64."""

from pathlib import Path
from typing import Any

import torch
from tests.processes import run_processes
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from polymodal.batch import PairedBatch
from polymodal.encoders.image.vit import ViT
from polymodal.encoders.text.transformer import Transformer
from polymodal.fusion.concat import Concat
from polymodal.heads.linear import Linear
from polymodal.model import MultimodalModel
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.weighted import Weighted
from polymodal.training.activation_checkpointing import recompute_blocks
from polymodal.training.checkpoints.sharded import tensors_of
from polymodal.training.distributed.fsdp import (
    average_whole,
    clip_gradients,
    load_weights,
    shard,
    share_out,
)
from polymodal.training.distributed.strategy import whole
from polymodal.training.tuning import parameter_groups

NAMES = ("image", "text", "more", "again")
SIZES = [7, 4]


def parts() -> nn.ModuleDict:
    torch.manual_seed(0)
    encoders = {
        "image": ViT(8, 1, 8, 4, 8, 2, 2),
        "text": Transformer(8, 9, width=8, heads=2),
        "more": nn.Linear(5, 8),
    }
    encoders["again"] = encoders["more"]
    model = MultimodalModel(encoders, Concat(8, NAMES), Linear(8, 3))
    objective = Weighted(
        {"clip": CLIP(NAMES), "kind": Classification("kind", 3)}, {"clip": 1.0, "kind": 0.5}
    )
    return nn.ModuleDict({"model": model, "objective": objective}).double()


def batch() -> PairedBatch:
    """The samples of the second process have no text at all."""
    generator, number = torch.Generator().manual_seed(0), torch.arange(sum(SIZES))
    inputs = {
        "image": torch.randn(len(number), 1, 8, 8, generator=generator).double(),
        "text": torch.randint(1, 9, (len(number), 5), generator=generator),
        "more": torch.randn(len(number), 5, generator=generator).double(),
        "again": torch.randn(len(number), 5, generator=generator).double(),
    }
    items = dict.fromkeys(NAMES, number)
    return PairedBatch(
        inputs, items, number // 2, number, {"text": number < SIZES[0]}, {"kind": number % 3}
    )


def steps(rank: int, world_size: int, clipping: str | None, file: Path) -> dict[str, Tensor]:
    """Loss, clipped gradients of the first step; weights and state of the optimizer after three of
    them."""
    module, samples = parts(), batch()
    if world_size > 1:
        recompute_blocks(module.model.encoders["image"])
        shard(module.model, "cpu")
        samples = samples._map(lambda tensor: tensor.split(SIZES)[rank])
    optimizer = torch.optim.AdamW(parameter_groups(module, {}), lr=0.01, fused=True)
    result: dict[str, Any] = {}
    for step in range(3):
        loss = module.objective(module.model(samples), samples)
        optimizer.zero_grad()
        loss.backward()
        if world_size > 1:
            average_whole(module.objective)
            clip_gradients(module.parameters(), 0.1, clipping)
        elif clipping == "value":
            nn.utils.clip_grad_value_(module.parameters(), 0.1)
        else:
            nn.utils.clip_grad_norm_(module.parameters(), 0.1)
        if step == 0:
            grads = {f"gradient of {name}": p.grad for name, p in module.named_parameters()}
            result = {
                k: g.full_tensor() if hasattr(g, "full_tensor") else g.clone()
                for k, g in grads.items()
            }
            result["loss"] = loss.detach()
            if world_size > 1:
                torch.distributed.all_reduce(result["loss"])
                result["loss"] /= world_size
        optimizer.step()
    state = {"state_dict": dict(module.state_dict()), "optimizer": optimizer.state_dict()}
    result |= {path: tensor.clone() for path, tensor in tensors_of(whole(state, keep=True)).items()}
    if world_size > 1:
        shards = tensors_of(state)
        again = whole(state, keep=True)
        share_out(again, shards.get)
        for path, tensor in tensors_of(again).items():
            assert type(tensor) is type(shards[path])
            assert torch.equal(
                *(t.to_local() if isinstance(t, DTensor) else t for t in (tensor, shards[path]))
            )
        load_weights(module, file)
        torch.testing.assert_close(
            whole(dict(module.state_dict()), True), dict(parts().state_dict()), rtol=0, atol=0
        )
    return result


def both_ways(rank: int, world_size: int, file: Path) -> list[dict[str, Tensor]]:
    return [steps(rank, world_size, clipping, file) for clipping in (None, "value")]


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    torch.save({"state_dict": parts().state_dict(), "config": {}}, tmp_path / "fresh.ckpt")
    # the first puts the weights together
    together = run_processes(both_ways, 2, tmp_path / "fresh.ckpt")[0]
    for one, two in zip(both_ways(0, 1, tmp_path), together, strict=True):
        assert one.keys() == two.keys()
        for key, value in one.items():
            torch.testing.assert_close(
                two[key], value, rtol=1e-6, atol=1e-10, msg=lambda m, k=key: f"{k}: {m}"
            )
