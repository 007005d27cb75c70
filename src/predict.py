"""Predicts new samples: files, sentences and values on the command line, or the rows of a table.

    python src/predict.py checkpoint=<run folder or .ckpt file> image=photo.png text="a red cat"
    python src/predict.py checkpoint=<...> text="Mrs Smith" age=40 sex=female
    python src/predict.py checkpoint=<...> 'image=photos/*.png' output=answers.csv
    python src/predict.py checkpoint=<...> data=manifest data.path=new.csv output=answers.csv
    python src/predict.py checkpoint=<...> 'image=photos/*.png' classes=[cat,dog]

<modality>=            a file, a folder, a list or a pattern of files (one sample each), or a
                       sentence; a modality that is left out is missing. Of a table
                       <column>=value, as it stands there
classes=[cat,dog]      or names.txt, one a line: zero-shot, by a model that aligns the modality
                       with text
templates=["a {}."]    sentences for the class names; default: those of the training, or the name
output=answers.csv     or .parquet or .jsonl; needed with data= or data.path=. Each row keeps its
                       columns; an unreadable row has its error; with labels, metrics are printed
json=true or --json    nothing but JSON on stdout
devices=, precision=, and any other value of the run's config.yaml
"""

from polymodal.cli.programs import PredictSettings, command

if __name__ == "__main__":
    command(__doc__, "polymodal.inference.predict.main", PredictSettings)
