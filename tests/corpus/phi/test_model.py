"""With a tiny random model: the machinery works, the figures would mean nothing."""

import pytest

from bedside_core.errors import InputError
from bedside_corpus.phi.config import PhiConfig
from bedside_corpus.phi.model import ModelRecognizer
from bedside_corpus.phi.recognisers import recognisers, scan

TEXT = "Frau Anna Muster kam am Dienstag. " * 20


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Two layers with random weights, which say NAME_PATIENT of every word."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "Frau", "Anna", "Muster", "kam"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]",
        cls_token="[CLS]", sep_token="[SEP]",
    )  # fmt: skip
    torch.manual_seed(0)
    labels = {0: "O", 1: "B-NAME_PATIENT"}
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=34, id2label=labels, label2id={v: k for k, v in labels.items()},
    )  # fmt: skip
    model = transformers.BertForTokenClassification(config)
    model.classifier.bias.data = torch.tensor([-100.0, 100.0])
    folder = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_every_window_of_a_long_text_is_read(tiny):
    spans = list(ModelRecognizer(tiny).analyze(TEXT, "de"))
    hidden = {i for s in spans for i in range(s.start, s.end)}
    assert {s.entity_type for s in spans} == {"NAME"}
    assert all(i in hidden for i, c in enumerate(TEXT) if c.isalpha())


def test_it_joins_the_rules(tiny):
    found = scan(TEXT, "de", recognisers(PhiConfig(model=tiny)))
    assert {s.entity_type for s in found} == {"NAME"}


def test_a_directory_without_a_model(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="no directory with a model"):
        ModelRecognizer(tmp_path)
