// The clinician page. The key and the conversation live in this module's variables and nowhere else;
// whatever comes from the gateway becomes a text node, never markup.

import { Problem, ask, findModel } from "./api.js";
import { names, texts } from "./texts.js";

const SHORT_DIGEST = 12;
const NEAR_END = 120; // pixels

const byId = (id) => document.getElementById(id);
const page = byId("page");
const entrance = byId("entrance");
const keyField = byId("key");
const chat = byId("chat");
const log = byId("log");
const growing = byId("growing");
const composer = byId("composer");
const question = byId("question");
const stop = byId("stop");

let language = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in texts) ?? "en";
let key = null;
let model = null;
let turns = []; // { question, answer }: what the next request repeats
let running = null; // AbortController of the answer that grows

// --- texts ---

/** An element that shows a text of the catalogue and follows the language. */
function told(tag, name, className = "") {
  const made = plain(tag, texts[language][name], className);
  made.dataset.text = name;
  return made;
}

/** An element that shows what was said as it was said. */
function plain(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function speak(chosen) {
  language = chosen;
  document.documentElement.lang = chosen;
  for (const found of document.querySelectorAll("[data-text]")) {
    found.textContent = texts[chosen][found.dataset.text];
  }
  for (const found of document.querySelectorAll("[data-label]")) {
    found.setAttribute("aria-label", texts[chosen][found.dataset.label]);
  }
  for (const found of document.querySelectorAll("time")) found.textContent = clock(found.dateTime);
}

function clock(moment) {
  return new Intl.DateTimeFormat(language, { timeStyle: "medium" }).format(new Date(moment));
}

/** Fill a status or an alert; without parts, empty it. */
function tell(place, ...parts) {
  place.replaceChildren(...parts);
}

function explain(place, problem, ...more) {
  const parts = [told("span", problem.kind)];
  if (problem.retryAt) {
    const time = plain("time", clock(problem.retryAt));
    time.dateTime = problem.retryAt.toISOString();
    parts.push(sentence(told("span", "retryAt"), time));
  }
  parts.push(...more);
  if (problem.request) parts.push(reference(problem.request));
  tell(place, ...parts);
}

function sentence(...parts) {
  const made = document.createElement("span");
  made.append(...parts.flatMap((part) => [part, " "]));
  return made;
}

function reference(request) {
  const made = sentence(told("span", "reference"), plain("code", request));
  made.className = "reference";
  return made;
}

// --- signing in and out ---

async function signIn() {
  const entered = keyField.value.trim();
  const button = entrance.querySelector("button");
  if (button.getAttribute("aria-disabled") === "true") return;
  tell(byId("sign-in-alert"));
  try {
    if (!entered) throw new Problem("keyMissing");
    button.setAttribute("aria-disabled", "true");
    tell(byId("sign-in-status"), told("span", "checking"));
    model = await findModel(entered);
    key = entered;
    keyField.value = "";
    showModel(model);
    show(true);
    question.focus();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const wrong = error.kind === "invalidKey" || error.kind === "keyMissing";
    keyField.setAttribute("aria-invalid", String(wrong));
    explain(byId("sign-in-alert"), error);
    keyField.select();
  } finally {
    button.removeAttribute("aria-disabled");
    tell(byId("sign-in-status"));
  }
}

function signOut() {
  forget();
  key = model = null;
  keyField.value = "";
  keyField.removeAttribute("aria-invalid");
  tell(byId("sign-in-alert"));
  show(false);
}

function show(signedIn) {
  entrance.hidden = signedIn;
  for (const id of ["chat", "model", "new", "sign-out"]) byId(id).hidden = !signedIn;
}

function showModel({ name, digest, proven }) {
  byId("model-name").textContent = name;
  tell(byId("model-digest"), short(digest));
  tell(byId("model-verdict"), verdict(proven));
  const explained = told("span", proven ? "provenExplained" : "unprovenExplained");
  tell(byId("model-explained"), explained);
  byId("model").classList.toggle("unproven", !proven);
}

function short(digest) {
  return digest ? plain("span", digest.slice(0, SHORT_DIGEST)) : told("span", "unknown");
}

function verdict(proven) {
  return proven ? told("span", "proven", "badge good") : told("span", "unproven", "badge warn");
}

// --- conversation ---

/** Drop the conversation and what is being answered. */
function forget() {
  running?.abort();
  finish();
  turns = [];
  question.value = "";
  byId("empty").hidden = false;
  tell(byId("chat-alert"));
  for (const place of [log, growing]) place.replaceChildren();
}

async function send() {
  const asked = question.value.trim();
  if (running || !asked) return;
  const mine = new AbortController();
  running = mine;
  question.value = "";
  question.focus();
  tell(byId("chat-alert"));
  byId("empty").hidden = true;
  const bubble = showQuestion(asked);
  begin();
  showEnd();

  let answer = null;
  let problem = null;
  try {
    const messages = [...history(), { role: "user", content: asked }];
    const found = await ask(key, model.name, messages, mine.signal);
    model = { ...found, name: model.name };
    showModel(model);
    for await (const piece of found.pieces) {
      if (running !== mine) return; // already thrown away
      const following = atEnd();
      answer ??= showAnswer(model);
      answer.take(piece);
      if (following) showEnd();
    }
    if (!answer) problem = new Problem("failed", null, found.request);
  } catch (error) {
    problem = error;
  }
  if (running !== mine) return; // signed out, or a new conversation began
  finish();

  if (mine.signal.aborted) problem = new Problem("stopped");
  else if (problem && !(problem instanceof Problem)) throw problem;
  const following = atEnd();
  if (answer) {
    turns.push({ question: asked, answer: answer.text });
    if (problem) answer.note(problem.kind);
    log.append(answer.element); // now whole: this is what a screen reader says
  } else {
    bubble.remove();
    byId("empty").hidden = turns.length > 0;
    const kept = !question.value.trim(); // who has typed on meanwhile keeps that
    if (kept) question.value = asked;
    if (mine.signal.aborted) problem = new Problem("stoppedEmpty");
    explain(byId("chat-alert"), problem, ...(kept ? [told("span", "questionKept")] : []));
  }
  if (following) showEnd();
}

function history() {
  return turns.flatMap((turn) => [
    { role: "user", content: turn.question },
    { role: "assistant", content: turn.answer },
  ]);
}

function begin() {
  log.setAttribute("aria-busy", "true");
  tell(byId("chat-status"), told("span", "answering", "pulse"));
  byId("send").hidden = true;
  stop.hidden = false;
}

function finish() {
  running = null;
  log.setAttribute("aria-busy", "false");
  tell(byId("chat-status"));
  const lost = document.activeElement === stop || document.activeElement === document.body;
  byId("send").hidden = false;
  stop.hidden = true;
  if (lost) question.focus({ preventScroll: true }); // who reads further up stays there
}

function showQuestion(text) {
  const made = document.createElement("article");
  made.className = "question";
  made.append(told("h3", "you"), plain("p", text, "text"));
  log.append(made);
  return made;
}

/** An answer that grows: its origin, its text, and what stands behind it. */
function showAnswer({ name, digest, proven, request }) {
  const element = plain("article", "", "card answer");
  const text = document.createTextNode("");
  const said = plain("p", "", "text");
  said.append(text);
  const origin = plain("p", "", "origin");
  const fingerprint = plain("code", "");
  fingerprint.append(short(digest));
  origin.append(told("span", "generated", "badge ai"), " ", verdict(proven), " ");
  origin.append(sentence(plain("strong", name), told("span", "digest"), fingerprint));
  element.append(told("h3", "answer"), origin);
  if (!proven) element.append(told("p", "unprovenExplained", "warning"));
  const foot = document.createElement("footer");
  foot.append(told("p", "check", "check"));
  if (request) foot.append(reference(request));
  element.append(said, foot);
  growing.append(element);

  return {
    element,
    get text() {
      return text.data;
    },
    take(piece) {
      if (piece.truncated) this.note("truncated");
      else text.appendData(piece.text);
    },
    note(name) {
      said.after(told("p", name, "note"));
    },
  };
}

/** Whether the end of the conversation is in view; who has scrolled up is reading and is not moved. */
function atEnd() {
  return chat.getBoundingClientRect().bottom < innerHeight + NEAR_END;
}

function showEnd() {
  chat.scrollIntoView({ block: "end" });
}

// --- events ---

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn();
});
composer.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
stop.addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) running?.abort();
});
byId("new").addEventListener("click", () => {
  forget();
  question.focus();
});
byId("sign-out").addEventListener("click", () => {
  signOut();
  keyField.focus();
});
// A browser may keep a left page to show it again: without its key.
addEventListener("pagehide", signOut);

const choice = byId("language");
for (const [tag, name] of Object.entries(names)) {
  const option = plain("option", name);
  option.value = option.lang = tag;
  choice.append(option);
}
choice.value = language;
choice.addEventListener("change", () => speak(choice.value));
speak(language);
page.hidden = false;
keyField.focus();
