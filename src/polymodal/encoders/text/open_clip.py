"""Text towers of the open_clip library."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from polymodal.batch import PAD, padded_with
from polymodal.encoders.open_clip import create, first, library
from polymodal.types import PositiveInt


class OpenCLIP(nn.Module):
    """The text tower of a model of open_clip (Ilharco et al. 2021), with its own pooling and
    projection.

    It reads the ids of its own tokenizer, so the captions must have been cut up by that
    (`data.tokenizer`). A tower that looks back only is given captions as long as the longest of
    them, any other as long as it was made for: either way the vectors are those of open_clip.

    Args:
        dim: d, the width of the output; with weights that of the model.
        name: one of `open_clip.list_models()`, `local-dir:<folder>` or `hf-hub:<repository>`.
        context_length: the longest T.
        tokenizer: the model whose tokenizer made the ids.
        pretrained: a file of weights, or a tag of open_clip's (downloaded once); None for random
            weights.

    Raises:
        ConfigError: open_clip is not installed.
        ValueError: there is no such model, its weights do not fit, or the ids are of another
            tokenizer.
    """

    def __init__(
        self,
        dim: PositiveInt,
        name: str = "ViT-B-32",
        context_length: PositiveInt = 77,
        tokenizer: str | None = None,
        pretrained: str | None = None,
    ) -> None:
        super().__init__()
        if tokenizer != name:
            raise ValueError(
                f"name={name} reads the ids of its own tokenizer, and those of the data are of "
                f"tokenizer={tokenizer}: choose data with data.tokenizer={name}"
            )
        self.name = name
        self.tower = create(name, dim, pretrained).text
        self.longest: int = self.tower.context_length
        if context_length > self.longest:
            raise ValueError(
                f"context_length={context_length}: {name} reads {self.longest} tokens. Give "
                "data.context_length="
            )
        # of transformers, with a padding id of its own
        own = getattr(library().get_tokenizer(name), "tokenizer", None)
        self.pad_id: int = PAD if own is None else own.pad_token_id
        # the others are of transformers, and leave padding out
        is_native = hasattr(self.tower, "attn_mask")
        self.looks_back = (
            is_native and self.tower.attn_mask is not None and self.tower.cls_emb is None
        )
        self.looks_back = self.looks_back and self.tower.pool_type in ("argmax", "eos")
        self.fills_up = is_native and not self.looks_back

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, d)."""
        length = ids.shape[1]
        ids = padded_with(self.pad_id, ids)
        if self.looks_back:
            mask = self.tower.attn_mask[:length, :length]
            return first(functional_call(self.tower, {"attn_mask": mask}, (ids,)))
        if self.fills_up:
            ids = F.pad(ids, (0, self.longest - length), value=self.pad_id)
        return first(self.tower(ids))
