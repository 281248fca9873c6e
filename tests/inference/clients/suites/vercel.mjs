// Vercel's AI SDK with its provider for servers that speak OpenAI's API.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import * as ai from "ai";
import { z } from "zod";

import { assert, key, model as name, run, url } from "./scenarios.mjs";

const provider = createOpenAICompatible({
  name: "house", baseURL: url, apiKey: key, includeUsage: true, supportsStructuredOutputs: true,
});
const model = provider(name);
const Dose = z.object({ mg: z.number() });
const tools = {
  dose: ai.tool({
    description: "How much", inputSchema: Dose, execute: async ({ mg }) => `${mg} mg`,
  }),
};
const fixed = { model, maxRetries: 0 };
const steps = { tools, stopWhen: (ai.stepCountIs ?? ai.isStepCount)(5) };

const generated = async (asked) => {
  const found = await ai.generateText(asked);
  return { text: found.text, messages: found.response.messages, steps: found.steps, found };
};
const streamed = async (asked) => {
  const fail = (event) => { throw event.error; };
  const found = ai.streamText({ ...asked, onError: fail });
  let text = "";
  for await (const piece of found.textStream) text += piece;
  const response = await found.response;
  return { text, messages: response.messages, steps: await found.steps, found };
};

async function conversation(say, more = {}) {
  const messages = [];
  for (const turn of [1, 2, 3]) {
    messages.push({ role: "user", content: `Frage ${turn}` });
    const answer = await say({ ...fixed, ...steps, ...more, messages });
    assert.equal(answer.text, `Antwort ${turn}: 5 mg.`);
    assert.equal(answer.steps.length, 3);
    messages.push(...answer.messages);
  }
}

await run({
  async generateText() {
    const answer = await ai.generateText({ ...fixed, prompt: "Frage" });
    assert.equal(answer.text, "Antwort 1: 5 mg.");
    assert.equal(answer.reasoningText, "Ich denke nach.");
    assert.equal(answer.usage.totalTokens, 3);
  },
  tools: () => conversation(generated),
  toolsAsAStream: () => conversation(streamed),
  toolsWithEffort: () => conversation(generated, {
    providerOptions: { house: { reasoningEffort: "low" } },
  }),
  async structured() {
    const answer = await ai.generateText({
      ...fixed, prompt: "Frage", output: ai.Output.object({ schema: Dose }),
    });
    assert.deepEqual(answer.output, { mg: 5 });
  },
  async structuredAsAStream() {
    const found = ai.streamText({
      ...fixed, prompt: "Frage", output: ai.Output.object({ schema: Dose }),
    });
    assert.deepEqual(await found.output, { mg: 5 });
  },
  async embeddings() {
    const embedder = provider.embeddingModel ?? provider.textEmbeddingModel;
    const found = await ai.embed({ model: embedder(name), value: "a", maxRetries: 0 });
    assert.deepEqual(found.embedding, [0.5, -0.5]);
  },
});
