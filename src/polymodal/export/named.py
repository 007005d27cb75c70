"""Encoders that are models of other libraries by name: what they are built of goes along with the
weights.
"""

from __future__ import annotations

import json
from pathlib import Path

from polymodal.encoders.image.open_clip import OpenCLIP as ImageTower
from polymodal.encoders.open_clip import WITH_WEIGHTS, library
from polymodal.encoders.text.bert import Bert
from polymodal.encoders.text.open_clip import OpenCLIP as TextTower
from polymodal.export.model import HERE, ExportedModel
from polymodal.files import write_whole


def write_named(model: ExportedModel, folder: Path) -> None:
    """Writes a folder for each encoder that is built from a folder or a repository; its config
    names it then.

    So `load` needs nothing from elsewhere. Models that a library has by name need that library
    alone.
    """
    nodes = model.about["model"]["encoder"]
    for modality, encoder in model.model.encoders.items():
        node, place = nodes[modality], folder / modality
        if "name" not in node:  # its own architecture, or the encoder of another modality
            continue
        if isinstance(encoder, Bert) and node["name"]:
            encoder.bert.config.save_pretrained(place)
            node["name"] = node["tokenizer"] = f"{HERE}{modality}"
        elif isinstance(encoder, ImageTower | TextTower) and encoder.name.startswith(WITH_WEIGHTS):
            place.mkdir()
            about = library().get_model_config(encoder.name)
            write_whole(
                place / "open_clip_config.json",
                json.dumps({"model_cfg": about, "preprocess_cfg": {}}),
            )
            if isinstance(encoder, TextTower) and about["text_cfg"].get("hf_tokenizer_name"):
                library().get_tokenizer(encoder.name).tokenizer.save_pretrained(place)
            node["name"] = f"local-dir:{HERE}{modality}"
            if isinstance(encoder, TextTower):
                node["tokenizer"] = node["name"]
