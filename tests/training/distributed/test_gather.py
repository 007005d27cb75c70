"""Tensors of all types come together in one message."""

from typing import Any

import torch
import torch.distributed as dist
from tests.processes import run_processes

from polymodal.training.distributed.collectives import gather_rows


def own_rows(rank: int) -> tuple[torch.Tensor, ...]:
    """Two rows more on every process, and none on the first."""
    number = torch.arange(2 * rank) + 10 * rank
    return (
        number[:, None] + torch.rand(2 * rank, 3).double(),
        number % 2 == 0,
        number,
        number[:, None, None].float(),
    )


def gathered(rank: int, world_size: int) -> dict[str, Any]:
    """What one process gets, what it costs, and the gradient of a sum that each process weighs
    otherwise."""
    torch.manual_seed(rank)
    rows, sent = own_rows(rank), []
    rows[0].requires_grad_()
    send = dist.all_gather
    dist.all_gather = lambda *arguments: sent.append(arguments) or send(*arguments)
    result = gather_rows(*rows)
    dist.all_gather = send
    ((rank + 1) * result[0]).sum().backward()
    values = [tensor.detach() for tensor in result]
    single = gather_rows(*(tensor.detach()[: rank == 1] for tensor in rows))  # one row in all
    return {
        "single": single,
        "rows": rows[0].detach(),
        "result": values,
        "messages": len(sent),
        "gradient": rows[0].grad,
    }


def test_rows_of_several_types_come_in_the_order_of_the_ranks_in_one_message() -> None:
    processes = run_processes(gathered, 3)
    everything = [
        torch.cat(parts) for parts in zip(*(own_rows(rank) for rank in range(3)), strict=True)
    ]
    everything[0] = torch.cat([process["rows"] for process in processes])
    for process in processes:
        assert all(
            found.equal(expected[:1])
            for found, expected in zip(process["single"], everything, strict=True)
        )
        assert process["messages"] == 1
        assert process["gradient"].unique().tolist() in ([], [6.0])  # 1 + 2 + 3
        for found, expected in zip(process["result"], everything, strict=True):
            assert found.dtype == expected.dtype
            assert found.equal(expected)


def test_one_process_gathers_nothing() -> None:
    rows = torch.randn(3, 2), torch.arange(3)
    assert all(a is b for a, b in zip(gather_rows(*rows), rows, strict=True))
