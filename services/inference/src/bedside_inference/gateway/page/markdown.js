// Markdown of answers: blocks as a tree, and the tree as DOM nodes or as plain text.
//
// Covered: headings, paragraphs, nested lists, tables, code, block quotes, rules, strong and
// emphasised text. What is made are elements with text; a link is shown as text, HTML as it stands,
// an image is not loaded. No input throws, or takes more than linear time.
// Not covered, and shown as it stands: reference links, footnotes, HTML, mathematics.
// It deviates from CommonMark where that would take away clinical notation: "2*3*4" and "a_b_c" stay,
// "> 30" is no quote, "+ 2" no list, a list keeps the numbers that were written, a table all cells.

const MAX_DEPTH = 8; // of lists within lists; deeper ones are shown as they stand
const UNBROKEN = 20; // characters of a cell
const MAX_PADDED = 40; // characters of a cell of plain text
const LAZINESS = 32; // an open block is drawn again when it has grown by this part of its length

const FENCE = /^(\s*)(`{3,}|~{3,}(?!~))([^`]*)$/;
const LANGUAGE = /^\s*[A-Za-z][\w+#.-]*\s*$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(\S.*)$/;
const RULE = /^ {0,3}(?:-{3,}|\*{3,}|_{3,})[ \t]*$/;
const QUOTE = /^ {0,3}> ?(?![\s\d.,=<>≥≤~≈±+−-])(.*)$/;
const QUOTED = /^ {0,3}> ?(?![\d.,=<>≥≤~≈±+−-])(.*)$/;
const ITEM = /^(\s*)([-*]|\d{1,9}[.)])([ \t]+)(\S.*)$/;
const WORD = /[\p{L}\p{N}]/u;
const MONTH =
  /^(?:Jan(?:uar|\.)|Feb(?:ruar|\.)|März|Apr(?:il|\.)|Mai|Juni|Juli|Aug(?:ust|\.)|Sep(?:tember|t?\.)|Okt(?:ober|\.)|Nov(?:ember|\.)|Dez(?:ember|\.))(?!\p{L})/u;
const DELIMITER = /^:?-+:?$/;
const UNDECIDED = /^\s*(?:\d{1,9}[.)]?(?![\p{L}\p{N}]))?[^\p{L}\p{N}]*$/u; // it may become any block

// --- blocks ---

/** The blocks of a text; `done` says that no more of it will come. */
export function parse(text, done = true) {
  return parseLines(text.split(/\r\n|\n|\r/), done, 0);
}

function parseLines(lines, done, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (blank(lines[at])) at++;
    else {
      const [block, next] = blockAt(lines, at, done, depth);
      blocks.push({ ...block, from: at });
      at = next;
    }
  }
  return blocks;
}

function blockAt(lines, at, done, depth) {
  const line = lines[at];
  if (FENCE.test(line)) return fenced(lines, at);
  const heading = HEADING.exec(line);
  if (heading) return [{ type: "heading", level: heading[1].length, text: heading[2].trimEnd() }, at + 1];
  if (RULE.test(line)) return [{ type: "rule" }, at + 1];
  if (isTable(lines, at, done)) return table(lines, at, done);
  if (QUOTE.test(line)) return quote(lines, at, done);
  if (item(line) && depth < MAX_DEPTH) return list(lines, at, done, depth);
  return paragraph(lines, at, done);
}

function paragraph(lines, at, done) {
  let end = at + 1;
  while (end < lines.length && !blank(lines[end]) && !interrupts(lines, end, done)) end++;
  const text = lines.slice(at, end).map((line) => line.trimEnd()).join("\n");
  return [{ type: "paragraph", text }, end];
}

/** Whether a line ends a paragraph; a number does only where a list begins. */
function interrupts(lines, at, done) {
  const line = lines[at];
  const found = item(line);
  return (
    (found && !(found.number > 1)) ||
    FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) ||
    isTable(lines, at, done)
  );
}

function fenced(lines, at) {
  const [, indent, fence, info] = FENCE.exec(lines[at]);
  const code = info.trim() && !LANGUAGE.test(info) ? [info.trim()] : [];
  let end = at + 1;
  while (end < lines.length && !closes(lines[end].trim(), fence)) {
    code.push(outdent(lines[end], indent.length));
    end++;
  }
  return [{ type: "code", text: code.join("\n") }, end + 1];
}

function closes(line, fence) {
  return line.length >= fence.length && line === fence[0].repeat(line.length);
}

function quote(lines, at, done) {
  const inner = [];
  let end = at;
  for (let found; end < lines.length && (found = QUOTED.exec(lines[end])); end++) inner.push(found[1]);
  return [{ type: "quote", blocks: parseLines(inner, done, MAX_DEPTH) }, end];
}

// --- lists ---

function item(line) {
  const found = ITEM.exec(line);
  if (!found) return null;
  const [, indent, mark, gap, rest] = found;
  const number = mark.length > 1 ? Number.parseInt(mark, 10) : null;
  if (number === null ? !WORD.test(rest) : MONTH.test(rest)) return null;
  const kind = number === null ? mark : "1";
  const width = indent.length + mark.length + (gap.length > 4 ? 1 : gap.length);
  return { indent: indent.length, kind, number, width, rest };
}

function list(lines, at, done, depth) {
  const { indent, kind } = item(lines[at]);
  const items = [];
  let width = 0;
  let end = at;
  for (let next = at; next < lines.length; next = beyond(lines, end)) {
    const line = lines[next];
    const found = item(line);
    const sibling = found && found.indent <= indent + 1;
    if (sibling ? found.kind !== kind : !continues(lines, next, next > end, indent, done)) break;
    if (sibling) {
      width = found.width;
      items.push({ number: found.number, lines: [found.rest] });
    } else {
      const own = items.at(-1).lines;
      for (; end < next; end++) own.push("");
      own.push(outdent(line, width));
    }
    end = next + 1;
  }
  if (done && kind === "*" && items.length === 1 && depth === 0) {
    // A single asterisk is rather the mark of a footnote.
    return [{ type: "paragraph", text: lines.slice(at, end).join("\n").trimEnd() }, end];
  }
  const parts = items.map(({ number, lines: own }) => ({
    number,
    blocks: parseLines(own, done, depth + 1),
  }));
  return [{ type: "list", kind, items: parts }, end];
}

/** Whether a line belongs to the item above it: it is indented, or goes on with its paragraph. */
function continues(lines, at, afterBlank, indent, done) {
  return margin(lines[at]) >= indent + 2 || (!afterBlank && !interrupts(lines, at, done));
}

function beyond(lines, at) {
  while (at < lines.length && blank(lines[at])) at++;
  return at;
}

function margin(line) {
  return line.length - line.trimStart().length;
}

function outdent(line, width) {
  return line.slice(Math.min(margin(line), width));
}

function blank(line) {
  return !line.trim();
}

// --- tables ---

function isTable(lines, at, done) {
  if (!lines[at].includes("|")) return false;
  const next = lines[at + 1];
  if (next !== undefined && isDelimiter(next)) return true;
  // While it grows, a line of cells is the head of a table, until the next one shows that it is not.
  return !done && lines[at].trimStart().startsWith("|") && at + 2 >= lines.length && /^[\s|:-]*$/.test(next ?? "");
}

function isDelimiter(line) {
  return line.includes("|") && cells(line).every((cell) => DELIMITER.test(cell));
}

function table(lines, at, done) {
  const head = cells(lines[at]);
  const next = lines[at + 1];
  const sides = next && isDelimiter(next) ? cells(next).map(side) : [];
  const rows = [];
  let end = Math.min(at + 2, lines.length);
  for (; end < lines.length && lines[end].includes("|"); end++) rows.push(cells(lines[end]));
  const tentative = !done && at + 2 >= lines.length;
  return [{ type: "table", head, sides, rows, tentative }, end];
}

function side(cell) {
  if (!cell.endsWith(":")) return "";
  return cell.startsWith(":") ? "center" : "right";
}

/** What stands between the bars of a line; a bar may be escaped. */
function cells(line) {
  const found = line.trim().replace(/^\|/, "").match(/(?:\\.|[^|\\]|\\$)*(?:\||$)/g);
  if (found.at(-1) === "") found.pop();
  return found.map((cell) => cell.replace(/\|$/, (bar, at) => (cell[at - 1] === "\\" ? bar : "")).trim());
}

// --- within a line ---

const SPECIAL = /[\\`*_[!]/g;
const ESCAPABLE = "*_`|#~<>+.!-";
const LINK =
  /!?\[([^[\]\n]{1,300})\]\(((?:https?:|mailto:|tel:|javascript:|data:|www\.|[/#.])[^()\s]{0,1000})\)/iy;
const DIGIT = /\p{N}/u;
const NOT_AFTER_OPENING = /[\s)\]}.,;:!?%…]/;
const NOT_BEFORE_CLOSING = /[\s([{]/;
const PUNCTUATION = /\p{P}/u;
const KINDS = { "*": "em", _: "em", "**": "strong", "***": "both" };

/** Strings, and `{ type, text }` or `{ type, parts }` where they are marked. */
export function inline(text, done = true) {
  const out = [];
  const open = []; // { mark, at }: at most one for each mark
  const ticks = pairs(text);
  const say = (string) => {
    if (typeof out.at(-1) === "string" && !open.some(({ at }) => at === out.length - 1)) out.push(out.pop() + string);
    else if (string) out.push(string);
  };
  const wrap = (index) => {
    const { mark, at } = open[index];
    open.length = index;
    out.push({ type: KINDS[mark], parts: out.splice(at).slice(1) });
  };
  let at = 0;
  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const next = SPECIAL.exec(text)?.index ?? text.length;
    say(text.slice(at, next));
    at = next;
    const sign = text[at];
    if (sign === "\\") {
      const escaped = text[at + 1] ?? "";
      if (escaped === "\n") say("\n");
      else say(escaped && ESCAPABLE.includes(escaped) ? escaped : sign + escaped);
      at += 1 + escaped.length;
    } else if (sign === "`") {
      const run = runAt(text, at);
      const end = ticks.get(at);
      if (end === undefined || WORD.test(text[at - 1] ?? "")) {
        say(run);
        at += run.length;
      } else {
        out.push({ type: "code", text: unpad(text.slice(at + run.length, end)) });
        at = end + run.length;
      }
    } else if (sign === "[" || sign === "!") {
      LINK.lastIndex = at;
      const link = LINK.exec(text);
      if (link) {
        for (const part of inline(link[1])) typeof part === "string" ? say(part) : out.push(part);
        say(` (${link[2]})`);
        at += link[0].length;
      } else {
        say(sign);
        at++;
      }
    } else if (sign !== undefined) {
      const run = runAt(text, at);
      mark(run, text[at - 1] ?? " ", text[at + run.length] ?? " ");
      at += run.length;
    }
  }
  if (!done) close("**"); // its end is still to come
  return out;

  function close(wanted) {
    const index = open.findIndex((opener) => opener.mark === wanted);
    if (index >= 0) wrap(index);
    return index >= 0;
  }

  function mark(run, before, after) {
    if (mayClose(run, before, after)) {
      if (close(run)) return;
      const both = ["*", "**"].map((part) => open.findIndex((opener) => opener.mark === part));
      if (run === "***" && Math.min(...both) >= 0) {
        wrap(Math.max(...both));
        wrap(Math.min(...both));
        return;
      }
    }
    if (mayOpen(run, before, after)) {
      const older = open.findIndex((opener) => opener.mark === run);
      if (older >= 0) open.length = older; // that one stays as it was written
      open.push({ mark: run, at: out.length });
      out.push(run);
    } else say(run);
  }
}

function mayOpen(run, before, after) {
  if (!(run in KINDS) || WORD.test(before) || NOT_AFTER_OPENING.test(after)) return false;
  return run !== "_" || WORD.test(after);
}

function mayClose(run, before, after) {
  if (!(run in KINDS) || NOT_BEFORE_CLOSING.test(before)) return false;
  return !WORD.test(after) || (run === "**" && PUNCTUATION.test(before) && !DIGIT.test(after));
}

function runAt(text, at) {
  let end = at + 1;
  while (text[end] === text[at]) end++;
  return text.slice(at, end);
}

/** Where each run of backticks that begins code finds the next one of its length. */
function pairs(text) {
  const found = new Map();
  const last = new Map(); // by length
  for (const { 0: run, index } of [...text.matchAll(/`+/g)].reverse()) {
    if (last.has(run.length)) found.set(index, last.get(run.length));
    last.set(run.length, index);
  }
  return found;
}

function unpad(code) {
  return /^ .*\S.* $/s.test(code) ? code.slice(1, -1) : code;
}

// --- as DOM nodes ---

/** An answer in `place` while it grows: what is whole stays, only the last block is drawn again. */
export class Growing {
  source = "";
  #pending = ""; // the source from the last block on
  #drawn = 0; // how much of that is shown
  #open = []; // its nodes
  #levels = []; // of the headings so far

  /** `label(element, name)` names what can be scrolled. */
  constructor(place, label) {
    Object.assign(this, { place, label });
  }

  write(text) {
    this.source += text;
    this.#pending += text;
    if (this.#pending.length - this.#drawn >= this.#pending.length / LAZINESS) this.#draw(false);
  }

  /** No more will come. */
  end() {
    this.#draw(true);
  }

  #draw(done) {
    let lines = this.#pending.split(/\r\n|\n|\r(?!$)/);
    let blocks = this.#parse(lines, done);
    const kept = settled(blocks, lines.length, done);
    for (const node of this.#open) node.remove();
    if (kept > 0) {
      const { from } = blocks[kept];
      this.#append(parseLines(lines.slice(0, from), true, 0), true, this.#levels);
      lines = lines.slice(from);
      this.#pending = lines.join("\n");
      blocks = this.#parse(lines, done);
    }
    this.#drawn = this.#pending.length;
    this.#open = this.#append(blocks, done, [...this.#levels]);
  }

  #parse(lines, done) {
    const undecided = !done && UNDECIDED.test(lines.at(-1));
    return parseLines(undecided ? lines.slice(0, -1) : lines, done, 0);
  }

  #append(blocks, done, levels) {
    const nodes = render(blocks, done, this.label, levels);
    for (const node of nodes) this.place.append(node);
    return nodes;
  }
}

/** How many blocks nothing can change any more: all before one whose beginning is certain. */
function settled(blocks, numLines, done) {
  if (done || blocks.length < 2) return 0;
  const last = blocks.at(-1);
  return blocks.length - (last.from === numLines - 1 || last.tentative ? 2 : 1);
}

/** The elements of blocks; `levels` are the headings that they stand under. */
export function render(blocks, done, label, levels = []) {
  const inside = (inner) => render(inner, done, label, levels);
  const spans = (text) => spanned(inline(text, done));
  const makers = {
    paragraph: ({ text }) => made("p", ...spans(text)),
    heading: ({ level, text }) => made(`h${below(level, levels)}`, ...spans(text)),
    code: ({ text }) => scrolling(made("pre", made("code", text)), "codeBlock", label),
    rule: () => made("hr"),
    quote: ({ blocks: inner }) => made("blockquote", ...inside(inner)),
    list: (block) => listed(block, inside),
    table: (block) => scrolling(made("div", tabled(block, spans)), "tableBlock", label),
  };
  return blocks.map((block) => makers[block.type](block));
}

/** The rank of a heading below the answer's own, which is 3: none is skipped, whatever was written. */
function below(level, levels) {
  while (levels.length && levels.at(-1) >= level) levels.pop();
  levels.push(level);
  return Math.min(3 + levels.length, 6);
}

function listed({ kind, items }, inside) {
  const found = made(kind === "1" ? "ol" : "ul");
  if (kind === "-") found.className = "dashes"; // "- 5" may be a number
  let expected = items[0].number;
  if (kind === "1" && expected !== 1) found.start = expected;
  for (const { number, blocks } of items) {
    const entry = made("li", ...inside(blocks));
    if (number !== expected) entry.value = number;
    expected = number === null ? null : number + 1;
    found.append(entry);
  }
  return found;
}

/** A row that is longer than the head keeps all its cells. */
function tabled({ head, sides, rows }, spans) {
  const row = (name) => (texts) => {
    const found = texts.map((text, at) => {
      const cell = made(name, ...spans(lineBreaks(text)));
      if (sides[at]) cell.classList.add(sides[at]);
      if (text.length <= UNBROKEN) cell.classList.add("unbroken"); // "2,5 mg 1-0-0" stays on its line
      if (name === "th") cell.scope = "col";
      return cell;
    });
    return made("tr", ...found);
  };
  return made("table", made("thead", row("th")(head)), made("tbody", ...rows.map(row("td"))));
}

/** In a cell, where Markdown has no other way, models write HTML's. */
function lineBreaks(cell) {
  return cell.replace(/<br ?\/?>/gi, "\n");
}

function scrolling(element, name, label) {
  element.classList.add("scrolling");
  element.tabIndex = 0;
  element.setAttribute("role", "group");
  label(element, name);
  return element;
}

function spanned(parts) {
  return parts.map((part) => {
    if (typeof part === "string") return part;
    if (part.type === "code") return made("code", part.text);
    const inner = spanned(part.parts);
    return part.type === "both" ? made("strong", made("em", ...inner)) : made(part.type, ...inner);
  });
}

function made(name, ...children) {
  const element = document.createElement(name);
  for (const child of children) element.append(child); // a string becomes a text node
  return element;
}

// --- as plain text ---

/** The text that a person would have typed: lists with marks, tables in columns. */
export function plainText(text) {
  return blocksAsText(parse(text));
}

function blocksAsText(blocks) {
  return blocks.map((block) => asText[block.type](block)).join("\n\n");
}

const asText = {
  paragraph: ({ text }) => spansAsText(inline(text)),
  heading: ({ text }) => spansAsText(inline(text)),
  code: ({ text }) => text,
  rule: () => "---",
  quote: ({ blocks }) => blocksAsText(blocks).replace(/^/gm, "> "),
  list: ({ kind, items }) => items.map((entry) => itemAsText(kind, entry)).join("\n"),
  table: ({ head, rows }) => tableAsText(head, rows),
};

function itemAsText(kind, { number, blocks }) {
  const sign = kind === "1" ? `${number}. ` : "- ";
  const text = blocks.map((block) => asText[block.type](block)).join("\n");
  return sign + text.replaceAll("\n", `\n${" ".repeat(sign.length)}`);
}

function tableAsText(head, rows) {
  const texts = [head, ...rows].map((row) =>
    row.map((cell) => spansAsText(inline(lineBreaks(cell))).replaceAll("\n", "; ")),
  );
  const widths = [];
  for (const row of texts) {
    for (const [at, cell] of row.entries()) {
      widths[at] = Math.min(Math.max(widths[at] ?? 1, cell.length), MAX_PADDED);
    }
  }
  const lines = texts.map((row) => row.map((cell, at) => cell.padEnd(widths[at])).join(" | ").trimEnd());
  const under = widths.slice(0, head.length).map((width) => "-".repeat(width));
  return [lines[0], under.join("-|-"), ...lines.slice(1)].join("\n");
}

function spansAsText(parts) {
  return parts.map((part) => (typeof part === "string" ? part : part.text ?? spansAsText(part.parts))).join("");
}
