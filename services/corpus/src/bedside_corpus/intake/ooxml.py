"""What DOCX and XLSX share: a zip archive, or an encrypted one in Microsoft's older container.

Tested in tests/corpus/intake/test_docx.py.
"""

from __future__ import annotations

from typing import BinaryIO

from bedside_corpus.intake.record import UnreadableError

OLD_CONTAINER = b"\xd0\xcf\x11\xe0"
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
SEARCHED_BYTES = 2**20


def refuse_encrypted(content: BinaryIO) -> None:
    """Leaves the file at its beginning.

    Raises:
        UnreadableError: `encrypted`; `malformed` for a file of Office 97 to 2003.
    """
    head = content.read(SEARCHED_BYTES)
    content.seek(0)
    if head.startswith(OLD_CONTAINER):
        raise UnreadableError("encrypted" if ENCRYPTED in head else "malformed")
