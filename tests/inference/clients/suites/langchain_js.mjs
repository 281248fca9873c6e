// LangChain's client for OpenAI in JavaScript.
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

import { PARAMETERS, assert, key, model, run, url } from "./scenarios.mjs";

const chat = (more = {}) =>
  new ChatOpenAI({ model, apiKey: key, configuration: { baseURL: url }, maxRetries: 0, ...more });
const definition = { name: "dose", description: "How much", parameters: PARAMETERS };
const Dose = z.object({ mg: z.number() });

const whole = (bound, history) => bound.invoke(history);
const pieces = async (bound, history) => {
  let found;
  for await (const chunk of await bound.stream(history)) {
    found = found === undefined ? chunk : found.concat(chunk);
  }
  return found;
};

async function conversation(say, more) {
  const bound = chat(more).bindTools([{ type: "function", function: definition }]);
  const history = [];
  for (const turn of [1, 2, 3]) {
    history.push(new HumanMessage(`Frage ${turn}`));
    const counts = [];
    let said;
    for (;;) {
      said = await say(bound, history);
      history.push(said);
      if (!said.tool_calls?.length) break;
      counts.push(said.tool_calls.length);
      for (const call of said.tool_calls) {
        assert.deepEqual([call.name, call.args], ["dose", { mg: 5 }]);
        history.push(new ToolMessage({ content: "5 mg", tool_call_id: call.id }));
      }
    }
    assert.deepEqual(counts, [2, 1]);
    assert.equal(said.text, `Antwort ${turn}: 5 mg.`);
  }
}

await run({
  tools: () => conversation(whole),
  toolsAsAStream: () => conversation(pieces),
  responses: () => conversation(whole, { useResponsesApi: true }),
  responsesAsAStream: () => conversation(pieces, { useResponsesApi: true }),
  toolsWithEffort: () => conversation(whole, { reasoning: { effort: "low" } }),
  async structured() {
    for (const method of ["jsonSchema", "functionCalling", "jsonMode"]) {
      const found = await chat().withStructuredOutput(Dose, { method }).invoke("Dosis als JSON");
      assert.deepEqual(found, { mg: 5 });
    }
  },
});
