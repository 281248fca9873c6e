// The clinician page. The key and the conversation live in this module's variables and nowhere else;
// whatever comes from the gateway becomes a text node, never markup.

import { Answer, questionElement, short, verdict } from "./answers.js";
import { Problem, ask, findModel, findSettings } from "./api.js";
import { byId, clock, plain, reference, sentence, speak, spoken, tell, told } from "./dom.js";
import { Memory } from "./memory.js";
import { names } from "./texts.js";

const TOO_MUCH = ["tooLong", "tooManyTokens"]; // what a shorter conversation may mend
const GAP = 36; // pixels between question, answer and composer

const page = byId("page");
const entrance = byId("entrance");
const keyField = byId("key");
const chat = byId("chat");
const talk = byId("talk");
const log = byId("log");
const growing = byId("growing");
const composer = byId("composer");
const question = byId("question");
const stop = byId("stop");
const drop = byId("drop");

let key = null;
let model = null;
let settings = null; // the house's, for every request
let memory = null; // the turns, and what of them the next request repeats
let asked = 0; // questions of this conversation, the one that is being answered included
let running = null; // AbortController of the answer that grows

function explain(place, problem, ...more) {
  const parts = [told("span", problem.kind)];
  if (problem.retryAt) {
    const time = plain("time", clock(problem.retryAt));
    time.dateTime = problem.retryAt.toISOString();
    parts.push(sentence(told("span", "retryAt"), time));
  }
  parts.push(...more);
  if (problem.request) parts.push(reference(problem.request, problem.code));
  tell(place, ...parts);
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
    [model, settings] = await Promise.all([findModel(entered), findSettings()]);
    key = entered;
    begin();
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
  if (key) begin();
  key = model = memory = null;
  keyField.value = "";
  keyField.removeAttribute("aria-invalid");
  tell(byId("sign-in-alert"));
  show(false);
}

function show(signedIn) {
  entrance.hidden = signedIn;
  for (const id of ["chat", "model", "new", "sign-out"]) byId(id).hidden = !signedIn;
}

function showModel({ name, digest, proven, demo }) {
  byId("model-name").textContent = name;
  tell(byId("model-digest"), short(digest));
  tell(byId("model-verdict"), verdict(proven, demo));
  const proof = demo ? "demoExplained" : "provenExplained";
  const explained = told("span", proven ? proof : "unprovenExplained");
  tell(byId("model-explained"), explained);
  byId("model").classList.toggle("unproven", !proven);
}

// --- conversation ---

/** Begin a conversation: drop the one before and what is being answered. */
function begin() {
  running?.abort();
  finish();
  memory = new Memory(model.window, settings);
  asked = 0;
  question.value = "";
  talk.style.minHeight = "";
  byId("empty").hidden = false;
  tell(byId("chat-alert"));
  for (const place of [log, growing]) place.replaceChildren();
  showMemory();
}

/** Whether something would be lost. */
function isStarted() {
  return Boolean(running || memory?.turns.length || question.value.trim());
}

/** Ask once before a conversation is dropped; an empty one is none. */
async function mayDrop() {
  if (!isStarted()) return true;
  drop.returnValue = "";
  drop.showModal();
  await new Promise((closed) => drop.addEventListener("close", closed, { once: true }));
  return drop.returnValue === "discard";
}

async function send() {
  const wanted = question.value.trim();
  if (running || !wanted) return;
  const mine = new AbortController();
  running = mine;
  question.value = "";
  question.focus({ preventScroll: true });
  tell(byId("chat-alert"));
  byId("empty").hidden = true;
  const bubble = questionElement(++asked, wanted);
  log.append(bubble);
  beginAnswer();
  showAtTop(bubble);

  const { first } = memory;
  let answer = null;
  let usage = null;
  let problem = null;
  try {
    const found = await askWithin(wanted, bubble, mine);
    if (running !== mine) return; // already thrown away
    model = { ...model, ...found };
    showModel(model);
    for await (const piece of found.pieces) {
      if (running !== mine) return;
      if (piece.usage) usage = piece.usage;
      else {
        answer ??= showAnswer();
        answer.take(piece);
      }
    }
    if (!answer) problem = new Problem("failed", { request: found.request });
  } catch (error) {
    problem = error;
  }
  answer?.end();
  if (running !== mine) return; // signed out, or a new conversation began
  finish();

  if (mine.signal.aborted) problem = new Problem("stopped");
  else if (problem && !(problem instanceof Problem)) throw problem;
  if (answer) {
    memory.add({ question: wanted, answer: answer.text, bubble }, usage);
    showMemory();
    if (problem) answer.note(problem.kind);
    log.append(answer.element); // now whole: this is what a screen reader says
    return;
  }
  memory.first = first;
  takeBack(bubble, wanted, mine.signal.aborted ? new Problem("stoppedEmpty") : problem);
}

/**
 * Ask with as much of the conversation as fits; where it was still too much, with ever fewer turns:
 * so the number of requests is bounded by the logarithm of their number. A question that is alone
 * gets what room its own length leaves for an answer.
 */
async function askWithin(wanted, bubble, { signal }) {
  memory.makeRoom(wanted);
  let limit = { max_tokens: memory.answerTokens };
  for (let count = 1; ; count *= 2) {
    showForgotten(bubble);
    const body = { ...memory.sampling, ...limit, model: model.name, messages: memory.messages(wanted) };
    try {
      return await ask(key, body, signal);
    } catch (error) {
      if (!TOO_MUCH.includes(error.kind)) throw error;
      if (memory.canShrink) memory.shrink(count);
      else if (limit.max_tokens && error.kind === "tooLong") limit = { max_tokens: undefined };
      else throw error;
    }
  }
}

/** Mark where the model's memory begins: at the oldest turn that is sent, or at the question. */
function showForgotten(bubble) {
  const begin = memory.first ? (memory.turns[memory.first]?.bubble ?? bubble) : null;
  const mark = log.querySelector(".forgotten");
  if (begin && mark?.nextElementSibling === begin) return; // said already
  mark?.remove();
  begin?.before(told("p", "memoryBegins", "note forgotten"));
}

function showMemory() {
  const { fill } = memory;
  byId("memory").hidden = !fill;
  byId("fill").value = fill ?? 0;
  byId("fill-percent").textContent = `${Math.round((fill ?? 0) * 100)} %`;
}

/** Nothing was answered: the question goes back to where it was typed. */
function takeBack(bubble, wanted, problem) {
  bubble.remove();
  asked--;
  talk.style.minHeight = "";
  showForgotten();
  byId("empty").hidden = memory.turns.length > 0;
  const kept = !question.value.trim(); // who has typed on meanwhile keeps that
  if (kept) question.value = wanted;
  explain(byId("chat-alert"), problem, ...(kept ? [told("span", "questionKept")] : []));
  composer.scrollIntoView({ block: "nearest" });
}

function beginAnswer() {
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

function showAnswer() {
  const answer = new Answer(asked, model);
  growing.append(answer.element);
  return answer;
}

/** Bring a question to the top, with room below it in which its answer grows; nothing moves then. */
function showAtTop(bubble) {
  const above = Number.parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) || 0;
  const room = innerHeight - above - composer.offsetHeight - GAP;
  const offset = bubble.getBoundingClientRect().top - talk.getBoundingClientRect().top;
  talk.style.minHeight = `${offset + Math.max(room, 0)}px`;
  bubble.scrollIntoView({ block: "start" });
  const said = bubble.querySelector(".text");
  if (said.scrollHeight > said.clientHeight) said.tabIndex = 0; // so that the keyboard can scroll it
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
  if (event.key === "Escape" && !event.isComposing && !drop.open) running?.abort();
});
byId("new").addEventListener("click", async () => {
  if (!(await mayDrop())) return;
  begin();
  question.focus();
});
byId("sign-out").addEventListener("click", async () => {
  if (!(await mayDrop())) return;
  signOut();
  keyField.focus();
});
byId("keep").addEventListener("click", () => drop.close());
byId("discard").addEventListener("click", () => drop.close("discard"));
addEventListener("beforeunload", (event) => {
  if (isStarted()) event.preventDefault();
});
// A browser may keep a left page to show it again: without its key.
addEventListener("pagehide", signOut);

const choice = byId("language");
for (const [tag, name] of Object.entries(names)) {
  const option = plain("option", name);
  option.value = option.lang = tag;
  choice.append(option);
}
choice.value = spoken();
choice.addEventListener("change", () => speak(choice.value));
speak(spoken());
page.hidden = false;
keyField.focus();
