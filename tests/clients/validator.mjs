// Holds what is sent and answered against the published contract, by a JSON Schema validator that knows nothing of
// this program.

import addFormats from "ajv-formats";
import Ajv from "ajv/dist/2020.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

export class Contract {
  #ajv = new Ajv({ strict: false, allErrors: true });

  constructor(document) {
    this.document = document;
    addFormats(this.#ajv);
    this.#ajv.addSchema(document, "contract");
  }

  /** Every operation: `{ method, path, operation }`. */
  get operations() {
    return Object.entries(this.document.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => method in item).map((method) => ({ method, path, operation: item[method] })),
    );
  }

  /** The operation that a request is for, literal segments before parameters. */
  of(method, address) {
    const asked = address.split("/");
    const fits = ({ method: known, path }) => {
      const named = path.split("/");
      return known === method.toLowerCase() && named.length === asked.length && named.every((name, place) => name.startsWith("{") || name === asked[place]);
    };
    const parameters = ({ path }) => path.split("{").length;
    return this.operations.filter(fits).sort((one, other) => parameters(one) - parameters(other))[0] ?? null;
  }

  /** What is untrue of a reply, in lines; none when it is as promised. */
  untrue(method, address, status, kind, body) {
    const found = this.of(method, address);
    if (!found) return [`${method} ${address} is not in the contract`];
    const where = ["paths", found.path, found.method, "responses", String(status)];
    if (!(String(status) in found.operation.responses)) return [`${method} ${found.path}: ${status} is not promised`];
    const content = found.operation.responses[status].content;
    if (!content) return body === undefined ? [] : [`${method} ${found.path}: ${status} has a body that is not promised`];
    if (!(kind in content)) return [`${method} ${found.path}: ${status} comes as ${kind}`];
    return this.wrong([...where, "content", kind, "schema"], body).map((line) => `${method} ${found.path} ${status}: ${line}`);
  }

  /** What is wrong with a value by the schema at this place of the document. */
  wrong(place, value) {
    const pointer = place.map((name) => encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
    const validate = this.#ajv.getSchema(`contract#/${pointer}`);
    if (!validate) return [`there is no schema at ${pointer}`];
    return validate(value) ? [] : validate.errors.map(({ instancePath, message, params }) => `${instancePath || "it"} ${message} ${JSON.stringify(params)}`);
  }
}
