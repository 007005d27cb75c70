"""Writes vectors, predictions and probabilities of a trained model for any amount of data.

    python src/embed.py checkpoint=<run folder or .ckpt file> output=vectors.parquet [key=value ...]

output=x.parquet       one file, or x.csv; any other name is a folder with an .npy file for each
                       kind of vector (x[i] is that of row i of rows.parquet, NaN if there is none)
split=all              or train, val, test
data=manifest data.path=new.csv data.columns.image=file ...
                       other data than those of the run, with modalities of the model; columns that
                       are not named are missing modalities
devices=ddp_cpu, precision=bf16, data.batch_size=, data.num_workers=, and any other value of the
run's config.yaml

One row a sample; an unreadable one has its error. Memory does not grow with the vectors. Stopped at
any moment, the same command resumes where it was, on any number of devices.
"""

from polymodal.cli.programs import EmbedSettings, command

if __name__ == "__main__":
    command(__doc__, "polymodal.inference.embed.main", EmbedSettings)
