"""What a supervised model answers to new samples: files and sentences given by hand, or the rows of a manifest.

    python src/predict.py checkpoint=<run folder or .ckpt file> image=photo.png text="a red cat"
    python src/predict.py checkpoint=<...> 'image=photos/*.png' output=answers.csv
    python src/predict.py checkpoint=<...> data=manifest data.path=new.csv data.columns.image=file output=answers.csv

<modality>=            a file, a pattern of files (one sample each), or a sentence; what is not given is missing
output=answers.csv     or .parquet; needed with data= or data.path=, whose rows that cannot be read have their error
json=true or --json    nothing but JSON on stdout
devices=, precision=, and any other value of the run's config.yaml
"""

from polymodal.config.command import PredictSettings, command

if __name__ == "__main__":
    command(__doc__, "polymodal.predict.main", PredictSettings)
