"""Text encoders of the transformers library."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, BertConfig, PreTrainedModel
from transformers.utils import logging as hub_logging

from polymodal.batch import PAD, padded_with
from polymodal.outputs import Tokens, masked_mean
from polymodal.types import PositiveInt, Probability

log = logging.getLogger(__name__)


class Bert(nn.Module):
    """A BERT (Devlin et al. 2019) or any encoder of its kind, the mean over the real tokens, one
    linear map.

    Without a `name` it is a small BERT over the data's own vocabulary, with random weights. A named
    one reads the ids of its own tokenizer, so the captions must have been cut up by that
    (`data.tokenizer`). Only safetensors are read, and no code that comes with a model is run.

    Args:
        dim: d, the width of the output.
        vocab_size: number of token ids, without a name.
        context_length: the longest T.
        name: a folder, or a name on the Hugging Face hub (downloaded once).
        pretrained: start from the weights of the named model, not from random ones.
        tokenizer: the model whose tokenizer made the ids.
        width: w, the width of the blocks, without a name; so are the next three.
        layers: number of blocks.
        heads: attention heads a block.
        dropout: rate on the residual branches and in attention.

    Raises:
        ValueError: settings that contradict each other, or a model that is no text encoder.
        OSError: the named model cannot be found or has no safetensors.
    """

    def __init__(
        self,
        dim: PositiveInt,
        vocab_size: PositiveInt,
        context_length: PositiveInt = 64,
        name: str | None = None,
        pretrained: bool = False,
        tokenizer: str | None = None,
        width: PositiveInt = 128,
        layers: PositiveInt = 2,
        heads: PositiveInt = 4,
        dropout: Probability = 0.1,
    ) -> None:
        super().__init__()
        self.bert: Any

        # a named model brings its own tokenizer; else a new one of this size is made
        if name is not None:
            if tokenizer != name:
                raise ValueError(
                    f"name={name} reads the ids of its own tokenizer, and those of the data are of "
                    f"tokenizer={tokenizer}: choose data with data.tokenizer={name}"
                )
            self.bert = _named(name, pretrained, context_length)
        else:
            if pretrained:
                raise ValueError("pretrained=True needs the name of a model: give name=")
            if width % heads:
                raise ValueError(f"width={width} is not a multiple of heads={heads}")
            self.bert = AutoModel.from_config(
                BertConfig(
                    vocab_size=vocab_size,
                    hidden_size=width,
                    num_hidden_layers=layers,
                    num_attention_heads=heads,
                    intermediate_size=4 * width,
                    hidden_dropout_prob=dropout,
                    attention_probs_dropout_prob=dropout,
                    max_position_embeddings=context_length,
                    type_vocab_size=1,
                    pad_token_id=PAD,
                )
            )
        self.bert.pooler = None  # our pooling is the mean; its weights would never be trained
        self.projection = nn.Linear(self.bert.config.hidden_size, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, d)."""
        return self.projection(masked_mean(self._states(ids), ids != PAD))

    def tokens(self, ids: Tensor) -> Tokens:
        """(B, T) -> a vector (B, T, d) of each token; their mean is `forward`."""
        return Tokens(self.projection(self._states(ids)), ids != PAD)

    def _states(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, w)."""
        own = padded_with(self.bert.config.pad_token_id, ids)
        return self.bert(input_ids=own, attention_mask=(ids != PAD).long()).last_hidden_state


def _named(name: str, pretrained: bool, context_length: int) -> PreTrainedModel:
    """The model called `name`, in fp32 whatever it was saved in."""
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if config.is_encoder_decoder or getattr(config, "pad_token_id", None) is None:
        raise ValueError(
            f"name={name} is no text encoder with a padding token, such as bert-base-uncased"
        )
    longest = getattr(config, "max_position_embeddings", context_length)
    if context_length > longest:
        raise ValueError(
            f"context_length={context_length}: {name} reads {longest} tokens. Give "
            "data.context_length="
        )
    if not pretrained:
        return AutoModel.from_config(config, trust_remote_code=False)
    with quiet():
        model, loaded = AutoModel.from_pretrained(
            name,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    # which we leave out
    lacking = sorted(key for key in loaded["missing_keys"] if not key.startswith("pooler."))
    if lacking:
        log.warning(
            "name=%s: %s of its weights are in no file and begin at random: %s",
            name,
            len(lacking),
            ", ".join(lacking[:3]),
        )
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bar and the report of transformers, which names the weights of heads that nobody
    wants here.
    """
    logger, had_bar = logging.getLogger("transformers"), hub_logging.is_progress_bar_enabled()
    level = logger.level
    logger.setLevel(logging.ERROR)
    hub_logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if had_bar:
            hub_logging.enable_progress_bar()
