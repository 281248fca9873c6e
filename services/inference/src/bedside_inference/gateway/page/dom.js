// How the page speaks: elements that hold text and nothing else, in the chosen language.

import { texts } from "./texts.js";

let language = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in texts) ?? "en";

export const byId = (id) => document.getElementById(id);

/** The language of the page. */
export function spoken() {
  return language;
}

/** A sentence of the catalogue as it stands now. */
export function text(name) {
  return texts[language][name];
}

/** An element that shows a text of the catalogue and follows the language. */
export function told(tag, name, className = "") {
  const made = plain(tag, text(name), className);
  made.dataset.text = name;
  return made;
}

/** An element that shows what was said as it was said. */
export function plain(tag, said, className = "") {
  const made = document.createElement(tag);
  made.textContent = said;
  made.className = className;
  return made;
}

/** Give an element a name of the catalogue that only screen readers say. */
export function label(element, name) {
  element.dataset.label = name;
  element.setAttribute("aria-label", text(name));
}

export function speak(chosen) {
  language = chosen;
  document.documentElement.lang = chosen;
  for (const found of document.querySelectorAll("[data-text]")) {
    found.textContent = text(found.dataset.text);
  }
  for (const found of document.querySelectorAll("[data-label]")) label(found, found.dataset.label);
  for (const found of document.querySelectorAll("time")) found.textContent = clock(found.dateTime);
}

export function clock(moment, style = { timeStyle: "medium" }) {
  return new Intl.DateTimeFormat(language, style).format(new Date(moment));
}

/** Fill a status or an alert; without parts, empty it. */
export function tell(place, ...parts) {
  place.replaceChildren(...parts);
}

export function sentence(...parts) {
  const made = document.createElement("span");
  made.append(...parts.flatMap((part) => [part, " "]));
  return made;
}

/** The gateway's id of a request, which its IT can find again, and the code of a refusal. */
export function reference(request, code = null) {
  const made = sentence(told("span", "reference"), plain("code", request));
  if (code) made.append(plain("code", code));
  made.className = "reference";
  return made;
}
