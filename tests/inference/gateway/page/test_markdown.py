"""The Markdown of answers: what it becomes, what it must leave alone, and that nothing upsets it.

It runs in the page of a running gateway, under the page's own policy.
"""

from __future__ import annotations

import random

import pytest
from playwright.async_api import Page

RENDER = """async ([text, cuts]) => {
    const { Growing } = await import("/page/markdown.js");
    const place = document.createElement("div");
    const growing = new Growing(place, (element, name) => element.setAttribute("aria-label", name));
    let from = 0;
    for (const cut of [...cuts, text.length]) {
        growing.write(text.slice(from, cut));
        from = cut;
    }
    growing.end();
    return place.innerHTML;
}"""


@pytest.fixture
async def page(engine, open_page) -> Page:
    return await open_page()


async def html(page: Page, text: str, cuts: list[int] | None = None) -> str:
    return await page.evaluate(RENDER, [text, cuts or []])


SCROLLING = 'class="scrolling" tabindex="0" role="group"'
GOLDEN = [
    ("Hallo\nWelt\n\nAbsatz", "<p>Hallo\nWelt</p><p>Absatz</p>"),
    ("### A\n# B\n## C\n# D", "<h4>A</h4><h4>B</h4><h5>C</h5><h4>D</h4>"),
    ("**fett** und *kursiv* und ***beides*** und _so_",
     "<p><strong>fett</strong> und <em>kursiv</em> und <strong><em>beides</em></strong> und "
     "<em>so</em></p>"),
    ("**Dosis *einmal***", "<p><strong>Dosis <em>einmal</em></strong></p>"),
    ("**Wirkung:**Text", "<p><strong>Wirkung:</strong>Text</p>"),
    ("a\n---\nb", "<p>a</p><hr><p>b</p>"),
    ("- a\n- b\n  - c\n    1. d\n- e",
     '<ul class="dashes"><li><p>a</p></li><li><p>b</p><ul class="dashes"><li><p>c</p><ol><li><p>d'
     "</p></li></ol></li></ul></li><li><p>e</p></li></ul>"),
    ("* a\n* b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
    ("1. a\n\n   Absatz\n2. b", "<ol><li><p>a</p><p>Absatz</p></li><li><p>b</p></li></ol>"),
    ("3. c\n4. d\n7. g", '<ol start="3"><li><p>c</p></li><li><p>d</p></li><li value="7"><p>g</p>'
     "</li></ol>"),
    ("So:\n1. a\n```sh\nx *y*\n```\n2. b",
     f'<p>So:</p><ol><li><p>a</p></li></ol><pre {SCROLLING} aria-label="codeBlock"><code>x *y*'
     '</code></pre><ol start="2"><li><p>b</p></li></ol>'),
    ("~~~\noffen", f'<pre {SCROLLING} aria-label="codeBlock"><code>offen</code></pre>'),
    ("Nimm `a*b` und ``c`d``", "<p>Nimm <code>a*b</code> und <code>c`d</code></p>"),
    ("> Zitat *hier*\n> mehr", "<blockquote><p>Zitat <em>hier</em>\nmehr</p></blockquote>"),
    ("| Mittel | Dosis |\n|:--|--:|\n| **Ramipril** | 5 mg | täglich |\n| a \\| b | c<br>d |\nEnde",
     f'<div {SCROLLING} aria-label="tableBlock"><table><thead><tr>'
     '<th class="unbroken" scope="col">Mittel</th>'
     '<th class="right unbroken" scope="col">Dosis</th></tr></thead>'
     '<tbody><tr><td class="unbroken"><strong>Ramipril</strong></td>'
     '<td class="right unbroken">5 mg</td><td class="unbroken">täglich</td></tr>'
     '<tr><td class="unbroken">a | b</td><td class="right unbroken">c\nd</td></tr></tbody>'
     "</table></div><p>Ende</p>"),
    ("Siehe [AWMF](https://a.b/c_d_e) und ![Bild](https://a.b/x.png).",
     "<p>Siehe AWMF (https://a.b/c_d_e) und Bild (https://a.b/x.png).</p>"),
    ("1\\. Januar \\*5\\*", "<p>1. Januar *5*</p>"),
]  # fmt: skip


async def test_what_it_becomes(page: Page) -> None:
    for text, wanted in GOLDEN:
        assert await html(page, text) == wanted
        assert await html(page, text, list(range(1, len(text)))) == wanted  # by characters


AS_IT_STANDS = (
    "CRP <5 mg/l, GFR > 30 ml/min, Kalium >= 5,0, p<0,05",
    "> 30 ml/min",
    ">30 ml/min",
    "> -5 mmol/l",
    ">> 30",
    "+ 2 mmol/l\n+ Fieber",
    "2*3*4 mg, 5 * 3, 10**3, x**2 + y**2",
    "snake_case_name, __ mg, __/__ mmHg, _ , a_b_",
    "12. März 2026\n14. März 2026",
    "~5 mg, ~~10 mg~~, 10^9/l, ^2",
    "(*) einmal (*)",
    "*p < 0,05; **p < 0,01",
    "120/80 mmHg, 1-0-1, 1/2 Tbl., 5 % [3-7]",
    "#5, # , ###",
    "|x| < 5",
    "5` und 10`",
    "C:\\Daten\\neu, \\(x\\)",
    "Laborwert[1](mmol), f[i](x)",
    "&lt;5 &amp; <b>fett</b> <!-- nie --> <script>x</script>",
    "- - -",
    "1.5 mg\n0.5 mg",
    "$x_1$ und [^1]",
)


async def test_clinical_notation_stays(page: Page) -> None:
    for text in AS_IT_STANDS:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert await html(page, text) == f"<p>{escaped}</p>"
    footnote = "<p>Wert* und Wert**</p><p>* p &lt; 0,05</p>"
    assert await html(page, "Wert* und Wert**\n* p < 0,05") == footnote


async def test_a_number_at_the_start_of_a_line_is_the_number_of_its_item(page: Page) -> None:
    """`1. 5 mg` is an item; what is seen is what was written."""
    assert await html(page, "1. 5 mg") == "<ol><li><p>5 mg</p></li></ol>"
    assert 'start="12"' in await html(page, "12. Woche\n14. Woche")
    assert 'value="14"' in await html(page, "12. Woche\n14. Woche")
    assert "dashes" in await html(page, "Base Excess:\n- 5 mmol/l")  # its mark is a dash


async def test_nothing_but_the_tags_of_text(page: Page) -> None:
    """Whatever an answer says, no element can load, link or run anything."""
    evil = (
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))",
        "![x](https://example.org/x.png)", "<https://example.org>", "[a]: javascript:alert(1)",
        "`<svg onload=alert(1)>`", "```html\n<iframe src=x>\n```",
        "|<b onclick=x>|\n|---|\n|<a href=x>|", "# <style>*{}</style>", "> <object data=x>",
        "- <form action=x>", '"onmouseover="x', "\u202e\0",
    )  # fmt: skip
    markup = await html(page, "\n\n".join(evil))
    found = await page.evaluate(
        """async ([text]) => {
            const { Growing } = await import("/page/markdown.js");
            const place = document.createElement("div");
            document.body.append(place);
            const growing = new Growing(place, () => {});
            growing.write(text);
            growing.end();
            const all = [...place.querySelectorAll("*")];
            const names = new Set(all.map((element) => element.localName));
            const attributes = new Set(all.flatMap((element) => element.getAttributeNames()));
            place.remove();
            return [[...names], [...attributes]];
        }""",
        ["\n\n".join(evil)],
    )
    text_only = {"p", "pre", "code", "div", "table", "thead", "tbody", "tr", "th", "td", "h4"}
    assert set(found[0]) <= text_only | {"ul", "li", "blockquote"}
    assert set(found[1]) <= {"class", "tabindex", "role", "scope"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in markup


SIGNS = (
    *("*", "**", "***", "_", "x`", " ``", "```\n", "~~~\n", "#", "##", ">", "> ", "- ", "* "),
    *("1. ", "7) ", "|", "---", "|---|", "[", "](", ")", "!", "\\", "<", "&", "\n", "\n", "\n\n"),
    *("  ", "    ", "a", "5 mg", "Wort", "ä", "😀", " ", " ", "https://x.y", "\r\n", "\t"),
)
"""No word follows a fence: as the language of the code it would not be shown."""


async def test_any_text_in_any_pieces(page: Page) -> None:
    """It never throws; however it is cut, it becomes the same; letters and digits all stay."""
    draw = random.Random(17)
    cases = []
    for _ in range(1500):
        text = "".join(draw.choices(SIGNS, k=draw.randrange(1, 60)))
        cuts = sorted(draw.randrange(len(text) + 1) for _ in range(draw.randrange(8)))
        cases.append([text, cuts])
    wrong = await page.evaluate(
        f"""async (cases) => {{
            const render = {RENDER};
            const {{ plainText }} = await import("/page/markdown.js");
            const kept = (text) => (text.match(/[\\p{{L}}\\p{{N}}😀]/gu) ?? []).join("");
            const wrong = [];
            for (const [text, cuts] of cases) {{
                const whole = await render([text, []]);
                if (await render([text, cuts]) !== whole) wrong.push(["cut", text, cuts]);
                if (kept(plainText(text)) !== kept(text)) wrong.push(["lost", text]);
            }}
            return wrong.slice(0, 5);
        }}""",
        cases,
    )
    assert wrong == []


HUGE = {
    "stars": "*" * 100_000,
    "brackets": "[" * 100_000,
    "links": "[a](" * 25_000,
    "lists in lists": "- " * 50_000,
    "quotes in quotes": "> " * 50_000,
    "openers": "*a " * 25_000 + "a* " * 25_000,
    "strong openers": "**a " * 25_000,
    "backticks": " ".join("`" * number for number in range(1, 400)),
    "escapes": "\\" * 100_000,
    "blank lines in a list": "- a\n" + "\n" * 100_000,
    "fence that is none": "~" * 100_000 + "`",
    "delimiters": "|a|\n" + "|-" * 50_000,
    "short rows": "|" + "a|" * 5_000 + "\n|-|\n" + "|b\n" * 20_000,
    "steps": "\n".join(" " * number + "- x" for number in range(400)),
    "spaces": " " * 100_000 + "x",
}  # fmt: skip


async def test_huge_input_takes_linear_time(page: Page) -> None:
    """Quadratic work on these would take minutes, and the test's time would run out."""
    for name, text in HUGE.items():
        pieces = list(range(0, len(text), 500))
        assert await html(page, text, pieces), name


async def test_a_growing_answer_costs_linear_time(page: Page) -> None:
    """What is whole is not drawn again; of one long block, each part a bounded number of times."""
    nodes = """async (text) => {
        const { Growing } = await import("/page/markdown.js");
        const place = document.createElement("div");
        const growing = new Growing(place, () => {});
        let made = 0;
        const create = document.createElement.bind(document);
        document.createElement = (name) => { made++; return create(name); };
        for (const character of text) growing.write(character);
        growing.end();
        delete document.createElement;
        return made;
    }"""
    once, twice = [
        await page.evaluate(nodes, "Ein **Satz**.\n\n- Punkt\n- Punkt\n\n" * number)
        for number in (200, 400)
    ]
    assert twice < 2.1 * once
    once, twice = [await page.evaluate(nodes, "- Punkt\n" * number) for number in (1000, 2000)]
    assert twice < 3 * once


async def test_what_is_unfinished_does_not_flicker(page: Page) -> None:
    """A table is one from its first line on, code from its fence on, a list from its mark on."""
    seen = await page.evaluate(
        """async (text) => {
            const { Growing } = await import("/page/markdown.js");
            const place = document.createElement("div");
            const growing = new Growing(place, () => {});
            const seen = [];
            for (const character of text) {
                growing.write(character);
                const now = [...place.querySelectorAll("table, pre, ol, h4, p, strong")]
                    .map((e) => e.localName).join(" ");
                if (seen.at(-1) !== now) seen.push(now);
            }
            return seen;
        }""",
        "| A | B |\n|---|---|\n| 1 | 2 |\n\n```\nx\n```\n\n# H\n\n1. **a b**\n",
    )
    assert seen == [
        "",
        "table",
        "table pre",
        "table pre h4",
        "table pre h4 ol p strong",
    ]


async def test_plain_text_for_the_clipboard(page: Page) -> None:
    text = (
        "# Plan\n\n1. **Ramipril** `5 mg`\n   - morgens\n2. Kontrolle\n\n"
        "| Mittel | Dosis |\n|---|---|\n| Ramipril | 5 mg |\n"
        "| ASS | 100 mg<br>abends |\n\n> Merke\n"
    )
    assert await page.evaluate(
        "async (text) => (await import('/page/markdown.js')).plainText(text)", text
    ) == (
        "Plan\n\n1. Ramipril 5 mg\n   - morgens\n2. Kontrolle\n\n"
        "Mittel   | Dosis\n---------|---------------\nRamipril | 5 mg\n"
        "ASS      | 100 mg; abends\n\n> Merke"
    )
