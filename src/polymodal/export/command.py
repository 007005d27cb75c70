"""`python src/export.py`: from a run folder or a checkpoint to a folder that can be given away.

    python src/export.py checkpoint=<run folder or .ckpt file> output=<new folder> [format=safetensors] [licence=...]

    format=safetensors   the weights; polymodal.load("<folder>") gives the model back (the default)
    format=onnx          one graph an encoder, any batch and length, compared with PyTorch in onnxruntime
    format=torch_export  the same for torch.export.load
    format=open_clip     for open_clip.create_model("local-dir:<folder>"); both encoders are one model of open_clip
    format=[onnx,safetensors]  several

With each of them config.json, tokenizer.json and README.md, a model card. Nothing of a checkpoint is unpickled.
"""

from __future__ import annotations

import sys

from polymodal.config.launch import readable_errors
from polymodal.config.signature import nearest
from polymodal.errors import ConfigError

FORMATS = ("safetensors", "onnx", "torch_export", "open_clip")
SETTINGS = ("checkpoint", "output", "format", "licence")


def main() -> None:
    """Checks the command line, and only then imports what does the work."""
    arguments = sys.argv[1:]
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        sys.exit(0 if arguments else 2)
    with readable_errors():
        given = parsed(arguments)
        from polymodal.export.folder import export

        export(given["checkpoint"], given["output"], given["format"].strip("[]").split(","), given["licence"])


def parsed(arguments: list[str]) -> dict[str, str]:
    """The settings by name.

    Raises:
        ConfigError: one is unknown, missing or of a wrong value.
    """
    given = {"format": "safetensors", "licence": "not stated"}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in SETTINGS or not equals:
            raise ConfigError(f"Unknown argument {argument!r}.{nearest(key, SETTINGS)}")
        given[key] = value
    for key in SETTINGS:
        if not given.get(key):
            raise ConfigError(f"No value for {key}. Give one on the command line: {key}=...")
    for name in given["format"].strip("[]").split(","):
        if name not in FORMATS:
            raise ConfigError(f"format={name}: there is no such format.{nearest(name, FORMATS)}")
    return given
