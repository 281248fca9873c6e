// The `openai` npm package.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { PARAMETERS, assert, key, model, run, url } from "./scenarios.mjs";

const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
const definition = { name: "dose", description: "How much", parameters: PARAMETERS };
const tools = [{ type: "function", function: definition }];
const Dose = z.object({ mg: z.number() });
const completions = client.chat.completions;

// Three questions with tools; `say` gives the answer, which goes back as it is.
async function conversation(say) {
  const messages = [{ role: "system", content: "Kurz." }];
  for (const turn of [1, 2, 3]) {
    messages.push({ role: "user", content: `Frage ${turn}` });
    const counts = [];
    let message;
    for (;;) {
      message = await say(messages);
      messages.push(message);
      if (!message.tool_calls?.length) break;
      counts.push(message.tool_calls.length);
      for (const call of message.tool_calls) {
        assert.deepEqual(JSON.parse(call.function.arguments), { mg: 5 });
        messages.push({ role: "tool", tool_call_id: call.id, content: "5 mg" });
      }
    }
    assert.deepEqual(counts, [2, 1]);
    assert.equal(message.content, `Antwort ${turn}: 5 mg.`);
  }
}

const runnable = (more) => ({
  model, tools: [{
    type: "function",
    function: { ...definition, parse: JSON.parse, function: ({ mg }) => `${mg} mg` },
  }], ...more,
});

async function runTools(more) {
  let messages = [];
  for (const turn of [1, 2, 3]) {
    messages.push({ role: "user", content: `Frage ${turn}` });
    const runner = completions.runTools(runnable({ messages, ...more }));
    assert.equal(await runner.finalContent(), `Antwort ${turn}: 5 mg.`);
    messages = runner.messages;
  }
}

async function responses(answer_of) {
  const flat = [{ type: "function", strict: true, ...definition }];
  const input = [];
  for (const turn of [1, 2, 3]) {
    input.push({ role: "user", content: `Frage ${turn}` });
    let answer;
    for (;;) {
      answer = await answer_of({ model, input, tools: flat });
      input.push(...answer.output);
      const calls = answer.output.filter((item) => item.type === "function_call");
      if (!calls.length) break;
      for (const call of calls) {
        assert.deepEqual(JSON.parse(call.arguments), { mg: 5 });
        input.push({ type: "function_call_output", call_id: call.call_id, output: "5 mg" });
      }
    }
    assert.equal(answer.output_text, `Antwort ${turn}: 5 mg.`);
  }
}

await run({
  create: () => conversation(async (messages) =>
    (await completions.create({ model, messages, tools })).choices[0].message),

  stream: () => conversation(async (messages) => {
    let said = "";
    const stream = completions.stream({ model, messages, tools });
    stream.on("content", (piece) => (said += piece));
    const message = await stream.finalMessage();
    assert.equal(said, message.content ?? "");
    return message;
  }),

  async deltasPutTogetherByHand() {
    await conversation(async (messages) => {
      const message = { role: "assistant", content: "", tool_calls: [] };
      for await (const chunk of await completions.create({ model, messages, tools, stream: true })) {
        const delta = chunk.choices[0].delta;
        message.content += delta.content ?? "";
        if (delta.reasoning) message.reasoning_content = (message.reasoning_content ?? "") + delta.reasoning;
        for (const part of delta.tool_calls ?? []) {
          const known = message.tool_calls[part.index];
          if (known) known.function.arguments += part.function.arguments;
          else message.tool_calls[part.index] = part;
        }
      }
      return message;
    });
  },

  async parse() {
    const messages = [];
    for (const turn of [1, 2, 3]) {
      messages.push({ role: "user", content: `Frage ${turn}` });
      const answer = await completions.parse({
        model, messages, response_format: zodResponseFormat(Dose, "dose"),
      });
      assert.deepEqual(answer.choices[0].message.parsed, { mg: 5 });
      messages.push(answer.choices[0].message);
    }
  },

  async parseTools() {
    const messages = [{ role: "user", content: "Frage" }];
    const asked = { model, messages, tools: [zodFunction({ name: "dose", parameters: Dose })] };
    for (const count of [2, 1]) {
      const { message } = (await completions.parse(asked)).choices[0];
      assert.equal(message.tool_calls.length, count);
      messages.push(message);
      for (const call of message.tool_calls) {
        assert.deepEqual(call.function.parsed_arguments, { mg: 5 });
        messages.push({ role: "tool", tool_call_id: call.id, content: "5 mg" });
      }
    }
    assert.equal((await completions.parse(asked)).choices[0].message.content, "Antwort 1: 5 mg.");
  },

  runTools: () => runTools({}),
  runToolsAsAStream: () => runTools({ stream: true }),
  responses: () => responses((asked) => client.responses.create(asked)),
  responsesAsAStream: () => responses((asked) => client.responses.stream(asked).finalResponse()),

  async whatAsksForNothing() {
    const messages = [{ role: "user", content: "Frage" }];
    const answer = await completions.create({
      model, messages, reasoning_effort: "low", logit_bias: null, audio: null, tools: [],
      modalities: ["text"], function_call: null,
    });
    assert.equal(answer.choices[0].message.content, "Antwort 1: 5 mg.");
  },
});
