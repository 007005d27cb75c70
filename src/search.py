r"""Searches the vectors of embed.py by a sentence, an image or a sound; draws the nearest.

    python src/search.py checkpoint=<run folder or .ckpt file> index=vectors.parquet \
        query="black arrow pointing left"

query=                 a sentence or a file; by=<modality> says which input of the model it is,
                       where that is not plain
find=image             the modality whose vectors are searched; default: another than the query's
top=10                 how many are found
exact=true             compare every vector; by default up to two millions of them
output=found.png       where they are drawn; by default beside the index
json=true or --json    nothing but JSON on stdout

The index is made once, and kept beside the table. It needs faiss: pip install -e '.[search]'
"""

from polymodal.cli.programs import SearchSettings, command

if __name__ == "__main__":
    command(__doc__, "polymodal.inference.search.main", SearchSettings)
