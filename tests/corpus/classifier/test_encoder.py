"""The encoder's machinery with a small random XLM-R: fine-tuned for real, its figures mean nothing.

No weights of a real encoder are at hand where these tests run.
"""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from bedside_core.cli import main
from bedside_corpus.classifier.certificate import Certificate
from bedside_corpus.classifier.config import EncoderTraining
from bedside_corpus.classifier.finetune import f_beta, fine_tune
from bedside_corpus.classifier.labelled import read_labelled
from bedside_corpus.classifier.stored import load

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WINDOW = 30
FAST = {"learning_rate": 3e-3, "batch_size": 16, "looks": 2, "epochs": 3}


@pytest.fixture(scope="module")
def xlmr(tmp_path_factory, texts):
    """Two layers with random weights, and a tokenizer of the words of the invented texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("xlmr")
    known = sorted({w for text in texts(60, 60)[0] for w in re.findall(r"\w+|[^\w\s]+", text)})
    words = {w: i for i, w in enumerate(["<s>", "<pad>", "</s>", "<unk>", *known])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        pad_token="<pad>", cls_token="<s>", sep_token="</s>",
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = transformers.XLMRobertaConfig(
        vocab_size=len(words), hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=128, max_position_embeddings=WINDOW + 2, pad_token_id=1,
    )  # fmt: skip
    # As a pre-trained one comes: with the head of a masked language model.
    transformers.XLMRobertaForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tuned(xlmr, tmp_path_factory, texts):
    """An encoder that was fine-tuned, and its F-beta."""
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("labels")
    documents, labels = texts(60, 60)
    for part in ("train", "test"):
        ids = [f"{part}-{n}" for n in range(len(documents))]
        table = pa.table({"id": ids, "text": documents, "label": labels})
        pq.write_table(table, folder / f"{part}.parquet")
    fitted, validation = read_labelled(folder)[0].divided(0.3, 0)
    return fine_tune(EncoderTraining(path=xlmr, **FAST), fitted, validation, seed=0)


def test_it_learns_and_keeps_the_best_weights(tuned):
    encoder, value = tuned
    assert value > 0.9
    scores = encoder.score(["EKG unauffällig , Kreatinin", "Den Ofen vorheizen", ""])[:, 0]
    assert scores[0] > 0.5 > scores[1]
    assert 0 < scores[2] < 1


def test_whole_documents_in_windows(tuned):
    encoder, _ = tuned
    kitchen, ward = "Den Teig ruhen lassen . " * 20, "EKG unauffällig Kreatinin . " * 20
    assert len(encoder.windows([kitchen + ward])) > 4
    alone, both = encoder.score([kitchen, kitchen + ward])[:, 0]
    assert both > alone + 0.01  # what stands behind the first window counts
    windows = encoder.windows([kitchen, ward])
    cut = [[i for one in windows if one.document == d for i in one.ids[1:-1]] for d in (0, 1)]
    whole = encoder.tokenizer([kitchen, ward], add_special_tokens=False)["input_ids"]
    assert cut == whole
    # The mean of the windows' logits, weighted by their tokens, by hand.
    parts = [one for one in windows if one.document == 0]
    with torch.inference_mode():
        logits = [encoder.model(**encoder.padded([p])).logits[0, 0].item() for p in parts]
    mean = np.average(logits, weights=[len(p.ids) for p in parts])
    assert alone == pytest.approx(1 / (1 + np.exp(-mean)), abs=1e-5)


def test_neighbours_in_a_batch_change_no_score(tuned, texts):
    encoder, _ = tuned
    documents = [t * n for n, t in enumerate(texts(5, 5)[0], start=1)]
    together = encoder.score(documents)
    alone = np.concatenate([encoder.score([one]) for one in documents])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_f_beta_by_hand():
    kept, labels = np.array([1, 1, 1, 0, 0], bool), np.array([1, 1, 0, 1, 0], bool)
    assert f_beta(kept, labels, 1) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert f_beta(kept, labels, 0.5) == pytest.approx(1.25 * 2 / (1.25 * 2 + 0.25 + 1))
    assert f_beta(~kept & ~labels, labels, 0.5) == 0


def test_the_verb_and_the_build_with_a_cascade(xlmr, labelled, registry, tmp_path, capsys):
    folder, source = labelled(), tmp_path / "crawl"
    source.mkdir()
    rows = pq.read_table(folder / "test.parquet").to_pylist()
    for part in range(2):
        lines = [json.dumps({"id": r["id"], "text": r["text"]}) for r in rows[part::2]]
        (source / f"{part}.jsonl").write_text("\n".join(lines))
    section = {"labels": str(folder), "prevalence": 0.2, "target_precision": 0.6,
               "encoder": {"path": str(xlmr), "first_stage": 0.95, **FAST}}  # fmt: skip
    corpus = {
        "language": "de", "language_threshold": None, "near_duplicates": None,
        "sources": [{"name": "crawl", "path": str(source), "format": "jsonl",
                     "licence": "CC0-1.0", "personal_data": "none"}],
        "train_classifier": section,
        "classifiers": {"medical_score": {"threshold": "certificate"}},
    }  # fmt: skip
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "e", "corpus": corpus}))
    assert main(["check", "corpus", "--config", str(config)]) == 0
    assert main(["corpus", "train-classifier", "--config", str(config)]) == 0
    assert "first stage: " in capsys.readouterr().out
    made = registry.get("e/classifier")
    names = {entry.path for entry in made.manifest.files}
    assert names >= {"encoder/model.safetensors", "encoder/tokenizer.json", "weights.npz"}
    assert made.manifest.recipe.environment["device"] == "cpu"
    assert made.manifest.facts["f_beta"]["beta"] == 0.5
    certificate = Certificate.model_validate_json(made.file("certificate.json").read_bytes())
    first = certificate.first_stage
    assert first.lost.low <= first.lost.value <= first.lost.high
    assert first.passed_no.value < 0.5  # most of what is not medical never reaches the encoder

    stored = {}
    for workers in (1, 2):
        options = [f"--set=corpus.executor.workers={workers}", f"--set=name=e{workers}",
                   "--set=corpus.classifiers.medical_score.run=e"]  # fmt: skip
        assert main(["corpus", "build", "--config", str(config), *options]) == 0
        table = pq.read_table(registry.get(f"e{workers}/corpus").path / "data")
        stored[workers] = {r["text"]: r["medical_score"] for r in table.to_pylist()}
    assert stored[1] == stored[2]
    scores = load(made.path).score([row["text"] for row in rows])[:, 0]
    kept = {r["text"] for r, s in zip(rows, scores, strict=True) if s >= certificate.threshold}
    assert set(stored[1]) == kept
    assert sum(row["label"] for row in rows if row["text"] in kept) > len(kept) * 0.9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "it has no config.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "cannot be loaded"),
    ],
)
def test_an_encoder_that_cannot_be_read(xlmr, labelled, registry, tmp_path, capsys, change, said):
    import shutil

    folder = tmp_path / "broken"
    shutil.copytree(xlmr, folder)
    change(folder)
    section = {"labels": str(labelled()), "encoder": {"path": str(folder)}}
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "e", "corpus": {"train_classifier": section}}))
    assert main(["corpus", "train-classifier", "--config", str(config)]) == 3
    assert said in capsys.readouterr().err
    assert registry.slot("e", "classifier") is None
