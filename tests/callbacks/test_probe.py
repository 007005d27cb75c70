"""Probes of the test split against scikit-learn on vectors that the test makes itself."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from tests.callbacks.runs import MODALITIES, Vectors, fit_and_judge

from polymodal.callbacks import probe
from polymodal.callbacks.probe import Probe, sample_vectors
from polymodal.errors import ConfigError
from polymodal.module import MultimodalModule
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.regression import Regression
from polymodal.outputs import ModelOutput

pytestmark = pytest.mark.filterwarnings("ignore")


def vectors(module: MultimodalModule, split: str) -> tuple:
    """Vectors, X, mask and classes of the labelled samples of a split, in order."""
    data = Vectors()
    data.setup()
    dataset = getattr(data, f"{split}_set")
    batch = dataset[list(range(len(dataset)))]
    with torch.no_grad():
        output = module.model(batch)
    kind = batch.labels["kind"]
    own = output.fused
    if own is None:
        lengths = output.x.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        own = torch.stack(
            [x[m].mean(0) for x, m in zip(output.x / lengths, output.mask, strict=True)]
        )
    return tuple(value[kind >= 0].numpy() for value in (own, output.x, output.mask, kind))


@pytest.mark.parametrize("fused", [True, False])
def test_metrics_are_those_of_scikit_learn_on_the_vectors(fused: bool) -> None:
    objective = Regression("size", 2) if fused else CLIP(MODALITIES)
    trainer, module = fit_and_judge(objective, Probe("kind", seed=3), fused, outputs=2, epochs=1)
    module.eval()
    (train, train_x, train_mask, fitted), (test, x, mask, kind) = (
        vectors(module, "train"),
        vectors(module, "test"),
    )
    clusters = KMeans(3, n_init=10, random_state=3).fit_predict(test)
    scaler = StandardScaler().fit(train)
    linear = LogisticRegression(max_iter=1000).fit(scaler.transform(train), fitted)
    expected = {
        "nmi": normalized_mutual_info_score(kind, clusters),
        "ari": adjusted_rand_score(kind, clusters),
        "knn_accuracy": KNeighborsClassifier(20, metric="cosine")
        .fit(train, fitted)
        .score(test, kind),
        "linear_accuracy": linear.score(scaler.transform(test), kind),
    }
    for i, name in enumerate(MODALITIES):
        neighbours = KNeighborsClassifier(20, metric="cosine")
        neighbours.fit(train_x[train_mask[:, i], i], fitted[train_mask[:, i]])
        expected[f"{name}/knn_accuracy"] = neighbours.score(x[mask[:, i], i], kind[mask[:, i]])
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    for name, value in expected.items():
        assert metrics[f"test/probe/{name}"] == pytest.approx(value, abs=1e-6), name
    assert 0.4 < metrics["test/probe/cluster_accuracy"] <= 1
    assert metrics["test/probe/linear_accuracy"] > 0.6


def test_without_a_fusion_a_sample_is_the_mean_of_what_is_present() -> None:
    x = torch.tensor([[[3.0, 4.0], [0.0, 2.0]], [[0.0, 0.0], [5.0, 0.0]]])
    output = ModelOutput(x, torch.tensor([[True, True], [False, True]]))
    assert torch.allclose(sample_vectors(output), torch.tensor([[0.3, 0.9], [1.0, 0.0]]))
    fused = torch.ones(2, 3)
    assert torch.equal(sample_vectors(output._replace(fused=fused)), fused)
    assert torch.equal(F.normalize(x[:1], dim=-1)[0].mean(0), sample_vectors(output)[0])


def test_the_training_samples_are_bounded_and_nothing_random_is_left_behind() -> None:
    seen: list[int] = []

    class Counting(Probe):
        def _add(self, table, output, batch):
            seen.extend(id for id in batch.id.tolist() if id < 100)  # those of the training split
            super()._add(table, output, batch)

    before: dict[str, torch.Tensor] = {}

    class State(Counting):
        def on_test_epoch_end(self, trainer, pl_module):
            before["state"] = torch.get_rng_state()
            super().on_test_epoch_end(trainer, pl_module)
            assert torch.equal(torch.get_rng_state(), before["state"])

    fit_and_judge(Classification("kind", 3), State("kind", samples=20), fused=True)
    assert len(seen) == len(set(seen)) == 32  # two whole batches
    assert before


@pytest.mark.parametrize("label", ["tags", "size", "other"])
def test_labels_that_are_no_classes_are_refused_before_training(label: str) -> None:
    steps: list[int] = []

    class Watching(Probe):
        def on_train_batch_end(self, *args, **kwargs):
            steps.append(1)

    with pytest.raises(ConfigError, match=f"callbacks.probe.label={label}"):
        fit_and_judge(Classification("kind", 3), Watching(label), fused=True, epochs=1)
    assert not steps


@pytest.mark.parametrize("most", [2, 3])
def test_of_very_many_classes_nothing_is_fitted(most: int, monkeypatch, caplog) -> None:
    monkeypatch.setattr(probe, "MOST_CLASSES", most)
    trainer, _ = fit_and_judge(CLIP(MODALITIES), Probe("kind"), fused=False)
    names = {
        name.removeprefix("test/probe/") for name in trainer.callback_metrics if "/probe/" in name
    }
    neighbours = {"knn_accuracy", *(f"{name}/knn_accuracy" for name in MODALITIES)}
    fitted = {"nmi", "ari", "cluster_accuracy", "linear_accuracy"}
    assert names == (neighbours if most == 2 else neighbours | fitted)
    assert ("of more than 2 classes" in caplog.text) == (most == 2)
