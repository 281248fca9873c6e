import base64
import io
import sys
from pathlib import Path

import pytest

from bedside_corpus.intake.cda import read_cda
from bedside_corpus.intake.record import UnreadableError

sys.path.insert(0, str(Path(__file__).parent))
import samples

SECTION = (
    "<structuredBody><component><section><code code='11490-0'/><title>Labor</title><text>"
    "<paragraph>Kalium <content styleCode='Bold'>erhöht</content></paragraph>"
    "<table><thead><tr><th>Wert</th><th>Einheit</th></tr></thead>"
    "<tbody><tr><td>5,9</td><td>mmol/l</td></tr></tbody></table>"
    "<list listType='ordered'><item>eins</item><item>zwei</item></list></text>"
    "<entry><observation><text>kodiert</text></observation></entry>"
    "<component><section><title>Verlauf</title><text>Stabil.</text></section></component>"
    "</section></component></structuredBody>"
)


def attached(kind, data):
    body = base64.b64encode(data).decode()
    text = f'<text mediaType="{kind}" representation="B64">{body}</text>'
    return io.BytesIO(samples.cda(f"<nonXMLBody>{text}</nonXMLBody>"))


def test_the_narrative_without_header_and_coded_entries():
    found = read_cda(io.BytesIO(samples.cda(SECTION)))
    assert found.language == "de-DE"
    assert found.patient == "00471199"
    assert found.text.split("\n") == [
        "Labor", "", "Kalium erhöht", "", "Wert\tEinheit", "5,9\tmmol/l", "", "1. eins", "2. zwei",
        "", "Verlauf", "", "Stabil.",
    ]  # fmt: skip


def test_the_patient_of_a_header_without_a_number_is_unknown():
    plain = samples.cda(SECTION)
    whole = plain.replace(b' extension="00471199"', b"")
    assert read_cda(io.BytesIO(whole)).patient == "1.2.276.9"
    without = whole.replace(b'<id root="1.2.276.9"/>', b'<id nullFlavor="UNK"/>')
    assert read_cda(io.BytesIO(without)).patient is None


def test_a_body_that_is_a_file():
    assert read_cda(attached("text/plain", "Größe".encode("cp1252"))).text == "Größe"
    assert read_cda(attached("text/html", b"<p>Befund")).text == "Befund"
    assert read_cda(attached("application/pdf", samples.pdf([[(9, 9, "Brief")]]))).text == "Brief"
    for file, reason in (
        (attached("image/tiff", b"II"), "no_text_layer"),
        (attached("application/pdf", b"nonsense"), "malformed"),
        (io.BytesIO(samples.cda("<x/>")), "not_cda"),
        (io.BytesIO(b"<a/>"), "not_cda"),
    ):
        with pytest.raises(UnreadableError, match=f"^{reason}$"):
            read_cda(file)
