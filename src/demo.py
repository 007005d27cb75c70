"""Opens a page with a trained model: predictions taken apart, search, classes by their names, a map
of the vectors.

Each tab starts with held-out samples to click at; a model has the tabs that it can answer.

    python src/demo.py [checkpoint=<run folder or .ckpt file>] [key=value ...]

checkpoint=last        the newest run
port=8501              the page is at http://127.0.0.1:8501; other machines cannot reach it
samples=6000           held-out samples that are searched at most, spread evenly over the test split
upload_mb=10           larger images and sounds are refused
data=manifest data.path=new.csv data.columns.image=file ...
                       other data, with the same modalities
devices=, precision=, and any other value of the run's config.yaml

It needs streamlit: pip install -e '.[demo]'
"""

from polymodal.cli.programs import DemoSettings, command

if __name__ == "__main__":
    command(__doc__, "polymodal.demo.serve.main", DemoSettings)
