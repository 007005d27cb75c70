"""A model whose encoders are the towers of one model of open_clip, as open_clip keeps its
models.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from polymodal.encoders.image.open_clip import OpenCLIP as ImageTower
from polymodal.encoders.open_clip import library, quiet
from polymodal.encoders.text.open_clip import OpenCLIP as TextTower
from polymodal.errors import ConfigError
from polymodal.export.model import ExportedModel, weights_of
from polymodal.files import write_whole


def write_open_clip(model: ExportedModel, folder: Path) -> None:
    """open_clip_config.json and open_clip_model.safetensors, for
    `open_clip.create_model("local-dir:<folder>")`.

    Where dim and size are those of the named model, its weights also load by
    `open_clip.create_model(name, pretrained=<file>)`.

    Raises:
        ConfigError: the encoders are not the two towers of one model.
    """
    images = [(name, e) for name, e in model.model.encoders.items() if isinstance(e, ImageTower)]
    texts = [(name, e) for name, e in model.model.encoders.items() if isinstance(e, TextTower)]
    if len(images) != 1 or len(texts) != 1 or images[0][1].name != texts[0][1].name:
        raise ConfigError(
            "format=open_clip writes a model with encoder/image=open_clip and "
            "encoder/text=open_clip of one name: train one, or choose format=safetensors."
        )

    # open_clip's own config, with our sizes
    (modality, image), (_, text) = images[0], texts[0]
    open_clip, about = library(), model.formats[modality]
    config = open_clip.get_model_config(image.name)
    config["embed_dim"] = model.about["dim"]
    config["vision_cfg"]["image_size"] = about["size"]

    # the temperature lies in the objective, for open_clip in the model
    parts = dict(model.objective.named_parameters())
    weights: dict[str, Tensor] = {
        name: parts[name].detach().flatten()[0]
        for name in ("logit_scale", "logit_bias")
        if name in parts
    }
    if "logit_bias" in weights:
        config["init_logit_bias"] = float(weights["logit_bias"])
    pixels = {key: list(about[key]) * (3 // len(about[key])) for key in ("mean", "std")}
    described = {"model_cfg": config, "preprocess_cfg": pixels}
    write_whole(folder / "open_clip_config.json", json.dumps(described, indent=2))

    # open_clip builds the model, so that names of weights are its own
    with quiet():
        theirs = open_clip.create_model(
            f"local-dir:{folder}", load_weights=False, pretrained_text=False
        )
    prefix = (
        "text." if hasattr(theirs, "text") else ""
    )  # its oldest models hold the parts of the text tower themselves
    weights |= {f"visual.{key}": value for key, value in image.tower.state_dict().items()}
    weights |= {f"{prefix}{key}": value for key, value in text.tower.state_dict().items()}
    theirs.load_state_dict({"logit_scale": theirs.logit_scale.detach(), **weights})
    save_file(weights_of(theirs), folder / "open_clip_model.safetensors", {"format": "pt"})
