// The `openai` npm package as it is, with its own retries.
import OpenAI from "openai";

import { assert, key, model, run, url } from "./scenarios.mjs";

await run({
  async oneCall() {
    const client = new OpenAI({ baseURL: url, apiKey: key });
    assert.equal(client.maxRetries, 2);
    const messages = [{ role: "user", content: "a" }];
    const error = await client.chat.completions.create({ model, messages }).catch((e) => e);
    assert.ok(error.status >= 500);
    assert.equal(error.headers.get("x-should-retry"), "false");
  },
});
