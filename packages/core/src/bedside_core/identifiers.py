"""A house's own names for patients and documents: keyed hashes, for what is kept and compared.

Texts of one patient must stand on one side of a split, and what was withdrawn must be recognised
years later, so a name is kept; but no number of a patient, and no id that may hold one, may stand
in an artifact or in the log. A plain hash would be no protection: there are a billion numbers of
nine digits, and a computer hashes all of them in a minute. So a name is HMAC-SHA256 (RFC 2104)
under 32 random bytes that lie in `BEDSIDE_HOME/keys` and nowhere else: without the key nobody can
try numbers out, another house has other names for the same patient, and who destroys the key makes
every name in artifacts and log meaningless for good.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import stat
import unicodedata
from hashlib import blake2b, sha256
from heapq import nsmallest
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from bedside_core.clusters import is_name
from bedside_core.errors import ArtifactError
from bedside_core.files import disk_errors, lock_directory, write_atomic
from bedside_core.matching import digest
from bedside_core.overlap import RUN

FILE = "identifiers.key"
KEY_BYTES = 32
KEY_ID_CHARS = 16
RUN_CHARS = 12
SKETCH = 32
"""Runs of a document that are kept. One changed word breaks `RUN` of them, so that half of the
sample is there where up to about one word in sixteen was changed."""
MIN_SKETCH = RUN
"""Fewer are no sample: a short text is found as a whole."""
_SPELLING = re.compile(r"[\W_]+")
_ZEROS = re.compile(r"(?<!\d)0+")
_FRACTION = re.compile(r"(?<=\d)\.0$")


class Trace(NamedTuple):
    """What is known of a document without holding anything of it."""

    id: str
    text: str
    sketch: tuple[str, ...] = ()
    """Names of some of its runs of words."""

    def __str__(self) -> str:
        """As a listing has it."""
        return f"{self.id}:{self.text}:{''.join(self.sketch)}"

    @classmethod
    def parse(cls, written: str) -> Trace:
        """What `str` made."""
        identifier, text, sketch = written.split(":")
        places = range(0, len(sketch), RUN_CHARS)
        return cls(identifier, text, tuple(sketch[n : n + RUN_CHARS] for n in places))

    def is_near(self, runs: set[str]) -> bool:
        """Whether a text with these runs is a near copy: it has half of the sketch."""
        return len(self.sketch) >= MIN_SKETCH and 2 * len(runs.intersection(self.sketch)) >= len(
            self.sketch
        )


class Identifiers:
    """Names things under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def read(cls, path: Path) -> Identifiers:
        """Those of the key in a file.

        Raises:
            ArtifactError: there is none, others may read it, or it has another length.
        """
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            key = path.read_bytes()
        except OSError as error:
            raise ArtifactError(
                f"{path}: cannot be read ({error.strerror}) - restore it from a backup; another "
                "key would not recognise the patients of earlier corpora"
            ) from None
        if mode & 0o077:
            raise ArtifactError(
                f"{path}: mode {mode:04o} lets others try out the numbers of patients - "
                f"chmod 600 {path}"
            )
        if len(key) != KEY_BYTES:
            raise ArtifactError(
                f"{path}: has {len(key)} bytes instead of {KEY_BYTES} - restore it from a backup"
            )
        return cls(key)

    @property
    def key_id(self) -> str:
        """A name for the key itself, so that names under two keys are never compared."""
        return self._name("key", "")[:KEY_ID_CHARS]

    def patient(self, number: str) -> str | None:
        """The name of a patient by the number in a record; None where it stands for a missing one.

        Number formats of two systems make no difference: case, blanks, signs, leading zeros.
        """
        spelt = _spelt(number)
        return self._name("patient", spelt) if spelt and is_name(number) else None

    def document(self, identifier: str) -> str:
        """The name of a document by its id, to the letter."""
        return self._name("document", unicodedata.normalize("NFC", identifier))

    def text(self, matching_sha256: str) -> str:
        """The name of a text by the digest of its canonical form: all copies of it share it."""
        return self._name("text", matching_sha256)

    def runs(self, form: str) -> set[str]:
        """The names of all runs of `RUN` words of a canonical form, 12 hex digits each."""
        return set(map(self._run, _shingles(form)))

    def trace(self, identifier: str, form: str) -> Trace:
        """What recognises a document, whatever becomes of its id and its names.

        Args:
            identifier: its id.
            form: the canonical form of its text.
        """
        # The least of hashes are a sample that copies share (Broder 1997). Which these are is
        # nobody's secret and chosen by a fast one; what is kept of them is keyed.
        chosen = nsmallest(SKETCH, _shingles(form), key=lambda one: (crc32(one.encode()), one))
        sample = tuple(sorted(map(self._run, chosen)))
        return Trace(self.document(identifier), self.text(digest(form)), sample)

    def _run(self, shingle: str) -> str:
        size = RUN_CHARS // 2
        return blake2b(shingle.encode(), key=self._key, digest_size=size).hexdigest()

    def _name(self, kind: str, value: str) -> str:
        return hmac.new(
            self._key, f"{kind}\0{value}".encode(errors="surrogatepass"), sha256
        ).hexdigest()


def make_key(path: Path) -> None:
    """Make the key where there is none; safe to call from several processes at once.

    Raises:
        ArtifactError: the disk is full or must not be written.
    """
    with disk_errors("the key of identifiers"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_directory(path.parent)
        try:
            if not path.exists():
                write_atomic(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
        finally:
            if lock is not None:
                os.close(lock)


def _shingles(form: str) -> set[str]:
    words = form.split()
    return {" ".join(words[n : n + RUN]) for n in range(max(1, len(words) - RUN + 1))}


def _spelt(number: str) -> str:
    # Data frames write whole numbers as 17.0 where one is missing.
    folded = _FRACTION.sub("", unicodedata.normalize("NFKC", number).casefold().strip())
    return _ZEROS.sub("", _SPELLING.sub("", folded))
