"""Write what others can verify of a promoted model: `BEDSIDE_HOME/public/<digest>/`."""

from __future__ import annotations

import hashlib
import json
import time
from importlib.resources import files as resources
from pathlib import Path
from string import Template

from bedside_core.artifacts import Kind
from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors, new_directory, sweep, sync, write_synced
from bedside_core.public import predicates
from bedside_core.public.mlbom import ml_bom
from bedside_core.public.promoted import Promoted, read_promoted
from bedside_core.public.statements import model_signature, statement
from bedside_core.registry.promotions import Promotion
from bedside_core.registry.registry import Registry
from bedside_core.signing import PublisherKeys, fingerprint, pem

MODEL_SIGNATURE = "model.sig"
TEST_RESULT = "test-result.intoto.json"
PROMOTION = "promotion.vsa.json"
ML_BOM = "mlbom.cdx.json"
ML_BOM_SIGNATURE = "mlbom.cdx.json.sig"
PUBLIC_KEY = "publisher.pub"
README = "README"
STEPS: tuple[tuple[str, Kind], ...] = (
    ("training.provenance.json", "checkpoint"),
    ("merge.provenance.json", "merged"),
)
"""The steps whose provenance is told, if they are in the lineage; of several, the nearest."""


def write_public(registry: Registry, promotion: Promotion) -> Path:
    """Write all files of a promoted model, or leave those that are there if they are the same.

    Returns:
        The directory.

    Raises:
        ArtifactError: the publisher key is missing or not the one of the log, something of the
            lineage is missing or changed, or the disk is full; nothing is half-written then.
        PolicyError: the model was withdrawn.
    """
    registry.refuse_withdrawn("the promoted model", promotion.model)
    publisher, known = registry.publisher_keys, registry.keyring()["publisher"]
    if publisher.key_id != known.id:
        raise ArtifactError(
            f"{publisher.private_path} is not the publisher key that the log names ({known.id}) - "
            "restore it from a backup; if it is gone: `bedside registry rotate publisher --lost`"
        )
    files = public_files(read_promoted(registry, promotion), publisher)
    target = registry.public / promotion.model
    if not _same(target, files):
        with disk_errors("the public files"):
            _replace(registry.home / "tmp", target, files)
    return target


def public_files(promoted: Promoted, publisher: PublisherKeys) -> dict[str, bytes]:
    """Content by file name; equal inputs give equal bytes.

    Raises:
        ArtifactError: there is no publisher key.
    """
    key = publisher.public
    model = promoted.model
    files = {
        MODEL_SIGNATURE: model_signature(model, publisher),
        TEST_RESULT: statement(
            model, predicates.TEST_RESULT, predicates.test_result(promoted), publisher
        ),
    }
    for name, kind in STEPS:
        for artifact in promoted.of_kind(kind)[:1]:
            content = predicates.provenance(artifact)
            files[name] = statement(artifact, predicates.PROVENANCE, content, publisher)
    summary = predicates.summary(promoted, _digests(files))
    files[PROMOTION] = statement(model, predicates.SUMMARY, summary, publisher)
    bom = ml_bom(promoted, _digests(files), fingerprint(key))
    files[ML_BOM] = json.dumps(bom, indent=1, ensure_ascii=False).encode() + b"\n"
    files[ML_BOM_SIGNATURE] = publisher.sign(files[ML_BOM])
    files[PUBLIC_KEY] = pem(key)
    template = resources("bedside_core.public").joinpath("README.txt").read_text(encoding="utf-8")
    readme = Template(template).substitute(model=model.digest, fingerprint=fingerprint(key))
    files[README] = readme.encode()
    return files


def _digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def _same(target: Path, files: dict[str, bytes]) -> bool:
    there = {path.name for path in target.iterdir()} if target.is_dir() else set()
    return there == files.keys() and all(
        (target / name).read_bytes() == content for name, content in files.items()
    )


def _replace(room: Path, target: Path, files: dict[str, bytes]) -> None:
    """Put a whole new directory in the place of what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with new_directory(room, "public") as path:
        for name, content in files.items():
            write_synced(path / name, content)
            (path / name).chmod(0o644)
        path.chmod(0o755)
        sync(path)
        if target.exists():
            target.rename(room / f"public-old-{target.name[:16]}-{time.monotonic_ns()}")
        path.rename(target)
        sync(target.parent)
        sweep(room)
