"""No secret stands in a file of a run, however it was given."""

import sys

import pytest

from polymodal.addresses import is_plain, shown
from polymodal.config import secrets
from polymodal.config.secrets import mask, mask_text, masked_arguments, remember

S = "s3cr3t-value"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_given", set())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://me:{S}@host/a.tar", "https://<secret>@host/a.tar"),
        (f"https://{S}@host/a.tar", "https://<secret>@host/a.tar"),
        (
            f"https://host:8080/a.tar?token={S}&part=3",
            "https://host:8080/a.tar?token=<secret>&part=3",
        ),
        (
            f"s3://b/a?X-Amz-Signature={S}&X-Amz-Expires=60",
            "s3://b/a?X-Amz-Signature=<secret>&X-Amz-Expires=60",
        ),
        (
            f"https://a.blob.core.windows.net/c/x?sv=2024&sig={S}",
            "https://a.blob.core.windows.net/c/x?sv=2024&sig=<secret>",
        ),
        ("abfs://container@account/a.tar", "abfs://container@account/a.tar"),
        ("hf://datasets/a/b@main/x.parquet", "hf://datasets/a/b@main/x.parquet"),
        ("https://host/a.tar?keyword=cats&page=2", "https://host/a.tar?keyword=cats&page=2"),
        (
            f"++data.options.headers.Authorization=Bearer {S}",
            "++data.options.headers.Authorization=<secret>",
        ),
        (f'++logger.wandb.api_key="{S}"', "++logger.wandb.api_key=<secret>"),
        (
            f"++data.options={{anon: false, secret: {S}, x: 1}}",
            "++data.options={anon: false, secret: <secret>, x: 1}",
        ),
        (
            f"++logger.mlflow.tracking_uri=https://me:{S}@host",
            "++logger.mlflow.tracking_uri=https://<secret>@host",
        ),
        (
            "tokenizer=bert pad_token=[PAD] reads_tokens=true monitor=val/loss",
            "tokenizer=bert pad_token=[PAD] reads_tokens=true monitor=val/loss",
        ),
    ],
)
def test_a_secret_in_a_text_is_hidden_and_the_rest_stays(text: str, expected: str) -> None:
    assert mask(text) == mask(expected) == expected


def test_settings_with_the_name_of_a_secret_are_hidden_at_any_depth() -> None:
    settings = {
        "data": {"options": {"headers": {"Authorization": f"Bearer {S}"}, "key": S, "anon": False}},
        "logger": {"wandb": {"api_key": S, "project": "p", "token": None}},
        "encoder": {"text": {"tokenizer": "bert", "cls_token": "[CLS]", "heads": 4}},
        "password": "${oc.env:PW}",
    }
    assert mask(settings) == {
        "data": {
            "options": {"headers": {"Authorization": "<secret>"}, "key": "<secret>", "anon": False}
        },
        "logger": {"wandb": {"api_key": "<secret>", "project": "p", "token": None}},
        "encoder": {"text": {"tokenizer": "bert", "cls_token": "[CLS]", "heads": 4}},
        "password": "${oc.env:PW}",
    }


def test_a_secret_that_was_given_is_hidden_wherever_it_turns_up() -> None:
    text = f"error: 401 for {S}\n  x = {S}"
    assert S in mask_text(text)
    remember({"a": [{"token": S, "key": "ab"}]})
    assert mask_text(text) == "error: 401 for <secret>\n  x = <secret>"
    assert mask("ab") == "ab"


@pytest.mark.parametrize(
    "address",
    ["pairs.csv", "/data/a b.csv", "a:b.csv", "shards/{000..127}.tar", "https://host:8080/{0..3}.tar", "s3://b/x.tar",
     "gs://b/x", "az://c/x", "abfs://c@a/x", "hf://datasets/a/b@main/x", "file:///a/b.tar", "C:\\data\\{0..3}.tar",
     "http://h/x?time=12:30"],
)  # fmt: skip
def test_plain_addresses(address: str) -> None:
    assert is_plain(address)


@pytest.mark.parametrize(
    "address",
    ["reference://x", "simplecache::https://h/a.tar", "zip://a::http://h", "github://o:r@b/x", "ftp://h/x",
     "sftp://h/x", "{reference,http}://a", "refer{ence:,}//x", "simplecache{:,}:http://h", "http://h/{:,}{:,}reference",
     "pipe:touch x", "pi{pe:,}touch", "\\\\host\\share", "//host/share", "http://h/http://g", "HTTP://h"],
)  # fmt: skip
def test_other_addresses_are_not_plain(address: str) -> None:
    assert not is_plain(address)


def test_what_a_message_shows_of_a_url_can_be_shown_again() -> None:
    once = shown(f"there is no file https://a:{S}@h/x?sig={S}.")
    assert once == "there is no file https://<secret>@h/x?sig=<secret>"
    assert shown(once) == once


def test_loggers_see_the_command_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["train.py", f"++logger.wandb.api_key={S}", "seed=3"]
    monkeypatch.setattr("sys.argv", list(given))
    with masked_arguments():
        assert sys.argv == ["train.py", "++logger.wandb.api_key=<secret>", "seed=3"]
    assert sys.argv == given
