// How the programs beside this run: every scenario, one line of JSON each.
import assert from "node:assert/strict";

export { assert };
export const { URL: url, KEY: key } = process.env;
export const model = "test";
export const PARAMETERS = {
  type: "object", properties: { mg: { type: "number" } }, required: ["mg"], additionalProperties: false,
};

export async function run(scenarios) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    let fault = null;
    try {
      await scenario();
    } catch (error) {
      const line = /mjs:(\d+):\d+/.exec(error.stack)?.[1];
      fault = `line ${line}: ${error.constructor.name}: ${String(error.message).slice(0, 600)}`;
    }
    console.log(JSON.stringify({ name, fault }));
  }
}
