import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import html

from bedside_corpus.intake.markup import raised, text_of


def text(body):
    return text_of(html.document_fromstring(f"<html><body>{body}</body></html>"))


def test_raised_digits_stay_apart():
    assert text("<p>12 x 10<sup>9</sup>/l, m<sup>2</sup>, H<sub>2</sub>O, x<sup>a1</sup></p>") == (
        "12 x 10⁹/l, m², H₂O, x^a¹"
    )
    assert raised("") == ""


def test_lists_and_tables_keep_their_structure():
    assert text("<ul><li>eins<ol><li>innen<li>zwei</ol><li>drei</ul>") == (
        "- eins\n  1. innen\n  2. zwei\n- drei"
    )
    table = "<table><tr><th>P<th>Wert<tr><td>K<td><p>4,2</p><p>mmol/l</p><tr><td><td>leer</table>"
    assert text(table) == "P\tWert\nK\t4,2 mmol/l\n\tleer"
    assert text("<pre>a\n  b</pre><p>c<br>d</p>") == "a\n  b\n\nc\nd"


def test_scripts_navigation_and_blocks_of_links_are_not_read():
    links = "".join(f'<li><a href="/{n}">Seite {n}</a>' for n in range(4))
    page = f"<nav>weg</nav><script>weg</script><ul>{links}</ul><p>Text</p><footer>weg</footer>"
    assert text(page) == "Text"
    assert text('<p>Siehe <a href="/a">dort</a>.</p>') == "Siehe dort."


def test_what_stands_in_a_cell_is_its_text():
    inner = "<table><tr><td>K<td>4,2</table>"
    assert text(f"<table><tr><td>Labor<td>{inner}<td>ab</table><p>danach") == (
        "Labor\tK 4,2\tab\n\ndanach"
    )
    assert text("<table><tr><td><ul><li>a<li>b</ul></table><p>c") == "- a - b\n\nc"


@example(["<tr>", "<table>", "<td>", "x", "<tr>"])
@given(st.lists(st.sampled_from("<p> <table> <tr> <td> </td> <ul> <li> x </ul> <sup>2".split())))
def test_any_nesting_is_text_and_loses_no_letter(parts):
    found = text("".join(parts))
    assert found.count("x") == parts.count("x")


@pytest.mark.parametrize("depth", [150, 5000])
def test_deep_nesting_ends(depth):
    text("<div>" * depth + "x")
