import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError

SET = (
    b'<set xmlns="urn:x"><doc n="1"><abstract><p>Eins</p><p>Zwei</p></abstract></doc>'
    b'<doc n="2"><abstract>10<sup>9</sup>/l</abstract></doc></set>'
)
BILLION = (
    b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><a>&j;</a>"
)


def test_documents_by_paths_without_namespaces(read_bytes):
    settings = {"record": "//doc", "fields": {"text": "abstract", "id": "@n"}}
    for data, name in ((SET, "a.xml"), (gzip.compress(SET), "a.xml.gz")):
        found = read_bytes(name, data, "xml", **settings)
        assert [r.fields for r in found] == [
            {"text": "Eins\n\nZwei", "id": "1"},
            {"text": "10⁹/l", "id": "2"},
        ]
    (found,) = read_bytes("a.xml", SET, "xml")
    assert found.fields["text"].startswith("Eins")
    with pytest.raises(InputError, match="no field 'body'"):
        read_bytes("a.xml", SET, "xml", record="//doc", fields={"text": "body"})


def test_entities_and_damage_are_reasons(read_bytes, tmp_path):
    (tmp_path / "secret").write_text("geheim")
    outside = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file://%s/secret">]><a>&b;</a>'
    for data, reason in (
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "entities"),
        (BILLION, "malformed"),  # refused by libxml2 itself
        (outside % str(tmp_path).encode(), "entities"),
        (b'<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><a>&b;</a>', "entities"),
        (b"<a>&b;</a>", "malformed"),
        (b"<a>", "malformed"),
        (b"", "malformed"),
    ):
        (found,) = read_bytes("a.xml", data, "xml")
        assert (found.fields, found.damage) == (None, reason), data


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
@given(data=st.binary(max_size=100))
def test_any_bytes_are_records_or_reasons(read_bytes, data):
    for prefix in (b"", b"<a>", b"\x1f\x8b"):
        found = read_bytes("a.xml", prefix + data, "xml")
        assert all(r.fields is not None or r.damage for r in found)
