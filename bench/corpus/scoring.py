"""Scoring with an encoder beside transformers' text-classification pipeline, on this CPU.

    .venvs/dev/bin/python bench/corpus/scoring.py

A small random XLM-R (figures of quality would mean nothing) and the same documents for both, in the
same process, by turns, on one thread: news of `../shared/data`, cut to one window, as the pipeline
reads no further and ours would. The pipeline is asked one by one, as its manual does, and in
batches of 32, in the order of the documents. Processor seconds, best of three rounds; to
`bench/results/scoring.json`. Nothing here says what a GPU would show.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from bedside_core.console import say
from bedside_corpus.classifier.encoder import open_encoder

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "gnad" / "articles.jsonl"
RESULTS = ROOT / "bench/results/scoring.json"
DOCUMENTS, CHARACTERS, ROUNDS = 120, 1200, 3


def made(folder: Path, texts: list[str]) -> None:
    """An XLM-R of 4 layers with random weights, and a tokenizer of these texts."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=4000, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", bos_token="<s>",
        eos_token="</s>", cls_token="<s>", sep_token="</s>", model_max_length=512,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = transformers.XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=192, num_hidden_layers=4,
        num_attention_heads=6, intermediate_size=768, max_position_embeddings=514,
        pad_token_id=1, num_labels=1,
    )  # fmt: skip
    transformers.XLMRobertaForSequenceClassification(config).save_pretrained(folder)


def main() -> None:
    torch.set_num_threads(1)
    lines = DATA.read_text("utf-8").split("\n")[:DOCUMENTS]
    texts = [json.loads(line)["text"] for line in lines]
    # Of different lengths, as documents are.
    texts = [text[: CHARACTERS * (1 + n % 4) // 4] for n, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made(folder, texts)
        encoder = open_encoder(folder, None, "cpu")
        pipeline = transformers.pipeline("text-classification", model=str(folder), device=-1)

    def piped(batch: int) -> Callable[[], list[float]]:
        def run() -> list[float]:
            found = pipeline(texts, batch_size=batch, truncation=True, function_to_apply="sigmoid")
            return [one["score"] for one in found]

        return run

    ways: dict[str, Callable[[], list[float]]] = {
        "bedside": lambda: encoder.score(texts)[:, 0].tolist(),
        "pipeline, one by one": piped(1),
        "pipeline, batches of 32": piped(32),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    scores = {}
    for _ in range(ROUNDS):
        for way, run in ways.items():
            began = time.process_time()
            scores[way] = run()
            seconds[way].append(time.process_time() - began)
    best = {way: min(all_of) for way, all_of in seconds.items()}
    result = {
        "device": "cpu, one thread",
        "model": "random XLM-R: 4 layers, 192 wide",
        "documents": len(texts),
        "windows": len(encoder.windows(texts)),
        "documents_per_cpu_second": {way: round(len(texts) / one, 2) for way, one in best.items()},
        "times_the_pipeline": {
            way: round(one / best["bedside"], 2) for way, one in best.items() if way != "bedside"
        },
        "largest_difference_of_a_score": float(
            np.abs(np.subtract(scores["bedside"], scores["pipeline, one by one"])).max()
        ),
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", "ascii")
    say(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
