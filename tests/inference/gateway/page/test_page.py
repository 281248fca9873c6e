"""The clinician page in a real Chromium, in front of the real gateway and a scripted engine."""

from __future__ import annotations

import asyncio
import json
import os
import re
from contextlib import closing
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import BrowserContext, Page, Route, expect

from bedside_inference import aliases
from bedside_inference.config import PageConfig
from bedside_inference.gateway import page as page_package
from bedside_inference.gateway.page.pages import FILES, HEADERS, SETTINGS
from bedside_inference.state.store import Store

SCREENSHOT = Path(__file__).parents[4] / "docs/images/clinician-page.png"
CHAT = "/v1/chat/completions"
DONE = b"data: [DONE]\n\n"


async def sign_in(page: Page, key: str) -> None:
    await page.locator("#key").fill(key)
    await page.locator("#key").press("Enter")
    await expect(page.locator("#question")).to_be_focused()


async def put(page: Page, question: str) -> None:
    await page.locator("#question").fill(question)
    await page.locator("#question").press("Enter")


@pytest.fixture
async def signed_in(engine, gateway, open_page) -> Page:
    page = await open_page()
    await sign_in(page, gateway.key)
    return page


def say(engine, *parts: bytes | str, go: asyncio.Semaphore | None = None) -> None:
    """Let the engine stream these parts, each after a permission if `go` is given."""

    async def script(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        for part in parts:
            if go:
                await asyncio.wait_for(go.acquire(), 30)
            await response.write(engine.chunk(part) if isinstance(part, str) else part)
        return response

    engine.script = script


async def serve_promoted(engine, gateway, served) -> None:
    """Let the engine name promoted evidence, and the gateway see it."""
    engine.served = served.model_copy(update={"verdict": "PROMOTE"})
    verdict = None
    async with asyncio.timeout(30):
        while verdict != "PROMOTE":
            async with gateway.session.get(f"{gateway.url}/readyz") as answer:
                verdict = (await answer.json()).get("verdict")


async def answered(page: Page, number: int = 1) -> None:
    await expect(page.locator("#log .answer")).to_have_count(number)
    await expect(page.locator("#growing")).to_be_empty()


# --- what is served ---


async def test_fixed_files_with_headers_that_shut_everything_else(engine, gateway) -> None:
    folder = resources.files(page_package)
    files = {file.name for file in folder.iterdir()} - {"__init__.py", "__pycache__", "pages.py"}
    assert {name for name, _ in FILES.values()} == files | {"settings.json"}
    for path, (name, media_type) in FILES.items():
        async with gateway.session.get(gateway.url + path) as answer:
            assert answer.status == 200
            assert answer.content_type == media_type
            if path != SETTINGS:
                assert await answer.read() == (folder / name).read_bytes()
            for header, value in HEADERS.items():
                assert answer.headers[header] == value
            policy = answer.headers["Content-Security-Policy"]
            assert "unsafe" not in policy and "http" not in policy and "*" not in policy
    markup = (folder / "index.html").read_text()
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?! type=\"module\" src=)", markup)
    assert not re.search(r"https?://", markup)


async def test_no_other_file_can_be_asked_for(engine, gateway) -> None:
    for path in ("/page/", "/page", "/index.html", "/page/../app.py", "/page/%2e%2e/app.py", "//"):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 404 ")
        writer.close()


# --- signing in ---


async def test_sign_in_says_what_is_wrong_and_forgets_when_left(engine, gateway, open_page) -> None:
    page = await open_page()
    key, alert = page.locator("#key"), page.locator("#sign-in-alert")
    await expect(key).to_be_focused()
    for wrong, said in (
        ("", "Geben Sie Ihren Zugangsschlüssel ein."),
        ("bsk-falsch", "Dieser Schlüssel wird nicht angenommen."),
        ("schlüssel€", "Dieser Schlüssel wird nicht angenommen."),
    ):
        await key.fill(wrong)
        await key.press("Enter")
        await expect(alert).to_contain_text(said)
        await expect(key).to_have_attribute("aria-invalid", "true")
        await expect(page.locator("#chat")).to_be_hidden()

    engine.healthy = False
    await ready(gateway, 503)
    await key.fill(gateway.key)
    await key.press("Enter")
    await expect(alert).to_contain_text("Das Modell wird gerade geladen")
    await expect(alert).to_contain_text(re.compile(r"Nächster Versuch möglich ab \d\d:\d\d:\d\d"))
    await expect(key).to_have_attribute("aria-invalid", "false")
    await expect(key).to_have_value(gateway.key)

    engine.healthy = True
    await ready(gateway, 200)
    await key.press("Enter")
    await expect(page.locator("#question")).to_be_focused()
    await expect(key).to_have_value("")
    await expect(page.locator("#model-name")).to_have_text("bedside")

    say(engine, "Guten Tag", DONE)
    await put(page, "Hallo")
    await answered(page)
    assert gateway.key not in page.url
    assert gateway.key not in await page.content()
    assert await kept(page) == {
        "local": 0,
        "session": 0,
        "cookie": "",
        "databases": [],
        "caches": [],
    }

    # Left and shown again: loaded anew, or as it was left if the browser has kept it.
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    for _ in range(2):
        await expect(page.locator("#chat")).to_be_hidden()
        await expect(key).to_have_value("")
        await expect(page.locator("article")).to_have_count(0)
        await page.goto("about:blank")
        await page.go_back()


async def ready(gateway, status: int) -> None:
    """Wait until the gateway knows that its engine is there, or gone."""
    async with asyncio.timeout(30):
        while True:
            async with gateway.session.get(f"{gateway.url}/readyz") as answer:
                if answer.status == status:
                    return
            await asyncio.sleep(0.02)


async def kept(page: Page) -> dict:
    """What the browser keeps for the page."""
    return await page.evaluate(
        """async () => ({
            local: localStorage.length,
            session: sessionStorage.length,
            cookie: document.cookie,
            databases: await indexedDB.databases(),
            caches: "caches" in window ? await caches.keys() : [],
        })"""
    )


async def test_signing_out_and_a_new_conversation_leave_nothing(engine, signed_in) -> None:
    page = signed_in
    go = asyncio.Semaphore(1)
    say(engine, "Halb", "Rest", DONE, go=go)
    for button, shown in (("#new", "#question"), ("#sign-out", "#key")):
        go.release()
        await put(page, "Frage mit Inhalt")
        await expect(page.locator("#growing")).to_contain_text("Halb")
        await page.locator("#question").fill("noch ein Entwurf")
        await page.locator(button).click()
        await page.locator("#discard").click()
        await engine.freed()
        await expect(page.locator(shown)).to_be_focused()
        await expect(page.locator("article")).to_have_count(0)
        await expect(page.locator("#question")).to_have_value("")
    await expect(page.locator("#model")).to_be_hidden()


# --- answers ---


async def test_an_answer_grows_and_says_where_it_comes_from(engine, signed_in, served) -> None:
    page = signed_in
    go = asyncio.Semaphore(0)
    say(engine, "Ramipril ", "senkt\nden Blutdruck.", DONE, go=go)
    await put(page, "Was macht Ramipril?")
    log, growing = page.locator("#log"), page.locator("#growing")
    await expect(page.locator("#chat-status")).to_have_text("Die KI antwortet …")
    go.release()
    await expect(growing.locator(".text")).to_have_text("Ramipril")
    await expect(log).to_have_attribute("aria-busy", "true")
    await expect(log.locator(".answer")).to_have_count(0)  # nothing to read out yet
    go.release()
    go.release()
    await answered(page)
    await expect(log).to_have_attribute("aria-busy", "false")
    answer = log.locator(".answer")
    assert await answer.locator(".text").text_content() == "Ramipril senkt\nden Blutdruck."
    for said in (
        "KI-generiert",
        "Nicht geprüft",
        "bedside",
        served.model[:12],
        "Für dieses Modell liegt keine bestandene Prüfung vor.",
        "Fachlich prüfen, bevor Sie etwas daraus verwenden.",
    ):
        await expect(answer).to_contain_text(said)
    [asked] = engine.headers
    reference = {name.lower(): value for name, value in asked.items()}["x-request-id"]
    await expect(answer.locator(".reference code")).to_have_text(reference)
    await expect(page.locator("#question")).to_be_focused()

    say(engine, "Ja.", DONE)
    await put(page, "Sicher?")
    await answered(page, 2)
    sent = json.loads(engine.bodies[-1])
    assert sent["stream_options"] == {"include_usage": True}
    assert [(message["role"], message["content"]) for message in sent["messages"]] == [
        ("user", "Was macht Ramipril?"),
        ("assistant", "Ramipril senkt\nden Blutdruck."),
        ("user", "Sicher?"),
    ]


async def test_stop_frees_the_engine_and_marks_the_answer(engine, signed_in) -> None:
    page = signed_in
    go = asyncio.Semaphore(0)
    say(engine, "Der Anfang", "nie", go=go)
    for number, how in enumerate(("button", "Escape"), 1):
        go.release()
        await put(page, "Erzähle lange")
        await expect(page.locator("#growing .text")).to_have_text("Der Anfang")
        if how == "button":
            await page.locator("#stop").click()
        else:
            await page.keyboard.press("Escape")
        await engine.freed()
        assert engine.running == 0
        await answered(page, number)
        answer = page.locator("#log .answer").last
        await expect(answer.locator(".text")).to_have_text("Der Anfang")
        await expect(answer.locator(".note")).to_contain_text("Von Ihnen gestoppt")
        await expect(page.locator("#question")).to_be_focused()
        await expect(page.locator("#stop")).to_be_hidden()

    await put(page, "Noch ohne Antwort")
    await engine.arrived.wait()
    await page.keyboard.press("Escape")
    await expect(page.locator("#chat-alert")).to_contain_text("Gestoppt, bevor")
    await expect(page.locator("#question")).to_have_value("Noch ohne Antwort")
    await expect(page.locator("#log .question")).to_have_count(2)
    await engine.freed()


async def test_an_answer_that_breaks_off_says_so(
    engine, gateway, signed_in, config, home, served
) -> None:
    page = signed_in

    async def die(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("Ein halber"))
        await asyncio.sleep(0.1)
        request.transport.close()
        return response

    engine.script = die  # the gateway adds an error event
    await put(page, "Frage")
    await answered(page)
    note = page.locator("#log .answer .note")
    await expect(note).to_contain_text("Verbindung ist abgebrochen")
    await expect(page.locator("#log .answer .text")).to_have_text("Ein halber")

    for number, end in enumerate((b"", b"data: {not json}\n\n", b"data: [DONE]"), 2):
        say(engine, "Ohne Ende", end)
        await put(page, "Frage")
        await answered(page, number)
        await expect(note).to_have_count(number)

    with closing(Store.open(config.state, home)) as store:
        say(engine, "Zurückgezogen", "nie", go=asyncio.Semaphore(1))
        await put(page, "Frage")
        await expect(page.locator("#growing .text")).to_have_text("Zurückgezogen")
        aliases.stop(store, served.model, audit=lambda action, **ids: None)
        await answered(page, 5)
        await expect(note.last).to_contain_text("Verwenden Sie seine Antworten nicht.")
        aliases.resume(store, served.model, audit=lambda action, **ids: None)
    await gateway.looked()

    cut = json.dumps({"choices": [{"delta": {}, "finish_reason": "length"}]}).encode()
    say(engine, "Zu lang", b"data: " + cut + b"\n\n", DONE)
    await put(page, "Frage")
    await answered(page, 6)
    await expect(note.last).to_contain_text("Die Höchstlänge ist erreicht")

    say(engine, "Noch da", "nie", go=asyncio.Semaphore(1))
    await put(page, "Frage")
    await expect(page.locator("#growing .text")).to_have_text("Noch da")
    gateway.end()
    await answered(page, 7)
    await expect(note.last).to_contain_text("Verbindung ist abgebrochen")
    await put(page, "Frage")
    await expect(page.locator("#chat-alert")).to_contain_text("Der Dienst ist nicht erreichbar.")


async def test_refusals_are_explained_and_the_question_is_kept(engine, gateway, signed_in) -> None:
    page = signed_in
    alert, question = page.locator("#chat-alert"), page.locator("#question")

    async def refused(text: str) -> None:
        await expect(alert).to_contain_text(text)
        await expect(alert).to_contain_text("Ihre Frage steht wieder im Eingabefeld.")
        await expect(page.locator("article")).to_have_count(0)

    for status, code, text in (
        (401, "invalid_api_key", "Dieser Schlüssel wird nicht angenommen"),
        (403, "not_allowed", "keine Berechtigung"),
        (429, "rate_limited", "zu viele Anfragen"),
        (503, "engine_busy", "Zurzeit stellen zu viele Personen Anfragen"),
        (503, "audit_unavailable", "nimmt zurzeit keine Anfragen an"),
        (401, "invalid_token", "Ihre Anmeldung ist abgelaufen"),
        (404, "model_not_found", "gibt es hier nicht mehr"),
        (429, "caller_queue_full", "warten schon so viele Anfragen"),
        (400, "context_length_exceeded", "zu lang, auch ohne das bisherige Gespräch"),
        (400, "too_many_tokens", "als der Dienst oder Ihr Schlüssel auf einmal zulässt"),
        (400, "engine_refused", "Das Modell hat diese Anfrage nicht angenommen"),
        (400, "invalid_value", "Das liegt nicht an Ihrer Frage"),
        (504, "engine_timeout", "nicht rechtzeitig geantwortet"),
        (503, "model_loading", "Das Modell wird gerade geladen"),
        (503, "model_stopped", "Dieses Modell wurde außer Betrieb genommen."),
        (500, "internal_error", "konnte die Anfrage nicht beantworten"),
    ):
        await refuse(page, status, code)
        await put(page, "Meine Frage")
        await refused(text)
        await expect(alert).to_contain_text(re.compile(r"Versuch möglich ab \d\d:\d\d:\d\d"))
        await expect(alert).to_contain_text("abc123")
        await expect(question).to_have_value("Meine Frage")
        await page.unroute(f"**{CHAT}")

    engine.script = busy
    await put(page, "Meine Frage")
    await refused("Zurzeit stellen zu viele Personen Anfragen")
    await put(page, "x" * 5000)  # more than the gateway takes
    await refused("Diese Frage ist für das Modell zu lang")
    say(engine, DONE)
    await put(page, "Nichts")
    await refused("konnte die Anfrage nicht beantworten")
    say(engine, "Guten Tag", DONE)
    await question.press("Enter")
    await answered(page)
    await expect(alert).to_be_empty()


async def refuse(page: Page, status: int, code: str) -> None:
    """Answer the next questions as a gateway that does not want to, whatever the engine does."""

    async def fulfil(route: Route) -> None:
        body = json.dumps({"error": {"code": code, "message": "<b>x</b>"}})
        headers = {"Retry-After": "90", "X-Request-Id": "abc123"}
        await route.fulfill(status=status, body=body, headers=headers)

    await page.route(f"**{CHAT}", fulfil)


async def busy(request: web.Request) -> web.StreamResponse:
    return web.json_response({"error": {"message": "no", "code": 503}}, status=503)


async def test_markup_in_an_answer_stays_text(engine, signed_in) -> None:
    page = signed_in
    evil = (
        "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
        "<a href='javascript:1'>x</a><style>*{display:none}</style>&lt;b&gt;\u202e"
    )
    say(engine, evil[:30], evil[30:], DONE)
    await put(page, evil)
    await answered(page)
    for place, tags in ((".answer .text", ["P"]), (".question .text", [])):
        text = page.locator(f"#log {place}")
        assert await text.text_content() == evil
        assert await text.locator("*").evaluate_all("all => all.map((e) => e.tagName)") == tags
    assert await page.title() == "Bedside – KI-Textassistent dieses Hauses"
    # Even a bug of ours that made markup of it would be stopped; this page may complain.
    other = await page.context.new_page()
    await other.goto(page.url)
    assert "TrustedHTML" in await other.evaluate(
        "() => { try { document.body.innerHTML = '<p>'; } catch (error) { return error.message; } }"
    )


async def test_events_survive_every_cut(open_page) -> None:
    page = await open_page()
    stream = (
        ': keep-alive\r\n\r\nid: 1\ndata: {"a":"µ"}\n\ndata:x\r\ndata: y 😀\r\n\r\n'
        "data:cr\rdata:only\r\r"
        "event: e\ndata: \n\n\n\ndata: [DONE]\r\n\r\ndata: unended\n"
    )
    wrong = await page.evaluate(
        """async (text) => {
            const { events } = await import("/page/api.js");
            const bytes = new TextEncoder().encode(text);
            const wanted = JSON.stringify(['{"a":"µ"}', "x\\ny 😀", "cr\\nonly", "", "[DONE]"]);
            const wrong = [];
            for (let size = 1; size <= bytes.length; size++) {
                const stream = new ReadableStream({ start(controller) {
                    for (let at = 0; at < bytes.length; at += size) {
                        controller.enqueue(bytes.slice(at, at + size));
                    }
                    controller.close();
                } });
                const found = [];
                for await (const data of events(stream)) found.push(data);
                if (JSON.stringify(found) !== wanted) wrong.push([size, found]);
            }
            return wrong;
        }""",
        stream,
    )
    assert wrong == []


# --- what the house has set, and what the model is given ---


HOUSE = PageConfig(
    system_prompt="Antworte knapp.", max_tokens=300, temperature=0.3, frequency_penalty=0.8
)


@pytest.mark.parametrize("page_settings", [HOUSE])
async def test_the_house_decides_what_the_page_asks_with(engine, gateway, signed_in) -> None:
    async with gateway.session.get(gateway.url + SETTINGS) as answer:
        assert await answer.json() == HOUSE.model_dump(exclude_none=True)
    say(engine, "Ja.", DONE)
    for number in (1, 2):
        await put(signed_in, "Frage")
        await answered(signed_in, number)
        sent = json.loads(engine.bodies[-1])
        assert sent["messages"][0] == {"role": "system", "content": "Antworte knapp."}
        assert [message["role"] for message in sent["messages"]].count("system") == 1
        settings = {"max_tokens": 300, "temperature": 0.3, "frequency_penalty": 0.8}
        assert settings.items() <= sent.items()


async def with_window(engine, gateway, served, tokens: int) -> None:
    """Let the engine name its window, and the gateway know it."""
    engine.served = served.model_copy(update={"max_model_len": tokens})
    async with asyncio.timeout(30):
        while True:
            async with gateway.session.get(
                f"{gateway.url}/v1/models", headers=gateway.authorization
            ) as answer:
                if (await answer.json())["data"][0].get("max_model_len") == tokens:
                    return


def say_using(engine, prompt: int, completion: int, text: str = "Ja.") -> None:
    """Let the engine answer, and say what that took."""
    total = {"total_tokens": prompt + completion}
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, **total}
    event = json.dumps({"choices": [], "usage": usage}).encode()
    say(engine, text, b"data: " + event + b"\n\n", DONE)


def questions(engine) -> list[str]:
    """What of the conversation the last request held."""
    messages = json.loads(engine.bodies[-1])["messages"]
    return [message["content"] for message in messages if message["role"] == "user"]


async def test_old_turns_leave_the_memory_with_a_note(engine, gateway, served, open_page) -> None:
    await with_window(engine, gateway, served, 1000)
    page = await open_page()
    await sign_in(page, gateway.key)
    await expect(page.locator("#memory")).to_be_hidden()
    note = page.locator("#log .forgotten")
    for number, (prompt, completion, percent) in enumerate(
        ((100, 100, "20 %"), (220, 180, "40 %"), (410, 90, "50 %"), (380, 120, "50 %")), 1
    ):
        say_using(engine, prompt, completion)
        await put(page, f"Frage {number}")
        await answered(page, number)
        await expect(page.locator("#fill-percent")).to_have_text(percent)
        assert json.loads(engine.bodies[-1])["max_tokens"] == 500  # half of the window
        if number < 4:
            assert questions(engine) == [f"Frage {past}" for past in range(1, number + 1)]
            await expect(note).to_have_count(0)
    assert questions(engine) == ["Frage 2", "Frage 3", "Frage 4"]
    await expect(note).to_contain_text("kennt das Modell nicht mehr")
    following = note.locator("xpath=following-sibling::*[1]")
    await expect(following).to_contain_text("Frage 2")

    # Nothing but the question itself is left where the question is long; it is always sent.
    await put(page, "x" * 1200)
    await answered(page, 5)
    assert questions(engine) == ["x" * 1200]
    await expect(note).to_have_count(1)
    await expect(following).to_contain_text("xxx")
    await page.locator("#new").click()
    await page.locator("#discard").click()
    await expect(note).to_have_count(0)
    await expect(page.locator("#memory")).to_be_hidden()


async def test_a_refused_length_is_asked_again_with_fewer_turns(engine, signed_in) -> None:
    page = signed_in
    say(engine, "Ja.", DONE)
    for number in range(1, 6):
        await put(page, f"Frage {number}")
        await answered(page, number)
    asked = []

    async def refuse_more_than(route: Route, most: int) -> None:
        body = json.loads(route.request.post_data)
        asked.append((len(body["messages"]), body.get("max_tokens")))
        if len(body["messages"]) <= most:
            await route.fallback()
            return
        error = json.dumps({"error": {"code": "context_length_exceeded", "message": "x"}})
        await route.fulfill(status=400, body=error)

    await page.route(f"**{CHAT}", lambda route: refuse_more_than(route, 5))
    await put(page, "Frage 6")
    await answered(page, 6)
    assert asked == [(11, 1024), (9, 1024), (5, 1024)]  # without one turn, without three
    assert questions(engine) == ["Frage 4", "Frage 5", "Frage 6"]
    following = page.locator("#log .forgotten").locator("xpath=following-sibling::*[1]")
    await expect(following).to_contain_text("Frage 4")

    # Even alone it is too long: said so, bounded, and the conversation is as it was.
    await page.unroute(f"**{CHAT}")
    asked.clear()
    await page.route(f"**{CHAT}", lambda route: refuse_more_than(route, 0))
    await put(page, "Zu lang")
    alert = page.locator("#chat-alert")
    await expect(alert).to_contain_text("zu lang, auch ohne das bisherige Gespräch")
    assert asked == [(7, 1024), (5, 1024), (1, 1024), (1, None)]
    await expect(page.locator("#question")).to_have_value("Zu lang")
    await expect(following).to_contain_text("Frage 4")


@pytest.mark.parametrize("page_settings", [PageConfig(max_tokens=40)])
async def test_a_conversation_with_the_mock_engine_has_no_end(
    mock_engine, gateway, open_page
) -> None:
    """It counts what it is sent and refuses what is too long, as vLLM does."""
    page = await open_page()
    await sign_in(page, gateway.key)
    for number in range(1, 13):
        await put(page, f"Frage {number}")
        await answered(page, number)
        answer = page.locator("#log .answer").last
        await expect(answer.locator(".text strong").first).to_have_text("kein Sprachmodell")
        await expect(answer.locator(".note")).to_contain_text("Die Höchstlänge ist erreicht")
    await expect(page.locator("#log .forgotten")).to_have_count(1)


# --- taking an answer along, and losing none by mistake ---

TABLE = "**Plan**\n\n| Mittel | Dosis |\n|---|---|\n| Ramipril | 5 mg |\n"


@pytest.mark.parametrize("allowed", [True, False])
async def test_copying_an_answer_says_where_it_is_from(
    allowed, engine, gateway, served, open_page
) -> None:
    page = await open_page()
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    if not allowed:  # as on plain HTTP
        await page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    await sign_in(page, gateway.key)
    say(engine, TABLE, b"")
    await put(page, "Dosis?")
    await answered(page)
    button = page.get_by_role("button", name="Kopieren")
    await button.focus()
    await page.keyboard.press("Enter")
    status = page.locator("#log .answer [role=status]")
    await expect(status).to_have_text("Die Antwort ist mit Herkunftsangabe kopiert.")
    await expect(button).to_be_focused()
    field = page.locator("#question")
    await field.focus()
    await page.keyboard.press("Control+V")
    plan, table, note, origin = (await field.input_value()).split("\n\n")
    assert plan == "Plan"
    assert table == "Mittel   | Dosis\n---------|------\nRamipril | 5 mg"
    assert note == "Die Verbindung ist abgebrochen; die Antwort ist unvollständig."
    assert re.fullmatch(
        rf"\[KI-generiert: Modell bedside, Version {served.model[:12]}, "
        r"\d\d\.\d\d\.\d{4}, \d\d:\d\d\. "
        r"Fachlich prüfen, bevor Sie etwas daraus verwenden\.\]",
        origin,
    )
    if not allowed:
        await page.evaluate("document.execCommand = () => false")
        await button.click()
        await expect(status).to_contain_text("Kopieren ist hier nicht möglich.")


async def test_nothing_is_dropped_without_being_asked(engine, signed_in) -> None:
    page = signed_in
    dialog = page.locator("#drop")
    await page.locator("#new").click()  # nothing to lose
    await expect(dialog).to_be_hidden()
    say(engine, "Guten Tag", DONE)
    await put(page, "Hallo")
    await answered(page)
    for button in ("#new", "#sign-out"):
        for how in ("#keep", "Escape"):
            await page.locator(button).click()
            await expect(dialog).to_contain_text("Gespräch verwerfen?")
            if how == "Escape":
                await page.keyboard.press("Escape")
            else:
                await page.locator(how).click()
            await expect(dialog).to_be_hidden()
            await expect(page.locator("article")).to_have_count(2)
    # Leaving the page: the browser's own question, as often as there is something to lose.
    asked = []

    async def stay(question) -> None:
        asked.append(question.type)
        await question.dismiss()

    page.on("dialog", stay)
    await page.evaluate("location.reload()")
    async with asyncio.timeout(30):
        while not asked:
            await asyncio.sleep(0.02)
    assert asked == ["beforeunload"]
    await expect(page.locator("article")).to_have_count(2)
    await page.locator("#new").click()
    await page.locator("#discard").click()
    await expect(page.locator("article")).to_have_count(0)
    await page.reload()
    assert asked == ["beforeunload"]


async def test_the_question_stays_in_view_while_its_answer_grows(
    engine, gateway, open_page
) -> None:
    page = await open_page(viewport={"width": 1280, "height": 900})
    await sign_in(page, gateway.key)
    lines = "".join(f"Zeile {number}\n\n" for number in range(80))
    for number, question in enumerate(("Erste", "Zweite"), 1):
        go = asyncio.Semaphore(1)
        say(engine, "Anfang\n\n", lines, DONE, go=go)
        await put(page, question)
        await expect(page.locator("#growing .text")).to_contain_text("Anfang")
        asked = page.locator("#log .question").last
        top = (await asked.bounding_box())["y"]
        assert top < 200
        await expect(page.locator("#stop")).to_be_in_viewport()
        go.release()
        await expect(page.locator("#growing .text")).to_contain_text("Zeile 79")
        assert (await asked.bounding_box())["y"] == top
        go.release()
        await answered(page, number)
        assert (await asked.bounding_box())["y"] == top


async def test_an_answer_has_the_language_that_it_is_in(engine, gateway, open_page) -> None:
    page = await open_page("fr-FR")
    await sign_in(page, gateway.key)
    for number, (text, language) in enumerate(
        (
            ("Das Mittel wird mit der Nahrung aufgenommen und ist nicht für Kinder.", "de"),
            ("Le médicament est pris avec les repas et ne convient pas aux enfants.", "fr"),
            ("The drug is taken with food and should not be used in children.", "en"),
            ("5 mg 1-0-0", None),
        ),
        1,
    ):
        say(engine, text, DONE)
        await put(page, "?")
        await answered(page, number)
        assert await page.locator("#log .answer .text").last.get_attribute("lang") == language


# --- for everyone ---


async def test_three_complete_languages(engine, gateway, open_page) -> None:
    page = await open_page("fr-CH")
    texts = await page.evaluate("async () => (await import('/page/texts.js')).texts")
    assert set(texts) == {"de", "fr", "en"}
    assert set(texts["de"]) == set(texts["fr"]) == set(texts["en"])
    assert all(text.strip() for catalogue in texts.values() for text in catalogue.values())
    folder = resources.files(page_package)
    names = {name for name, _ in FILES.values()} - {"texts.js", "icon.svg", "settings.json"}
    used = "".join((folder / name).read_text() for name in names)
    assert {name for name in texts["de"] if f'"{name}"' not in used} == set()

    await expect(page.locator("html")).to_have_attribute("lang", "fr")
    await sign_in(page, gateway.key)
    say(engine, "Bonjour", b"")
    await put(page, "Salut")
    await answered(page)
    await refuse(page, 429, "rate_limited")
    await put(page, "Encore")
    await expect(page.locator("#chat-alert")).to_contain_text("Trop de demandes")
    for language in ("de", "en", "fr"):
        await page.locator("#language").select_option(language)
        await expect(page.locator("html")).to_have_attribute("lang", language)
        assert await page.title() == texts[language]["title"]
        assert await page.locator("aside").get_attribute("aria-label") == texts[language]["about"]
        shown = await page.locator("[data-text]").all_text_contents()
        assert set(shown) <= set(texts[language].values())
        for said in ("generated", "unproven", "broken", "noticeDevice", "tooMany"):
            assert texts[language][said] in shown
        time = await page.locator("time").text_content()
        assert ("M" in time) == (language == "en")  # AM, PM
    for locale, language in (("it-IT", "en"), ("de-AT", "de")):
        page = await open_page(locale)
        await expect(page.locator("html")).to_have_attribute("lang", language)
    # Before the texts are there, nothing is shown that could be of another language.
    page = await open_page(java_script_enabled=False)
    assert (await page.locator("body").inner_text()).split("\n\n") == [
        "Diese Seite braucht JavaScript.",
        "Cette page a besoin de JavaScript.",
        "This page needs JavaScript.",
    ]


async def test_everything_by_keyboard(engine, gateway, open_page) -> None:
    page = await open_page()
    say(engine, "Guten Tag", DONE)
    keyboard = page.keyboard
    await expect(page.locator("#key")).to_be_focused()
    await keyboard.type(gateway.key)
    await keyboard.press("Enter")
    await expect(page.locator("#question")).to_be_focused()
    await keyboard.type("eins")
    await keyboard.press("Shift+Enter")
    await keyboard.type("zwei")
    await keyboard.press("Enter")
    await answered(page)
    assert await page.locator(".question .text").text_content() == "eins\nzwei"
    await keyboard.press("Enter")  # nothing to send
    assert len(engine.bodies) == 1

    # A whole round meets every control, shows where it is, and comes back.
    met = []
    while not met or met[-1][0] != "question":
        await keyboard.press("Tab")
        found = await page.evaluate(
            """() => {
                const at = document.activeElement;
                const style = getComputedStyle(at);
                return [at.id || at.getAttribute("href"),
                    style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
            }"""
        )
        if found[0]:  # not the document itself, between end and start
            met.append(found)
        assert len(met) < 20
    assert met == [
        [name, True]
        for name in ("send", "#notice", "#main", "language", "new", "sign-out", "question")
    ]

    await page.locator(".skip").focus()
    await expect(page.locator(".skip")).to_be_in_viewport()
    await keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.locator("#sign-out").focus()
    await keyboard.press("Enter")
    await expect(page.locator("#keep")).to_be_focused()
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    await expect(page.locator("#key")).to_be_focused()


async def nodes(context: BrowserContext, page: Page) -> list[tuple[str, str]]:
    """Role and name of everything in Chromium's accessibility tree."""
    session = await context.new_cdp_session(page)
    tree = await session.send("Accessibility.getFullAXTree")
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree["nodes"]
        if not node["ignored"]
    ]


async def test_the_accessibility_tree_names_everything(engine, signed_in) -> None:
    page = signed_in
    say(engine, "Guten Tag", DONE)
    await put(page, "Hallo")
    await answered(page)
    found = await nodes(page.context, page)
    controls = {"button", "textbox", "combobox", "link", "log", "complementary", "region", "image"}
    assert [node for node in found if node[0] in controls and not node[1]] == []
    for node in (
        ("RootWebArea", "Bedside – KI-Textassistent dieses Hauses"),
        ("banner", ""),
        ("main", ""),
        ("complementary", "Modell und Grenzen"),
        ("log", "Gespräch"),
        ("heading", "Bedside"),
        ("heading", "Antwort 1"),
        ("article", "Sie 1"),
        ("article", "Antwort 1"),
        ("button", "Kopieren"),
        ("heading", "Wofür Sie diese Seite nicht verwenden dürfen"),
        ("textbox", "Ihre Frage"),
        ("combobox", "Sprache"),
        ("button", "Senden"),
        ("button", "Neues Gespräch"),
        ("button", "Abmelden"),
    ):
        assert node in found
    levels = await page.evaluate(
        "() => [...document.querySelectorAll('h1, h2, h3')].filter((h) => h.checkVisibility())"
        ".map((h) => Number(h.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    duplicates = await page.evaluate(
        "() => { const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);"
        "return ids.filter((id, at) => ids.indexOf(id) !== at); }"
    )
    assert duplicates == []


LOW_CONTRAST = """() => {
    const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => {
        const [r, g, b] = parse(color).slice(0, 3).map((part) => {
            const s = part / 255;
            return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = getComputedStyle(at).backgroundColor;
            if ((parse(color)[3] ?? 1) === 1) return color;
        }
        return "rgb(255, 255, 255)";
    };
    const ratio = (a, b) => {
        const [x, y] = [light(a), light(b)].sort((one, other) => other - one);
        return (x + 0.05) / (y + 0.05);
    };
    const low = [];
    let seen = 0;
    for (const element of document.querySelectorAll("body *")) {
        if (!element.checkVisibility()) continue;
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (own) {
            seen++;
            const found = ratio(getComputedStyle(element).color, behind(element));
            if (found < 4.5) low.push([element.className, element.textContent, found]);
        }
        if (element.matches("input, textarea, select, button")) {
            const found = ratio(getComputedStyle(element).borderTopColor,
                behind(element.parentElement));
            if (found < 3) low.push([element.id, "border", found]);
        }
    }
    return [seen, low];
}"""


async def legible(page: Page, texts: int) -> None:
    """At least so many texts are seen, all with the contrast of WCAG 2.2 AA (1.4.3, 1.4.11)."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        seen, low = await page.evaluate(LOW_CONTRAST)
        assert seen >= texts
        assert low == []


async def test_contrast(engine, gateway, served, open_page) -> None:
    page = await open_page()
    await page.locator("#key").press("Enter")
    await expect(page.locator("#sign-in-alert")).not_to_be_empty()
    await legible(page, 15)
    await sign_in(page, gateway.key)
    say(engine, "Halb", b"")
    await put(page, "Hallo")
    await answered(page)
    await serve_promoted(engine, gateway, served)
    say(engine, "## H\n\n`Code`\n\n> Zitat\n\n- Punkt\n\n|A|\n|-|\n|b|\n\n```\nx\n```\n", DONE)
    await put(page, "Und?")
    await answered(page, 2)
    engine.script = busy
    await put(page, "Noch eine")
    await expect(page.locator("#chat-alert")).not_to_be_empty()
    for kind in (".badge.warn", ".badge:not(.warn)", ".note", ".warning", ".alert .reference"):
        await expect(page.locator(kind).first).to_be_visible()
    await legible(page, 30)


async def test_it_fits_a_phone_and_400_percent_zoom(engine, gateway, open_page) -> None:
    page = await open_page(viewport={"width": 320, "height": 256}, reduced_motion="reduce")
    wide = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not await page.evaluate(wide)
    await sign_in(page, gateway.key)
    go = asyncio.Semaphore(1)
    say(engine, "Donaudampfschifffahrt" * 10, DONE, go=go)
    await put(page, "Blutdruckmessgerät" * 10)
    await expect(page.locator("#growing .text")).to_be_visible()
    style = "getComputedStyle(document.querySelector('.pulse')).animationName"
    assert await page.evaluate(style) == "none"
    go.release()
    await answered(page)
    assert not await page.evaluate(wide)
    table = "|" + "Eine Spalte mit Inhalt|" * 6 + "\n|" + "---|" * 6 + "\n"
    say(engine, table, "\n```\n" + "code " * 60, "\n```\n", DONE)
    await put(page, "Tabelle")
    await answered(page, 2)
    assert not await page.evaluate(wide)
    for block in ("div", "pre"):
        scrolls = f"#log .answer:last-child {block}.scrolling"
        assert await page.locator(scrolls).evaluate("e => e.scrollWidth > e.clientWidth")
    # The field to type in does not stay over the text where there is no room for both.
    assert await page.evaluate("getComputedStyle(composer).position") == "static"


# --- the picture in the documentation ---

TALK = (
    (
        "Was macht ein ACE-Hemmer? Bitte ein Satz für ein Merkblatt in einfacher Sprache.",
        "Das Mittel senkt Ihren Blutdruck; wenn Sie Husten oder Schwindel bekommen, sagen Sie es "
        "uns, und wenn Lippen, Zunge oder Gesicht anschwellen, holen Sie sofort Hilfe.",
    ),
    (
        "Welche Nebenwirkungen soll ich in der Sprechstunde ansprechen?",
        "Häufig sind trockener **Reizhusten**, Schwindel zu Beginn und ein Anstieg von Kalium und "
        "Kreatinin. Selten, aber gefährlich ist das **Angioödem**.\n\n"
        "| Beobachtung | Was zu tun ist |\n"
        "|---|---|\n"
        "| Husten | er verschwindet nach dem Absetzen |\n"
        "| Schwellung von Lippen oder Zunge | *sofort* ärztliche Hilfe |\n"
        "| Kalium, Kreatinin | Labor nach 1 bis 2 Wochen |\n",
    ),
)


async def test_a_promoted_model_in_the_picture(engine, gateway, served, open_page) -> None:
    engine.served = served.model_copy(
        update={"verdict": "PROMOTE", "model": "7c41e09b52d8" + "0" * 52, "evidence": "1" * 64}
    )
    page = await open_page(viewport={"width": 1280, "height": 1160}, device_scale_factor=1.5)
    await sign_in(page, gateway.key)
    for number, (question, answer) in enumerate(TALK, 1):
        say(engine, *re.findall(r"\S+\s*", answer), DONE)
        await put(page, question)
        await answered(page, number)
        await expect(page.locator("#log .answer").last).to_contain_text(
            "Besser als sein Ausgangsmodell"
        )
    strong = page.locator("#log .answer .text strong")
    await expect(strong).to_have_text(["Reizhusten", "Angioödem"])
    await expect(page.locator("#log .answer tbody tr")).to_have_count(3)
    await expect(page.locator(".warning")).to_have_count(0)
    await expect(page.locator("#model")).to_contain_text("7c41e09b52d8")
    await expect(page.locator("#send")).to_be_in_viewport()
    await expect(page.locator("#log .answer").last).to_be_in_viewport()
    if os.environ.get("BEDSIDE_SCREENSHOT") == "1":
        SCREENSHOT.parent.mkdir(exist_ok=True)
        await page.screenshot(path=SCREENSHOT)
