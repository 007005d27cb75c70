"""Evaluates trained models: the metrics of the run, or those on other data, devices and by other
measures.

    python src/eval.py checkpoint=<run folder or .ckpt file> [key=value ...]

checkpoint=last        the last run, here and in the other programs
checkpoint=[a,b,...]   several at once: one table that compares them
json=true or --json    nothing but JSON on stdout: {checkpoint: {metric: value}}
data=manifest data.path=new.csv data.columns.image=file ...
                       other data, with the same modalities; their test split is evaluated,
                       all of them with data.splits=[0,0,1]; their labels are data.columns.label=
callbacks=[probe,robustness,zero_shot_names]
                       other measures, instead of those of the run: neighbours, a linear classifier
                       and clusters; subsets of the modalities and noise; classes by their names:
                       'callbacks.zero_shot.templates=["a picture of a {}."]',
                       callbacks.zero_shot.prompts=classes.yaml
run_dir=<folder>       for metrics.json and report/; by default one under logs/eval
devices=, precision=, data.batch_size=, and any other value of the run's config.yaml
"""

from polymodal.cli.programs import EvalSettings, command

if __name__ == "__main__":
    command(__doc__, "polymodal.inference.evaluate.main", EvalSettings)
