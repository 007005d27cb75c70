"""A batch moves as a whole and says what is present."""

import torch

from polymodal.batch import PairedBatch


def batch_of(present: dict[str, torch.Tensor] | None = None) -> PairedBatch:
    number = torch.arange(3)
    return PairedBatch(
        {"image": torch.zeros(3, 1, 2, 2, dtype=torch.uint8)}, {"image": number}, number, number, present or {}
    )


def test_a_modality_without_a_mask_is_everywhere() -> None:
    batch = batch_of({"text": torch.tensor([True, False, True])})
    assert batch.mask(["image", "text"]).tolist() == [[True, True], [True, False], [True, True]]


def test_moving_keeps_dtypes_and_reaches_every_tensor() -> None:
    moved = batch_of({"text": torch.ones(3, dtype=torch.bool)}).to("meta")
    assert moved.inputs["image"].dtype == torch.uint8
    tensors = [*moved.inputs.values(), *moved.items.values(), *moved.present.values(), moved.group, moved.id]
    assert all(tensor.device.type == "meta" for tensor in tensors)
