"""Small models of open_clip, in folders as it keeps them."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
import transformers
from safetensors.torch import save_model
from tokenizers import Tokenizer, models, pre_tokenizers, processors

DIM = 16
VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32}
TIMM = {"timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "linear", "image_size": 32}
TEXT = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
OWN_TOKENIZER = {"vocab_size": 12, "hf_tokenizer_name": "its own"}
DECODER = {"context_length": 19, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
POOLER = {
    "attentional_pool": True,
    "attn_pooler_heads": 2,
    "attn_pooler_queries": 4,
    "output_tokens": True,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "clip": {"vision_cfg": VISION, "text_cfg": TEXT},
    "custom": {"vision_cfg": RESNET, "text_cfg": TEXT, "custom_text": True},
    "siglip": {
        "vision_cfg": TIMM,
        "text_cfg": {
            **TEXT,
            **OWN_TOKENIZER,
            "no_causal_mask": True,
            "pool_type": "last",
            "proj_bias": True,
        },
        "custom_text": True,
        "init_logit_bias": -10,
    },
    "coca": {
        "vision_cfg": {**VISION, **POOLER},
        "text_cfg": {**TEXT, "context_length": 19, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": DECODER,
        "custom_text": True,
    },
    "bert": {
        "vision_cfg": VISION,
        "text_cfg": {
            **OWN_TOKENIZER,
            "context_length": 20,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "mean_pooler",
        },
    },
}


def make(kind: str, folder: Path) -> tuple[str, torch.nn.Module]:
    """The name of a model with random weights far from each other, and open_clip's own model."""
    config = {"embed_dim": DIM, **json.loads(json.dumps(CONFIGS[kind]))}
    if "hf_tokenizer_name" in config["text_cfg"]:
        tokenizer().save_pretrained(folder)
    if kind == "bert":
        sizes = {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
        }
        transformers.RobertaConfig(
            vocab_size=12, max_position_embeddings=32, pad_token_id=1, **sizes
        ).save_pretrained(folder)
        config["text_cfg"]["hf_model_name"] = str(folder)
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {}})
    )
    name = f"local-dir:{folder}"
    torch.manual_seed(0)
    model = open_clip.create_model(name, pretrained_text=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_model(model, str(folder / "open_clip_model.safetensors"))
    return name, model.eval()


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Six words; padding is id 1, and id 0 begins each caption, as in RoBERTa."""
    words = ["<s>", "<pad>", "</s>", "<unk>", "black", "white", "arrow", "cat", "letter", "a"]
    vocabulary = {word: number for number, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
    )
