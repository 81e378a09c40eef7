// The contract's examples are true to its schemas.
//
//   paraplanner openapi > openapi.json && node --test contract.test.mjs

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Contract } from "./validator.mjs";

const contract = new Contract(JSON.parse(await readFile(new URL("openapi.json", import.meta.url), "utf8")));

for (const { method, path, operation } of contract.operations) {
  test(`the examples of ${method.toUpperCase()} ${path} are as their schemas say`, () => {
    const wrong = [];
    const look = (place, { content = {} } = {}) => {
      for (const [kind, { schema, example }] of Object.entries(content)) {
        if (schema && example !== undefined && kind.endsWith("json")) wrong.push(...contract.wrong([...place, "content", kind, "schema"], example).map((line) => `${place.at(-1)}: ${line}`));
      }
    };
    const place = ["paths", path, method];
    look([...place, "requestBody"], operation.requestBody);
    for (const [status, reply] of Object.entries(operation.responses)) look([...place, "responses", status], reply);
    assert.deepEqual(wrong, []);
  });
}
