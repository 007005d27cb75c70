"""A million vectors: seconds to build the index, to ask it, and how much of the exact answer is
found.

    python scripts/benchmark/search.py [vectors=1000000] [dim=128] [queries=200] [top=10]
    [threads=1]

The vectors are unit vectors around 20,000 centres that are themselves drawn in 32 of the
dimensions, as the vectors of a trained model gather around what there is to tell apart. A query is
another point around one of the centres.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import faiss

from arguments import arguments
from polymodal.inference import vector_index
from polymodal.inference.vector_index import VectorIndex

PART = 65_536
CENTRES, PLANE, SPREAD = 20_000, 32, 0.6


class Vectors:
    """Parts of N vectors, made anew each time that they are asked for, so that only the index holds
    them all.
    """

    def __init__(self, count: int, dim: int) -> None:
        random = np.random.default_rng(0)
        self.count, self.dim = count, dim
        low = random.standard_normal((CENTRES, PLANE), dtype=np.float32)
        self.centres = low @ random.standard_normal((PLANE, dim), dtype=np.float32) / PLANE**0.5

    def __call__(self) -> Iterator[np.ndarray]:
        for start in range(0, self.count, PART):
            yield self.around(min(PART, self.count - start), start)

    def around(self, count: int, seed: int) -> np.ndarray:
        random = np.random.default_rng([1, seed])
        noise = random.standard_normal((count, self.dim), dtype=np.float32)
        return self.centres[random.integers(CENTRES, size=count)] + SPREAD * noise


def timed(index: VectorIndex, queries: np.ndarray, top: int) -> tuple[np.ndarray, float]:
    """The rows found, and milliseconds a query, asked one by one as a person asks."""
    index.search(queries[:5], top)
    start = time.perf_counter()
    rows = np.concatenate([index.search(queries[i : i + 1], top).row for i in range(len(queries))])
    return rows, 1000 * (time.perf_counter() - start) / len(queries)


def main() -> None:
    given = arguments(
        __doc__, {"vectors": "1000000", "dim": "128", "queries": "200", "top": "10", "threads": "1"}
    )
    count, dim, asked, top, threads = (int(value) for value in given.values())
    faiss.omp_set_num_threads(threads)
    vectors = Vectors(count, dim)
    queries = vectors.around(asked, count + 1)
    print(
        f"{count} vectors, d={dim}, {asked} queries one by one, {threads} thread(s), faiss "
        f"{faiss.__version__}"
    )
    truth = np.empty(0)
    for exact in (True, False):
        start = time.perf_counter()
        index = VectorIndex.build(vectors, exact)
        built = time.perf_counter() - start
        for probes in (0,) if exact else (8, vector_index.PROBES, 128):
            if probes:
                faiss.downcast_index(index.index.index).nprobe = probes
            rows, milliseconds = timed(index, queries, top)
            truth = rows if exact else truth
            found = np.mean(
                [len(np.intersect1d(a, b)) / top for a, b in zip(rows, truth, strict=True)]
            )
            name = "exact" if exact else f"approximate, {probes} cells"
            print(
                f"{name}: built in {built:.1f} s, {milliseconds:.2f} ms a query, recall@{top} "
                f"{found:.4f}",
                flush=True,
            )
        del index


if __name__ == "__main__":
    main()
