// The gateway's API as the page uses it: the model's name, and an answer piece by piece.

const BY_CODE = {
  context_length_exceeded: "tooLong",
  body_too_large: "tooLong",
  body_too_complex: "tooLong",
  too_many_tokens: "tooManyTokens",
  engine_refused: "engineRefused",
  invalid_token: "expired",
  model_not_found: "modelGone",
  rate_limit_exceeded: "tooMany",
  caller_queue_full: "waiting",
  class_queue_full: "overloaded",
  overloaded: "overloaded",
  queue_timeout: "overloaded",
  engine_busy: "overloaded",
  gateway_full: "overloaded",
  engine_timeout: "timeout",
  engine_draining: "loading",
  model_loading: "loading",
  model_stalled: "loading",
  model_stopped: "withdrawn",
  model_withdrawn: "withdrawn",
};
const BY_STATUS = {
  400: "refused",
  401: "invalidKey",
  403: "forbidden",
  413: "tooLong",
  429: "tooMany",
  503: "unavailable",
};

const FETCHED = { cache: "no-store", credentials: "omit", redirect: "error" };

/**
 * What went wrong: a key of the texts, when to try again (a Date), the gateway's id of the request and
 * its code, where there is no text for that.
 */
export class Problem extends Error {
  constructor(kind, { retryAt = null, request = null, code = null } = {}) {
    super(kind);
    Object.assign(this, { kind, retryAt, request, code });
  }
}

/** What the house has set for this page: a system prompt, `max_tokens`, sampling. Throws a Problem. */
export async function findSettings() {
  const response = await fetch("/page/settings.json", FETCHED).catch(() => {
    throw new Problem("unreachable");
  });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** The model that this key may ask: its name, window and origin at this moment. Throws a Problem. */
export async function findModel(key) {
  const response = await call("/v1/models", key);
  const { data } = await response.json().catch(() => {
    throw new Problem("failed");
  });
  if (!data?.length) throw new Problem("forbidden");
  return { name: data[0].id, window: data[0].max_model_len ?? null, ...origin(response) };
}

/**
 * Ask with `asked`, model, messages and sampling; resolves when the answer begins to its origin and
 * its pieces, an async iterator of `{ text }`, `{ truncated: true }` and `{ usage }`. Both throw a
 * Problem, or an AbortError if `signal` says so.
 */
export async function ask(key, asked, signal) {
  const body = { ...asked, stream: true, stream_options: { include_usage: true } };
  const response = await call("/v1/chat/completions", key, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  return { ...origin(response), pieces: pieces(response.body) };
}

/** The data of each server-sent event, however the bytes are cut (WHATWG HTML, section 9.2.6). */
export async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return; // an event that nothing ended is no event
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/); // a CR at the very end may be half of CRLF
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        else if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // already broken is as good as cancelled
  }
}

async function* pieces(stream) {
  try {
    for await (const data of events(stream)) {
      if (data === "[DONE]") return;
      const { choices, error, usage } = JSON.parse(data);
      if (error) throw new Problem(BY_CODE[error.code] ?? "broken");
      const { delta, finish_reason: reason } = choices[0] ?? {}; // the usage has none
      if (delta?.content) yield { text: delta.content };
      if (reason === "length") yield { truncated: true };
      if (usage) yield { usage };
    }
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
  }
  throw new Problem("broken");
}

async function call(path, key, options = {}) {
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Problem("invalidKey"); // cannot stand in a header
  let response;
  try {
    response = await fetch(path, {
      ...FETCHED,
      ...options,
      headers: { ...options.headers, Authorization: `Bearer ${key}` },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("unreachable");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const code = await response.json().then(({ error }) => error.code, () => null);
  const kind = BY_CODE[code] ?? BY_STATUS[response.status] ?? "failed";
  const seconds = Number.parseInt(response.headers.get("Retry-After"), 10);
  const retryAt = Number.isNaN(seconds) ? null : new Date(Date.now() + seconds * 1000);
  const request = response.headers.get("X-Request-Id");
  return new Problem(kind, { retryAt, request, code: kind === "refused" ? code : null });
}

function origin(response) {
  return {
    digest: response.headers.get("X-Bedside-Model"),
    proven: response.headers.get("X-Bedside-Verdict") === "PROMOTE", // anything else is unproven
    demo: response.headers.get("X-Bedside-Scope") === "demo",
    request: response.headers.get("X-Request-Id"),
  };
}
