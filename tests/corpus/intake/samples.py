"""Small files of each format, made here byte by byte; all texts are our own inventions."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
Drawn = tuple[float, float, str]


def pdf(pages: Iterable[Sequence[Drawn]]) -> bytes:
    """Helvetica 10 pt, each text at (x, y); code 1 is the ligature fi, 2 a Symbol bullet."""
    objects: list[bytes] = []

    def add(body: bytes) -> int:
        objects.append(body)
        return len(objects)

    font = add(
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding << /Type /Encoding "
        b"/BaseEncoding /WinAnsiEncoding /Differences [1 /fi /uniF0B7] >> >>"
    )
    pages = list(pages)
    root = len(objects) + 2 * len(pages) + 1
    kids = []
    for texts in pages:
        drawn = b"BT /F1 10 Tf\n"
        for x, y, text in texts:
            raw = text.encode("cp1252").replace(b"\\", b"\\\\")
            raw = raw.replace(b"(", b"\\(").replace(b")", b"\\)")
            drawn += b"1 0 0 1 %d %d Tm (%s) Tj\n" % (x, y, raw)
        drawn += b"ET"
        stream = add(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
        kids.append(
            add(
                b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
                b"/Resources << /Font << /F1 %d 0 R >> >> >>" % (root, stream, font)
            )
        )
    listed = b" ".join(b"%d 0 R" % kid for kid in kids)
    add(b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), listed))
    catalog = add(b"<< /Type /Catalog /Pages %d 0 R >>" % root)
    return _assembled(objects, b"/Root %d 0 R" % catalog)


def _assembled(objects: list[bytes], trailer: bytes) -> bytes:
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d %s >>\nstartxref\n%d\n%%%%EOF"
        % (len(objects) + 1, table, len(objects) + 1, trailer, len(out))
    )


def encrypted_pdf() -> bytes:
    """One that asks for a password: its user key fits none."""
    data = pdf([[(50, 800, "geheim")]])
    encrypt = b"/Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <%s> /U <%s> >>" % (
        b"41" * 32,
        b"42" * 32,
    )
    return data.replace(b"trailer << ", b"trailer << /ID [<00> <00>] " + encrypt + b" ")


def zipped(parts: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return data.getvalue()


def docx(body: str, **notes: str) -> bytes:
    """Its document part, and further parts by name (`footnotes`)."""
    parts = {"word/document.xml": f'<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'}
    for name, text in notes.items():
        parts[f"word/{name}.xml"] = f'<w:{name} xmlns:w="{W}">{text}</w:{name}>'
    return zipped({name: part.encode() for name, part in parts.items()})


def cda(body: str, prolog: str = "") -> bytes:
    return (
        f'<?xml version="1.0"?>{prolog}<ClinicalDocument xmlns="urn:hl7-org:v3">'
        '<languageCode code="de-DE"/><recordTarget><patientRole>'
        '<id root="1.2.276.9" extension="00471199"/><patient><name>Erika Muster</name>'
        f"</patient></patientRole></recordTarget><component>{body}</component></ClinicalDocument>"
    ).encode()


def warc(*records: tuple[str, str, bytes]) -> bytes:
    """Of (type, headers, content)."""
    out = b""
    for number, (kind, headers, content) in enumerate(records):
        head = (
            f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number:036d}>\r\n"
            f"WARC-Date: 2026-01-01T00:00:00Z\r\n{headers}Content-Length: {len(content)}\r\n\r\n"
        )
        out += head.encode() + content + b"\r\n\r\n"
    return out


def page(body: bytes, status: str = "200 OK", kind: str = "text/html") -> tuple[str, str, bytes]:
    """A response record with an HTML page."""
    http = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return "response", "Content-Type: application/http; msgtype=response\r\n", http.encode() + body
