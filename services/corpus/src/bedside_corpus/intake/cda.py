"""HL7 CDA (release 2): the narrative of a clinical document, without its header.

The header's patient, authors and custodian are no part of the text; the patient's number is read
beside it.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any, BinaryIO

from bedside_corpus.intake.encoding import decode
from bedside_corpus.intake.html import page
from bedside_corpus.intake.markup import text_of
from bedside_corpus.intake.pdf import read_pdf
from bedside_corpus.intake.record import Parsed, UnreadableError
from bedside_corpus.intake.xml import tree

HL7 = "{urn:hl7-org:v3}"


def read_cda(content: BinaryIO) -> Parsed:
    """Titles and text of all sections; of a body that is a file (text, HTML or PDF) its text.

    Raises:
        UnreadableError: `not_cda`, `no_text_layer`, or a reason of the XML or of that file.
    """
    root = tree(content)
    if root.tag != f"{HL7}ClinicalDocument":
        raise UnreadableError("not_cda")
    spoken = root.find(f"{HL7}languageCode")
    language = None if spoken is None else spoken.get("code")
    patient = _patient(root)
    body = root.find(f"{HL7}component/{HL7}structuredBody")
    if body is not None:
        return Parsed(text_of(body), language, patient=patient)
    file = root.find(f"{HL7}component/{HL7}nonXMLBody/{HL7}text")
    if file is None:
        raise UnreadableError("not_cda")
    parsed = _attached(file)
    return parsed._replace(language=language or parsed.language, patient=patient)


def _patient(root: Any) -> str | None:
    """The number of the first record target: the extension of an id, or the id as a whole."""
    ids = root.findall(f"{HL7}recordTarget/{HL7}patientRole/{HL7}id")
    numbers = [one.get("extension") for one in ids] + [one.get("root") for one in ids]
    return next((number for number in numbers if number), None)


def _attached(file: Any) -> Parsed:
    kind = (file.get("mediaType") or "text/plain").partition(";")[0].strip().lower()
    said = "".join(file.itertext())
    if file.get("representation") != "B64":
        return Parsed(said)
    try:
        data = base64.b64decode("".join(said.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UnreadableError("malformed") from None
    if kind == "application/pdf":
        return read_pdf(io.BytesIO(data))
    if kind in ("text/html", "application/xhtml+xml"):
        return page(data)
    if kind == "text/plain":
        return Parsed(decode(data)[0])
    raise UnreadableError("no_text_layer")  # an image
