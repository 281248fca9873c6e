// What of a conversation the model is given: as many of the newest turns as its window takes.
//
// The cost of a turn is what the engine said that it used; only the new question is estimated. Where
// the estimate is too low the gateway refuses, and the page asks again with fewer turns.

const TOKENS_PER_CHARACTER = 0.4; // much for a large vocabulary, little for a small English one
const TOKENS_PER_MESSAGE = 16; // the chat template's

export class Memory {
  turns = []; // { question, answer, tokens, ...whatever the page adds }
  first = 0; // the oldest that the model still gets

  /** `window`: tokens of prompt and answer, null if unknown; `settings`: the house's. */
  constructor(window, { system_prompt: system, ...sampling }) {
    Object.assign(this, { window, system, sampling });
  }

  /** Tokens that an answer may have: never more than half of the window. */
  get answerTokens() {
    const { max_tokens: wanted } = this.sampling;
    return this.window ? Math.min(wanted, Math.floor(this.window / 2)) : wanted;
  }

  /** Share of the window that is full, 0 to 1; null if that is unknown. */
  get fill() {
    return this.window ? Math.min(this.#used() / this.window, 1) : null;
  }

  /** Whether there is an older turn that could be left out. */
  get canShrink() {
    return this.first < this.turns.length;
  }

  /** Leave out turns, the oldest first, until the question and its answer will probably fit. */
  makeRoom(question) {
    if (!this.window) return;
    const needed = estimate(question) + this.answerTokens;
    while (this.canShrink && this.#used() + needed > this.window) this.first++;
  }

  /** Leave out so many more. */
  shrink(count) {
    this.first = Math.min(this.first + count, this.turns.length);
  }

  /** What the next request says, for a question. */
  messages(question) {
    const remembered = this.turns.slice(this.first).flatMap((turn) => [
      { role: "user", content: turn.question },
      { role: "assistant", content: turn.answer },
    ]);
    const system = this.system ? [{ role: "system", content: this.system }] : [];
    return [...system, ...remembered, { role: "user", content: question }];
  }

  /** Add a turn; `usage`, if the engine told it, is of all that was sent for it. */
  add(turn, usage) {
    const reckoned = estimate(turn.question) + estimate(turn.answer);
    const tokens = usage ? usage.prompt_tokens + usage.completion_tokens - this.#used() : reckoned;
    this.turns.push({ ...turn, tokens: Math.max(tokens, 1) });
  }

  #used() {
    return this.turns.slice(this.first).reduce((sum, { tokens }) => sum + tokens, 0);
  }
}

function estimate(text) {
  return Math.ceil(text.length * TOKENS_PER_CHARACTER) + TOKENS_PER_MESSAGE;
}
