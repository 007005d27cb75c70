"""Models of the open_clip library, by name: their towers are encoders here."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from torch import Tensor

from polymodal.errors import ConfigError

WITH_WEIGHTS = ("local-dir:", "hf-hub:")
"""Starts of names of folders and repositories, which hold the weights beside the config."""


def library() -> ModuleType:
    """The package open_clip.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import open_clip
    except ImportError:
        raise ConfigError(
            "Models of open_clip need that package: pip install 'polymodal[open_clip]'"
        ) from None
    return open_clip  # type: ignore[no-any-return]


def create(
    name: str, dim: int, pretrained: str | None = None, image_size: int | None = None
) -> Any:
    """A model of open_clip, in fp32, with its towers as `visual` and `text`.

    Args:
        name: one of `open_clip.list_models()`, `local-dir:<folder>` or `hf-hub:<repository>`.
        dim: width of its vectors. Random weights are made for any; others have the width that they
            were trained with.
        pretrained: a file of weights, or a tag of open_clip's (downloaded once); None for random
            weights.
        image_size: side of the images; None for the model's own. Learned positions are
            interpolated to it.

    Raises:
        ConfigError: open_clip is not installed.
        ValueError: there is no such model, or its weights do not fit.
    """
    open_clip = library()
    try:
        config = open_clip.get_model_config(name)
        if config is None:
            raise ValueError(
                'there is none. All of them: python -c "import open_clip; '
                'print(open_clip.list_models())"'
            )
        if config.get("text_cfg", {}).get("tokenizer_kwargs", {}).get("trust_remote_code"):
            raise ValueError("its tokenizer is code that comes with it, which is never run")
        if (pretrained or name.startswith(WITH_WEIGHTS)) and config["embed_dim"] != dim:
            raise ValueError(
                f"its vectors have {config['embed_dim']} numbers, not {dim}: give "
                f"dim={config['embed_dim']}"
            )
        if name.startswith(WITH_WEIGHTS) and pretrained:
            raise ValueError("it comes with weights: leave pretrained out")
        with quiet():
            return open_clip.create_model(
                name,
                pretrained,
                force_custom_text=True,
                force_image_size=image_size,
                # by which open_clip means weights of another library for the text tower alone
                pretrained_text=False,
                embed_dim=dim,
            )
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise ValueError(
            f"name={name}, a model of open_clip: {str(error) or type(error).__name__}"
        ) from error


def first(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """(B, d) of a tower; some give the sequence that was pooled as well."""
    return output if isinstance(output, Tensor) else output[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Without open_clip's warning that random weights are random."""
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
