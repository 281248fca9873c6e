// The `openai` npm package against a gateway: node client.mjs SCENARIO. One line of JSON at the end.
import { createRequire } from "node:module";

const OpenAI = createRequire(process.env.MODULES)("openai");
const client = (options = {}) =>
  new OpenAI({ baseURL: process.env.URL, apiKey: process.env.KEY, maxRetries: 0, ...options });
const asked = { model: "test", messages: [{ role: "user", content: "Hallo" }] };
const parameters = { type: "object", properties: { mg: { type: "number" } } };
const tools = [{ type: "function", function: { name: "dose", parameters } }];

const failure = async (options, request = asked) => {
  try {
    await client(options).chat.completions.create(request);
    return null;
  } catch (error) {
    return { kind: error.constructor.name, status: error.status, code: error.code,
             after: error.headers?.get("retry-after") };
  }
};

const scenarios = {
  async models() {
    const names = [];
    for await (const model of client().models.list()) names.push(model.id);
    return names;
  },
  async chat() {
    const answer = await client().chat.completions.create(asked);
    return [answer.choices[0].message.content, answer.usage.total_tokens];
  },
  async stream() {
    const request = { ...asked, stream: true, stream_options: { include_usage: true } };
    let text = "", usage = null;
    for await (const chunk of await client().chat.completions.create(request)) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    return [text, usage.total_tokens];
  },
  async tools() {
    const first = await client().chat.completions.create({ ...asked, tools });
    const said = first.choices[0].message;
    const result = { role: "tool", tool_call_id: said.tool_calls[0].id, content: "5 mg" };
    const messages = [...asked.messages, said, result];
    const second = await client().chat.completions.create({ ...asked, messages, tools });
    return [said.tool_calls[0].function, second.choices[0].message.content];
  },
  async schema() {
    const json_schema = { name: "dose", schema: parameters, strict: true };
    const response_format = { type: "json_schema", json_schema };
    const answer = await client().chat.completions.parse({ ...asked, response_format });
    return answer.choices[0].message.parsed;
  },
  async responses() {
    const request = { model: "test", input: "Hallo" };
    const whole = await client().responses.create(request);
    let text = "", total = 0;
    for await (const event of await client().responses.create({ ...request, stream: true })) {
      if (event.type === "response.output_text.delta") text += event.delta;
      if (event.type === "response.completed") total = event.response.usage.total_tokens;
    }
    return [whole.output_text, text, total];
  },
  async embeddings() {
    const answer = await client().embeddings.create({ model: "test", input: ["a"] });
    return answer.data[0].embedding;
  },
  async errors() {
    return [await failure({ apiKey: "bsk-x" }), await failure({}, { ...asked, model: "other" }),
            await failure({}, { ...asked, n: 0 })];
  },
  failure: () => failure({}),
  async limit() {
    for (let count = 0; count < 300; count++) {
      const found = await failure({});
      // With a shorter wait, the next request might come late enough not to be refused.
      if (found?.after !== "2") continue;
      const begun = performance.now();
      await client({ maxRetries: 1 }).chat.completions.create(asked);
      return [found, performance.now() - begun];
    }
  },
  async abort() {
    const stream = await client().chat.completions.create({ ...asked, stream: true });
    for await (const chunk of stream) stream.controller.abort();
    return "left";
  },
};

console.log(JSON.stringify(await scenarios[process.argv[2]]()));
