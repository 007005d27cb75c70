"""A batch moves as a whole and says what is present."""

import pytest
import torch

from polymodal.batch import PairedBatch


def batch_of(present: dict[str, torch.Tensor] | None = None) -> PairedBatch:
    number = torch.arange(3)
    return PairedBatch(
        {"image": torch.zeros(3, 1, 2, 2, dtype=torch.uint8)},
        {"image": number},
        number,
        number,
        present or {},
    )


def test_a_modality_without_a_mask_is_everywhere() -> None:
    batch = batch_of({"text": torch.tensor([True, False, True])})
    assert batch.mask(["image", "text"]).tolist() == [[True, True], [True, False], [True, True]]


def test_moving_keeps_dtypes_and_reaches_every_tensor() -> None:
    moved = batch_of({"text": torch.ones(3, dtype=torch.bool)}).to("meta")
    assert moved.inputs["image"].dtype == torch.uint8
    tensors = [
        *moved.inputs.values(),
        *moved.items.values(),
        *moved.present.values(),
        moved.group,
        moved.id,
    ]
    assert all(tensor.device.type == "meta" for tensor in tensors)


def test_page_locked_memory_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda tensor: tensor.dtype == torch.long)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda tensor, _, non_blocking: asked.append((tensor, non_blocking))
    )
    number = torch.arange(3)
    PairedBatch({"a": torch.rand(3, 2)}, {"a": number}, number, number).to("cuda")
    assert [(tensor.is_floating_point(), without) for tensor, without in asked] == [
        (True, False),
        *3 * [(False, True)],
    ]
