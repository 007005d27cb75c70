"""Tokenizers of open_clip's models, in the form in which a checkpoint keeps tokenizers: JSON."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from tokenizers import Regex, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from polymodal.batch import PAD
from polymodal.errors import ConfigError, DataError

Cleaning = Literal["lower", "whitespace", "canonicalize"]
"""What open_clip does to a caption before it cuts it up: mends it, and then lowers, joins blanks,
drops punctuation."""

CLEANINGS: tuple[Cleaning, ...] = ("lower", "whitespace", "canonicalize")
PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def is_of_open_clip(name: str) -> bool:
    """Whether a name is that of a model of open_clip, without importing it."""
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        return False
    known = Path(spec.origin).parent / "model_configs" / f"{name}.json"
    return name.startswith(("local-dir:", "hf-hub:")) or known.is_file()


def cleaner(cleaning: Cleaning) -> Callable[[str], str]:
    """open_clip's own function.

    Raises:
        ConfigError: open_clip is not installed.
    """
    try:
        from open_clip.tokenizer import get_clean_fn  # here, since it takes seconds
    except ImportError:
        raise ConfigError(
            "The captions are open_clip's to clean: pip install 'polymodal[open_clip]'"
        ) from None
    return get_clean_fn(cleaning)  # type: ignore[no-any-return]


def open_clip_tokenizer(name: str) -> tuple[Backend, Cleaning]:
    """The tokenizer of a model, which gives the ids that open_clip gives, and what is done to
    captions before.

    Raises:
        DataError: it cannot be found, or does what JSON cannot say.
    """
    import open_clip

    try:
        config = open_clip.get_model_config(name) or {}
        if config.get("text_cfg", {}).get("tokenizer_kwargs", {}).get("trust_remote_code"):
            raise ValueError("it is code that comes with the model, which is never run")
        own = open_clip.get_tokenizer(name)
    except (OSError, ValueError) as error:
        raise DataError(f"No tokenizer of {name!r}: {str(error).splitlines()[0]}") from error

    # what happens to ids after the tokenizer would be lost
    if (
        getattr(own, "reduction_fn", None)
        or getattr(own, "strip_sep_token", False)
        or getattr(own, "tokenizer_mode", "")
    ):
        raise DataError(
            f"The tokenizer of {name!r} changes ids afterwards, which is not supported: choose "
            "another model."
        )

    # what happens to text before it is kept by its name
    cleaning: Cleaning = next(
        (c for c in CLEANINGS if getattr(own, "clean_fn", None) is cleaner(c)), "canonicalize"
    )
    if not isinstance(own, open_clip.SimpleTokenizer):
        backend = own.tokenizer.backend_tokenizer
        backend.enable_padding(pad_id=own.tokenizer.pad_token_id)
        return backend, cleaning
    return _byte_pairs(own), cleaning


def _byte_pairs(own: Any) -> Backend:
    """That of OpenAI's CLIP (Radford et al. 2021): BPE over bytes, each caption between two special
    tokens.
    """
    merges = sorted(own.bpe_ranks, key=own.bpe_ranks.__getitem__)
    backend = Backend(models.BPE(own.encoder, merges, end_of_word_suffix="</w>"))
    pieces = pre_tokenizers.Split(Regex(PIECES), behavior="removed", invert=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pieces, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    first, last = (own.decoder[number] for number in (own.sot_token_id, own.eot_token_id))
    backend.add_special_tokens([first, last])
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(first, own.sot_token_id), (last, own.eot_token_id)],
    )
    backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("</w>", " ")])
    backend.enable_padding(pad_id=PAD)
    return backend
