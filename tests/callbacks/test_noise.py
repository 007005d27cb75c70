"""Noise is as strong as asked for, the same for a sample in any batch, and leaves what it must."""

from dataclasses import replace

import torch

from polymodal.batch import PAD, PairedBatch
from polymodal.callbacks.noise import noisy


def batch(count: int = 400) -> PairedBatch:
    generator = torch.Generator().manual_seed(0)
    number = torch.arange(count)
    tokens = torch.randint(1, 50, (count, 20), generator=generator)
    tokens = tokens.masked_fill(
        torch.arange(20) >= torch.randint(1, 21, (count, 1), generator=generator), PAD
    )
    values = 5 + 3 * torch.randn(count, 2, 30, generator=generator)
    return PairedBatch({"x": values, "t": tokens}, {"x": number, "t": number}, number, number)


def test_noise_has_the_standard_deviation_that_was_asked_for() -> None:
    before, after = batch(), noisy(batch(), 0.5)
    added = (after.inputs["x"] - before.inputs["x"]).flatten(1) / before.inputs["x"].flatten(1).std(
        1, keepdim=True
    )
    assert abs(added.std().item() - 0.5) < 0.02
    assert abs(added.mean().item()) < 0.02


def test_a_share_of_the_tokens_is_lost_and_the_others_close_ranks() -> None:
    before, after = batch().inputs["t"], noisy(batch(), 0.5).inputs["t"]
    lengths = (after != PAD).sum(1)
    assert (lengths >= 1).all()
    assert torch.equal(after[:, 0], before[:, 0])
    assert abs((lengths - 1).sum().item() / ((before != PAD).sum(1) - 1).sum().item() - 0.5) < 0.03
    assert all(
        (row[:n] != PAD).all() and (row[n:] == PAD).all()
        for row, n in zip(after, lengths, strict=True)
    )
    assert all(set(a.tolist()) <= {*b.tolist(), PAD} for a, b in zip(after, before, strict=True))
    assert (noisy(batch(), 2.0).inputs["t"] != PAD).sum(1).max() == 1


def test_a_sample_has_the_same_noise_in_every_batch() -> None:
    whole = batch(10)
    alone = replace(
        whole,
        inputs={n: v[3:4] for n, v in whole.inputs.items()},
        id=whole.id[3:4],
        group=whole.group[3:4],
    )
    for name in ("x", "t"):
        assert torch.equal(noisy(alone, 0.7).inputs[name], noisy(whole, 0.7).inputs[name][3:4])
        assert not torch.equal(
            noisy(whole, 0.7, salt=1).inputs[name], noisy(whole, 0.7).inputs[name]
        )
    assert noisy(whole, 0) is whole


def test_unknown_values_stay_unknown_and_touch_nothing_else() -> None:
    holes = batch(5)
    holes.inputs["x"][0, 0, 0] = torch.nan
    after = noisy(holes, 0.5).inputs["x"]
    assert after.isnan().sum() == 1
    assert after[0, 0, 0].isnan()


def test_padding_stays_and_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    sounds = torch.randn(50, 40, generator=generator).masked_fill(torch.arange(40) >= 30, 0)
    number = torch.arange(50)
    short, long = (
        PairedBatch({"a": s}, {"a": number}, number, number) for s in (sounds[:, :30], sounds)
    )
    after = noisy(long, 0.5).inputs["a"]
    assert (after[:, 30:] == 0).all()
    torch.testing.assert_close(after[:, :30], noisy(short, 0.5).inputs["a"])


def test_codes_are_lost_and_not_blurred() -> None:
    generator = torch.Generator().manual_seed(0)
    numbers, codes = (
        torch.randn(400, 3, generator=generator),
        torch.randint(0, 1000, (400, 2), generator=generator),
    )
    number = torch.arange(400)
    before = PairedBatch(
        {"t": torch.cat([numbers, codes.float()], 1)}, {"t": number}, number, number
    )
    after = noisy(before, 0.3, codes={"t": 2}).inputs["t"]
    lost = after[:, 3:] == -1
    assert torch.equal(after[:, 3:][~lost], codes.float()[~lost])
    assert abs(lost.double().mean().item() - 0.3) < 0.05
    # the codes, as large as they are, do not count
    assert 0.2 < (after[:, :3] - numbers).std() < 0.4
