"""What the text encoders do beyond giving a vector."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
import transformers
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, processors
from torch import nn

from polymodal.batch import PAD
from polymodal.data.text.tokenizer import Tokenizer
from polymodal.encoders.recurrent import Recurrent
from polymodal.encoders.text.bert import Bert
from polymodal.encoders.text.bow import BagOfWords
from polymodal.encoders.text.cnn import CNN
from polymodal.encoders.text.rnn import RNN
from polymodal.encoders.text.transformer import Transformer

CAPTIONS = ["black chess knight", "latin small letter a with acute", "face"]
WORDS = sorted({word for caption in CAPTIONS for word in caption.split()})


def test_word_order_matters_to_all_but_the_bag() -> None:
    torch.manual_seed(0)
    ids = torch.tensor([[3, 4, 5], [5, 4, 3]])
    for encoder in (Transformer(8, 9), CNN(8, 9), RNN(8, 9), Bert(8, 9)):
        a, b = encoder.eval()(ids)
        assert not torch.allclose(a, b, atol=1e-4), type(encoder)
    a, b = BagOfWords(8, 9)(ids)
    torch.testing.assert_close(a, b)


def test_padding_does_not_win_the_maximum_though_all_real_answers_are_negative() -> None:
    encoder = CNN(8, 9, width=4, filter_widths=[3], filters=5)
    with torch.no_grad():
        encoder.embedding.weight[PAD] = 100  # even if padding had a vector
        encoder.convolutions[0].bias.fill_(-50)
    nothing = torch.nn.functional.linear(
        torch.zeros(1, 5), encoder.projection.weight, encoder.projection.bias
    )
    torch.testing.assert_close(encoder(torch.tensor([[3, 4, PAD, PAD, PAD]])), nothing)


@pytest.mark.parametrize("length", [1, 2, 3, 6])
def test_the_filters_answer_as_one_convolution_over_the_caption_alone(length: int) -> None:
    torch.manual_seed(0)
    encoder = CNN(8, 20, width=4, filter_widths=[2, 3, 5], filters=6)
    ids = torch.randint(1, 20, (1, length))
    answers = []
    for convolution in encoder.convolutions:
        size = convolution.kernel_size[0]
        padded = nn.functional.pad(
            encoder.embedding(ids).transpose(1, 2), (size // 2, size - 1 - size // 2)
        )
        answers.append(
            nn.functional.conv1d(padded, convolution.weight, convolution.bias).relu().amax(2)
        )
    expected = encoder.projection(torch.cat(answers, dim=1))
    torch.testing.assert_close(encoder(nn.functional.pad(ids, (0, 9), value=PAD)), expected)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_padded_caption_is_read_as_torch_reads_it_alone(cell: str, bidirectional: bool) -> None:
    torch.manual_seed(0)
    encoder = RNN(8, 20, width=6, layers=2, cell=cell, bidirectional=bidirectional)
    ids = torch.tensor([[3, 4, 5, 6, 7], [8, 9, PAD, PAD, PAD]])
    for row, length in zip(ids, [5, 2], strict=True):
        states = encoder.recurrent.network(encoder.embedding(row[None, :length]))[0]
        torch.testing.assert_close(
            encoder(ids[[0, 1]])[int(length == 2)], encoder.projection(states.mean(1))[0]
        )


def tokenizer_of(
    special: list[str], pad: str, first: str, last: str
) -> transformers.PreTrainedTokenizerFast:
    vocabulary = {token: index for index, token in enumerate([*special, *WORDS])}
    backend = Backend(models.WordLevel(vocabulary, unk_token=special[-1]))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(token, vocabulary[token]) for token in (first, last)]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=ends
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=pad,
        unk_token=special[-1],
        cls_token=first,
        sep_token=last,
    )


@pytest.fixture(params=["bert", "roberta"])
def model_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny model as transformers saves it; the second pads with id 1 and uses id 0 for its first
    token."""
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    if request.param == "bert":
        tokenizer = tokenizer_of(["[PAD]", "[CLS]", "[SEP]", "[UNK]"], "[PAD]", "[CLS]", "[SEP]")
        model = transformers.BertModel(
            transformers.BertConfig(
                vocab_size=len(tokenizer), **sizes, max_position_embeddings=16, pad_token_id=0
            )
        )
    else:
        tokenizer = tokenizer_of(["<s>", "<pad>", "</s>", "<unk>"], "<pad>", "<s>", "</s>")
        model = transformers.RobertaModel(
            transformers.RobertaConfig(
                vocab_size=len(tokenizer), **sizes, max_position_embeddings=18, pad_token_id=1
            )
        )
    with torch.no_grad():  # as trained weights, far enough from each other
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_local_model_answers_as_transformers_with_its_own_padding(model_folder: Path) -> None:
    name = str(model_folder)
    own_tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    own = transformers.AutoModel.from_pretrained(name).eval()
    asked = own_tokenizer(CAPTIONS, padding=True, return_tensors="pt")
    states = own(input_ids=asked.input_ids, attention_mask=asked.attention_mask).last_hidden_state
    tokenizer = Tokenizer.pretrained(name, context_length=10)
    ids = torch.from_numpy(tokenizer(CAPTIONS))
    assert torch.equal((ids != PAD).long(), asked.attention_mask)
    encoder = Bert(8, tokenizer.vocab_size, 10, name, pretrained=True, tokenizer=name).eval()
    tokens = encoder.tokens(ids)
    torch.testing.assert_close(tokens.values[tokens.mask], encoder.projection(states[tokens.mask]))
    kept = Tokenizer.from_json(tokenizer.to_json(), 10)  # as a checkpoint keeps it
    assert torch.equal(torch.from_numpy(kept(CAPTIONS)), ids)


def test_a_named_model_trains_every_weight_and_starts_at_random_if_not_pretrained(
    model_folder: Path,
) -> None:
    name = str(model_folder)
    tokenizer = Tokenizer.pretrained(name)
    ids = torch.from_numpy(tokenizer(CAPTIONS))
    encoder = Bert(8, tokenizer.vocab_size, 10, name, tokenizer=name)
    (encoder(ids) * torch.randn(3, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    loaded = Bert(8, tokenizer.vocab_size, 10, name, pretrained=True, tokenizer=name)
    key = "bert.encoder.layer.0.output.dense.weight"
    assert not torch.equal(encoder.state_dict()[key], loaded.state_dict()[key])
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_loading_says_which_weights_begin_at_random_and_nothing_else(
    model_folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    name, file = str(model_folder), model_folder / "model.safetensors"
    weights = safetensors.torch.load_file(file)
    weights["cls.predictions.bias"] = torch.zeros(3)  # of a head that is of no use here
    del weights["pooler.dense.weight"]
    safetensors.torch.save_file(weights, file, {"format": "pt"})
    vocab = Tokenizer.pretrained(name).vocab_size
    Bert(8, vocab, 10, name, pretrained=True, tokenizer=name)
    assert capfd.readouterr().err == ""
    assert caplog.messages == []
    del weights["encoder.layer.0.output.dense.weight"]
    safetensors.torch.save_file(weights, file, {"format": "pt"})
    Bert(8, vocab, 10, name, pretrained=True, tokenizer=name)
    assert caplog.messages == [
        f"name={name}: 1 of its weights are in no file and begin at random: "
        "encoder.layer.0.output.dense.weight"
    ]


def test_only_safetensors_are_read(model_folder: Path) -> None:
    weights = model_folder / "model.safetensors"
    weights.rename(model_folder / "pytorch_model.bin")
    with pytest.raises(OSError, match="model.safetensors"):
        Bert(8, 9, 10, str(model_folder), pretrained=True, tokenizer=str(model_folder))


def test_a_model_that_cannot_be_a_text_encoder_here_is_refused(
    tmp_path: Path, model_folder: Path
) -> None:
    with pytest.raises(ValueError, match="context_length=99: .* reads 1[68] tokens"):
        Bert(8, 9, 99, str(model_folder), tokenizer=str(model_folder))
    (tmp_path / "t5").mkdir()
    transformers.T5Config(vocab_size=9, d_model=8).save_pretrained(tmp_path / "t5")
    with pytest.raises(ValueError, match="no text encoder"):
        Bert(8, 9, 10, str(tmp_path / "t5"), tokenizer=str(tmp_path / "t5"))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("lengths", [(5, 5, 5), (5, 2, 4)], ids=["equal", "different"])
@pytest.mark.parametrize("training", [True, False])
def test_states_on_a_cpu_are_fp32_under_autocast_too(
    cell: str, lengths: tuple[int, ...], training: bool
) -> None:
    torch.manual_seed(0)
    network = Recurrent(6, 8, 1, cell, True, 0.0).train(training)
    sequence = torch.randn(3, 5, 6)
    real = torch.arange(5) < torch.tensor(lengths)[:, None]
    expected = network(sequence, real)
    with torch.autocast("cpu", torch.bfloat16):
        states = network(sequence, real)
        again = network(sequence.bfloat16().float(), real)
        from_bf16 = network(sequence.bfloat16(), real)
    assert states.dtype == from_bf16.dtype == torch.float32
    assert torch.equal(states, expected)
    assert torch.equal(from_bf16, again)


def test_a_cpu_without_bf16_reads_equal_lengths_under_autocast() -> None:
    code = """
import torch
from polymodal.encoders.recurrent import Recurrent
network = Recurrent(6, 8, 1, "lstm", True, 0.0)
with torch.autocast("cpu", torch.bfloat16):
    states = network(torch.randn(3, 5, 6), torch.ones(3, 5, dtype=torch.bool))
states.sum().backward()
assert not torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""
    # oneDNN's own switch: it then takes this CPU for an older one
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
