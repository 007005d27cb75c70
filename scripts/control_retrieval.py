"""What retrieval on the stamps and drawings reaches by chance, and without a network.

    python scripts/control_retrieval.py manifest=<prepared .parquet file> [split=test]

Chance: the mean probability that a random order has a right answer among the first. `noisy`: the
cosine of TF-IDF vectors of words. `image` and `audio`: ridge regression from 16 x 16 pixels, or
from the log-mel spectrogram's mean and deviation in four parts of the sound, to the first 128
components of TF-IDF vectors of three letters, both ways by cosine. Models are fitted on the
training split (weights of words on the gallery too, which a search knows); galleries, positives and
metrics are those of the experiments.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from pyarrow import parquet
from rich.progress import track
from scipy.special import gammaln
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from arguments import arguments
from polymodal.data.media.audio import read
from polymodal.data.media.images import read_image
from polymodal.encoders.audio.log_mel import LogMel
from polymodal.metrics.ranking import positive_ranks

KS = (1, 5, 10)
Items = tuple[list[str], np.ndarray]
"""Distinct items of a modality and the group of each."""


def main() -> None:
    settings = arguments(__doc__, {"manifest": "", "split": "test"})
    file = Path(settings["manifest"])
    if not file.is_file():
        sys.exit(
            "error: give manifest=<folder>/spoken.parquet, or another file that a script has "
            "prepared."
        )
    rows = parquet.read_table(file).to_pylist()
    training = [row for row in rows if row["split"] == "train"]
    judged = [row for row in rows if row["split"] == settings["split"]]
    print(f"{'':28s}" + "".join(f"{f'recall@{k}':>11s}" for k in KS))
    for modality in (name for name in ("image", "audio", "noisy") if name in rows[0]):
        queries, texts = items(judged, modality), items(judged, "text")
        x, y = (
            word_vectors(training, queries, texts)
            if modality == "noisy"
            else regressed(training, modality, file.parent, queries, texts)
        )
        for name, (source, target), (asking, asked) in (
            (f"{modality}_to_text", (queries, texts), (x, y)),
            (f"text_to_{modality}", (texts, queries), (y, x)),
        ):
            show(f"{name}, chance", chance(source[1], target[1]))
            vectors = [torch.from_numpy(part.astype(np.float32)) for part in (asking, asked)]
            ranks = positive_ranks(
                *vectors, torch.from_numpy(source[1]), torch.from_numpy(target[1])
            )
            show(f"{name}, control", [float((ranks <= k).float().mean()) for k in KS])


def items(rows: list[dict], modality: str) -> Items:
    """A file once, and every text that a row has."""
    names = {name: number for number, name in enumerate(sorted({row["group"] for row in rows}))}
    found = [(value, names[row["group"]]) for row in rows for value in as_list(row[modality])]
    if modality in {"image", "audio"}:
        found = list(dict(found).items())
    return [value for value, _ in found], np.array([group for _, group in found])


def as_list(cell: str | list[str] | None) -> list[str]:
    return [cell] if isinstance(cell, str) else cell or []


def word_vectors(
    training: list[dict], queries: Items, texts: Items
) -> tuple[np.ndarray, np.ndarray]:
    """TF-IDF of words: (Q, d), (T, d)."""
    words = TfidfVectorizer(token_pattern=r"\w+").fit(items(training, "text")[0] + texts[0])
    return words.transform(queries[0]).toarray(), words.transform(texts[0]).toarray()


def regressed(
    training: list[dict], modality: str, folder: Path, queries: Items, texts: Items
) -> tuple[np.ndarray, np.ndarray]:
    """Text vectors (Q, 128) that a linear model expects of files, and those of the texts (T,
    128).
    """
    pairs = [
        (row[modality], text) for row in training if row[modality] for text in as_list(row["text"])
    ]
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), sublinear_tf=True)
    letters.fit([text for _, text in pairs])
    width = min(128, len(letters.vocabulary_))
    vectors = make_pipeline(letters, TruncatedSVD(width, random_state=0), Normalizer())
    y = vectors.fit_transform([text for _, text in pairs])
    files = list(dict.fromkeys([name for name, _ in pairs] + queries[0]))
    title = f"Reading {modality} files"
    x = dict(
        zip(
            files,
            (features(folder / name, modality) for name in track(files, title, transient=True)),
            strict=True,
        )
    )
    model = make_pipeline(StandardScaler(), RidgeCV(10.0 ** np.arange(0, 6)))
    model.fit(np.stack([x[name] for name, _ in pairs]), y)
    return unit(model.predict(np.stack([x[name] for name in queries[0]]))), unit(
        vectors.transform(texts[0])
    )


def features(file: Path, modality: str) -> np.ndarray:
    """(d,) numbers that say what a file looks or sounds like."""
    if modality == "image":
        return read_image(file, 16, 3).ravel() / 255.0
    parts = LOG_MEL(torch.from_numpy(read(file, 16000))[None])[0].tensor_split(4, dim=1)
    return torch.cat(
        [value for part in parts for value in (part.mean(1), part.std(1, correction=0))]
    ).numpy()


def chance(source: np.ndarray, target: np.ndarray) -> list[float]:
    """The mean over queries with an answer of 1 - C(G - p, k) / C(G, k): G items, p of them
    right.
    """
    right = np.array([(target == group).sum() for group in source])
    right, count = right[right > 0].astype(float), len(target)
    drawn = [min(k, count) for k in KS]
    return [float(1 - np.exp(choices(count - right, k) - choices(count, k)).mean()) for k in drawn]


def choices(count: np.ndarray | float, k: int) -> np.ndarray:
    """Logarithm of the number of ways to choose k."""
    return (
        gammaln(np.add(count, 1))
        - gammaln(k + 1)
        - gammaln(np.maximum(np.subtract(count, k - 1), 1e-300))
    )


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)


def show(name: str, metrics: Iterator[float] | list[float]) -> None:
    print(f"{name:28s}" + "".join(f"{metric:11.3f}" for metric in metrics))


LOG_MEL = LogMel(16000, mels=40, window=0.03, hop=0.02)

if __name__ == "__main__":
    main()
