// Questions and answers as they stand in the conversation.

import { copy } from "./clipboard.js";
import { clock, label, plain, reference, sentence, tell, text, told } from "./dom.js";
import { languageOf } from "./languages.js";
import { Growing, plainText } from "./markdown.js";

const SHORT_DIGEST = 12;

export function short(digest) {
  return digest ? plain("span", digest.slice(0, SHORT_DIGEST)) : told("span", "unknown");
}

/** What was shown of the model, which is never an approval. */
export function verdict(proven, demo) {
  if (proven && demo) return told("span", "demo", "badge warn");
  return proven ? told("span", "proven", "badge") : told("span", "unproven", "badge warn");
}

/** A question, the `number`-th of the conversation. */
export function questionElement(number, asked) {
  const made = article("question", "you", number);
  made.append(plain("p", asked, "text"));
  return made;
}

/** An answer that grows: its origin, its text, and what stands behind it. */
export class Answer {
  #notes = [];
  #when = new Date();

  constructor(number, { name, digest, proven, demo, request }) {
    this.origin = { name, digest };
    this.element = article("card answer", "answer", number);
    this.said = plain("div", "", "text markdown");
    this.growing = new Growing(this.said, label);
    this.element.append(this.#originElement(proven, demo));
    if (!proven) this.element.append(told("p", "unprovenExplained", "warning"));
    this.element.append(this.said, this.#foot(request));
  }

  get text() {
    return this.growing.source;
  }

  take(piece) {
    if (piece.truncated) this.note("truncated");
    else if (piece.text) this.growing.write(piece.text);
  }

  /** What its reader must know of it. */
  note(name) {
    this.#notes.push(name);
    this.said.after(told("p", name, "note"));
  }

  end() {
    this.growing.end();
    const language = languageOf(this.text);
    if (language) this.said.lang = language;
  }

  /** The answer as plain text, and where it comes from. */
  get copied() {
    const { name, digest } = this.origin;
    const version = digest ? digest.slice(0, SHORT_DIGEST) : text("unknown");
    const model = `${text("model")} ${name}, ${text("digest")} ${version}`;
    const when = clock(this.#when, { dateStyle: "medium", timeStyle: "short" });
    const provenance = `[${text("generated")}: ${model}, ${when}. ${text("check")}]`;
    return [plainText(this.text), ...this.#notes.map(text), provenance].join("\n\n");
  }

  #originElement(proven, demo) {
    const origin = plain("p", "", "origin");
    const fingerprint = plain("code", "");
    fingerprint.append(short(this.origin.digest));
    origin.append(told("span", "generated", "badge ai"), " ", verdict(proven, demo), " ");
    if (proven) origin.append(told("span", "noApproval"), " ");
    origin.append(sentence(plain("strong", this.origin.name), told("span", "digest"), fingerprint));
    return origin;
  }

  #foot(request) {
    const foot = document.createElement("footer");
    const button = told("button", "copy", "quiet copy");
    button.type = "button";
    const status = plain("span", "", "help");
    status.setAttribute("role", "status");
    button.addEventListener("click", async () => {
      tell(status);
      const done = await copy(this.copied, foot);
      tell(status, told("span", done ? "copied" : "notCopied"));
    });
    const actions = plain("p", "", "copying");
    actions.append(button, status);
    foot.append(told("p", "check", "check"), actions);
    if (request) foot.append(reference(request));
    return foot;
  }
}

/** An article that its heading names, "Answer 2". */
function article(className, name, number) {
  const made = plain("article", "", className);
  const heading = plain("h3", "");
  heading.id = `${name}-${number}`;
  heading.append(told("span", name), " ", plain("span", String(number), "for-readers"));
  made.setAttribute("aria-labelledby", heading.id);
  made.append(heading);
  return made;
}
