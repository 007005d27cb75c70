"""polymodal: a Lightning + Hydra research template for multimodal models.

The names below are all that is needed to use its parts in code of your own, without Hydra and
without Lightning: `from polymodal import MultimodalModel, Gated, info_nce, load`. Each is imported
when it is first asked for, so that `import polymodal` takes no time. Encoders have their modality
in their path: `polymodal.encoders.text.rnn.RNN`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "batch": ["PAD", "PairedBatch"],
    "data.text.tokenizer": ["Tokenizer"],
    "errors": ["ConfigError", "DataError", "PolymodalError"],
    "export.model": ["ExportedModel", "load"],
    "fusion.bottleneck": ["Bottleneck"],
    "fusion.concat": ["Concat"],
    "fusion.cross_attention": ["CrossAttention"],
    "fusion.film": ["FiLM"],
    "fusion.gated": ["Gated"],
    "fusion.late": ["Late"],
    "fusion.low_rank": ["LowRank"],
    "fusion.mean": ["Mean"],
    "fusion.mixture": ["Mixture"],
    "fusion.mult": ["MulT"],
    "fusion.perceiver": ["Perceiver"],
    "fusion.product": ["Product"],
    "fusion.sum": ["Sum"],
    "fusion.tensor": ["TensorFusion"],
    "inference.run_predictor": ["load_run"],
    "inference.zero_shot": ["Classified"],
    "losses.info_nce": ["info_nce"],
    "losses.sigmoid": ["sigmoid_loss"],
    "losses.supcon": ["supcon"],
    "losses.tiled_info_nce": ["tiled_info_nce"],
    "losses.tiled_sigmoid": ["tiled_sigmoid_loss"],
    "losses.volume": ["volumes"],
    "metrics.calibration": ["reliability"],
    "metrics.clustering": ["cluster_accuracy", "clustering_metrics"],
    "metrics.confusion": ["accuracy", "macro_recall"],
    "metrics.order": ["auroc", "average_precision"],
    "metrics.probes": ["knn_accuracy", "linear_accuracy"],
    "metrics.ranking": ["positive_ranks"],
    "metrics.regression": ["regression_metrics"],
    "metrics.retrieval": ["Retrieval"],
    "metrics.shapley": ["shapley_values"],
    "model": ["MultimodalModel"],
    "objectives.classification": ["Classification"],
    "objectives.clip": ["CLIP"],
    "objectives.fused": ["Fused"],
    "objectives.gram": ["GRAM"],
    "objectives.multilabel": ["MultiLabel"],
    "objectives.regression": ["Regression"],
    "objectives.siglip": ["SigLIP"],
    "objectives.supcon": ["SupCon"],
    "objectives.symile": ["Symile"],
    "objectives.vicreg": ["VICReg"],
    "outputs": ["FusionOutput", "ModelOutput", "Tokens"],
}
_MODULE = {name: module for module, names in _PLACES.items() for name in names}

__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    """The named part, imported now."""
    if name not in _MODULE:
        raise AttributeError(f"module 'polymodal' has no attribute {name!r}")
    return getattr(import_module(f"polymodal.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    """What there is, for completion."""
    return [*__all__, "__version__"]
