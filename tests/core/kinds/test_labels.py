"""A labelled set as an artifact: every row comes back, and a changed file is not read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedside_core.artifacts import Artifact
from bedside_core.errors import ArtifactError
from bedside_core.kinds import labels
from bedside_core.kinds.labels import PARTS, LabelledDocument, read_part, sizes, write_part

Put = Callable[..., Artifact]


def document(number: int, *, label: bool, probability: float | None = None) -> LabelledDocument:
    text = f"Befund {number}: Kreatinin 1,2 mg/dl"
    return LabelledDocument(
        f"s/{number}", text, "s", "de", "CC0-1.0", label, probability, f"patient {number // 2}"
    )


@pytest.fixture
def written(tmp_path: Path, put: Put, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """Six and one documents; groups of two are in memory at a time."""
    monkeypatch.setattr(labels, "GROUP_DOCUMENTS", 2)
    train = [document(n, label=n % 3 == 0, probability=0.25) for n in range(6)]
    counted = write_part(tmp_path, "train", iter(train))
    assert counted == ((2, 4), (10, 20))
    write_part(tmp_path, "test", [document(7, label=True)])
    files = {f"{part}.parquet": (tmp_path / f"{part}.parquet").read_bytes() for part in PARTS}
    return put("labels", files=files, facts={"classes": {"train": {"yes": 2, "no": 4}}})


def test_every_row_comes_back_in_its_order(written: Artifact) -> None:
    expected = [document(n, label=n % 3 == 0, probability=0.25) for n in range(6)]
    assert list(read_part(written, "train")) == expected
    assert list(read_part(written, "test")) == [document(7, label=True)]
    assert pq.read_metadata(written.path / "train.parquet").num_row_groups == 3
    assert sizes(written) == {"train": {"yes": 2, "no": 4}, "test": {}}


def test_a_changed_file_is_not_read(written: Artifact) -> None:
    file = written.path / "test.parquet"
    file.chmod(0o644)
    write_part(written.path, "test", [document(7, label=False)])
    with pytest.raises(ArtifactError, match=r"test\.parquet was changed"):
        list(read_part(written, "test"))


def test_other_columns_are_refused(tmp_path: Path, put: Put) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "train.parquet")
    other = put("labels", files={"train.parquet": (tmp_path / "train.parquet").read_bytes()})
    with pytest.raises(ArtifactError, match="other columns"):
        next(read_part(other, "train"))
