"""Makes a trained model usable elsewhere: a folder that can be given away.

    python src/export.py checkpoint=<run folder or .ckpt file> output=<new folder> [key=value ...]

format=safetensors     the weights, by default; polymodal.load("<folder>") gives the model back
format=onnx            one graph an encoder, any batch and length, checked against PyTorch
format=torch_export    the same for torch.export.load
format=open_clip       for open_clip.create_model("local-dir:<folder>"); both encoders are one
                       model of open_clip
format=[onnx,safetensors]
                       several
licence=MIT            of the weights, for the model card

With each of them config.json, tokenizer.json and README.md, a model card. Nothing of a checkpoint
is unpickled.
"""

from polymodal.cli.programs import ExportSettings, command

if __name__ == "__main__":
    command(__doc__, "polymodal.export.folder.main", ExportSettings)
