"""configs/finemed-de.yaml on a small crawl of our own invention, in FineWeb2's published layout."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from bedside_core.cli import main

CONFIGS = Path(__file__).parents[3] / "configs"
MEDICAL = (
    "Der Patient erhielt Ramipril gegen den hohen Blutdruck", "Die Koloskopie zeigte eine Kolitis",
    "Nach der Appendektomie heilte die Wunde ohne Fieber", "Das Kreatinin war deutlich erhöht",
    "Im Röntgenbild der Lunge fand sich kein Erguss", "Die Sepsis wurde antibiotisch behandelt",
)  # fmt: skip
OTHER = (
    "Der Verein gewann das Spiel vor vollen Rängen", "Den Teig lassen wir eine Stunde ruhen",
    "Die Bahnlinie wird im Herbst erneuert", "Auf dem Markt gab es frische Äpfel und Käse",
    "Das Konzert begann mit einem langsamen Walzer", "Im Garten blühen schon die ersten Tulpen",
)  # fmt: skip


def page(n: int, drawn: random.Random) -> dict[str, object]:
    """A row with the columns of HuggingFaceFW/fineweb-2."""
    phrases = MEDICAL if n % 3 == 0 else OTHER
    body = ". ".join([*drawn.sample(phrases, k=4), f"Das ist die Seite mit der Nummer {n}"])
    own = " ".join("".join(drawn.choices("aeinrst", k=7)) for _ in range(14))
    return {
        "text": f"{body}. {own}.",
        "id": f"<urn:uuid:{n:08x}-0000-4000-8000-000000000000>",
        "dump": "CC-MAIN-2024-10",
        "url": f"https://example.org/{n}",
        "date": "2024-02-21T00:00:00Z",
        "file_path": "s3://commoncrawl/x.warc.gz",
        "language": "deu",
        "language_score": 0.99,
        "language_script": "Latn",
        "minhash_cluster_size": 1,
        "top_langs": "{}",
    }


@pytest.fixture
def crawl(tmp_path, monkeypatch, registry, root):
    """A folder as the config names it, with 300 pages of which a third are medical."""
    shards = tmp_path / "data/fineweb-2/data/deu_Latn/train"
    shards.mkdir(parents=True)
    drawn = random.Random(4)
    for shard in range(2):
        rows = [page(n, drawn) for n in range(300) if n % 2 == shard]
        pq.write_table(pa.Table.from_pylist(rows), shards / f"000_{shard:05d}.parquet")
    shutil.copytree(root / "demo/heldout/medical_de", tmp_path / "data/heldout/medical_de")
    exams = yaml.safe_load((CONFIGS / "finemed-de.yaml").read_text())["corpus"]["exams"]
    (tmp_path / "data/exams").mkdir()
    for path in exams:
        shutil.copy(root / "demo/exam/medical_de.jsonl", tmp_path / path)
    for name in ("finemed-de", "finemed-de-ablation"):
        shutil.copy(CONFIGS / f"{name}.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)


def rows(registry, run):
    return pq.read_table(registry.get(f"{run}/corpus").path / "data").to_pylist()


def is_medical(row):
    return any(phrase in row["text"] for phrase in MEDICAL)


def test_labels_filter_crawl_and_the_random_twin(crawl, registry, labeller, capsys):
    small = ["--config", "finemed-de.yaml", "--set=corpus.executor.workers=1",
             "--set=corpus.near_duplicates=null", "--set=corpus.language_threshold=null",
             "--set=corpus.annotate.documents=240", "--set=corpus.annotate.test_share=0.4",
             f"--set=corpus.annotate.endpoint.address={labeller.address}",
             "--set=corpus.train_classifier.target_precision=0.7",
             "--set=corpus.train_classifier.encoder=null"]  # fmt: skip
    # The n-gram model stands in for an encoder, whose weights are not at hand.
    assert main(["check", "corpus", *small]) == 0
    assert "run 'finemed-de' has no classifier yet" in capsys.readouterr().out
    for verb in ("annotate", "train-classifier", "build"):
        assert main(["corpus", verb, *small]) == 0, verb
    medical = rows(registry, "finemed-de")
    assert 80 <= len(medical) <= 100
    assert all(map(is_medical, medical))
    assert {row["language"] for row in medical} == {"de"}
    corpus = registry.get("finemed-de/corpus").manifest
    assert [one.id for one in corpus.licences] == ["ODC-By-1.0"]
    assert set(corpus.parents) == {"classifier.medical_score"}
    ancestors = registry.get("finemed-de/classifier").manifest.parents
    assert ancestors == {"labels": registry.get("finemed-de/labels").digest}

    whole = ["--set=name=finemed-de-crawl", "--set=corpus.classifiers.medical_score.threshold=null"]
    assert main(["corpus", "build", *small, *whole]) == 0
    assert main(["corpus", "build", "--config", "finemed-de-ablation.yaml"]) == 0
    everything, drawn = (rows(registry, f"finemed-de-{n}") for n in ("crawl", "ablation"))
    assert len(everything) == 300
    words = sum(row["words"] for row in medical)
    assert abs(sum(row["words"] for row in drawn) - words) < 40
    assert 0.15 < sum(map(is_medical, drawn)) / len(drawn) < 0.5  # as the crawl, a third
    select = yaml.safe_dump({"medical_score": {"min": 0.9}})
    assert main(["corpus", "build", "--config", "finemed-de-ablation.yaml", "--set=name=strict",
                 "--set=corpus.sample=null", f"--set=corpus.select={select}"]) == 0  # fmt: skip
    assert len(rows(registry, "strict")) <= len(medical)
