// The door to the server: every request goes through here.
//
// Errors arrive as RFC 9457 problems and leave as `Problem`, whose message can be shown as it is. What only asks
// is asked again by itself when the server is busy, away or not ready; what does something never is: it fails with
// words, and whoever called keeps what was typed. A 401 means that the session has ended: whoever registered with
// `whenSignedOut` says when somebody is back, and what asks goes on then.
//
// The types are the published contract's, see tests/clients.

const MINUTE = 60_000;
/** Between two tries without a `Retry-After`. */
const PAUSES = [1_000, 2_000, 5_000, 10_000, 15_000];
/** Seconds that are waited for without asking the user. */
const LONGEST = 120;

/** Times of the requests of the last minute. */
let times = [];
/** Until when the server wants to be left alone. */
let quietUntil = 0;
/** @type {() => Promise<boolean>} */
let signedOut = async () => false;
/** @type {(words: string) => void} */
let troubled = () => {};
let trouble = "";

/**
 * `listener` is called at a 401, and resolves to whether the same user is signed in again.
 * @param {() => Promise<boolean>} listener
 */
export const whenSignedOut = (listener) => {
  signedOut = listener;
};

/**
 * `listener` hears what keeps the page from the server, in words; an empty text when nothing does any more.
 * @param {(words: string) => void} listener
 */
export const whenTroubled = (listener) => {
  troubled = listener;
};

/** How many requests the page made in the last minute. */
export function asked() {
  const since = performance.now() - MINUTE;
  times = times.filter((time) => time > since);
  return times.length;
}

export class Problem extends Error {
  /**
   * @param {number} status 0 when there was no answer
   * @param {Partial<Contract.Problem>} body
   * @param {string | null} retryAfter
   */
  constructor(status, body = {}, retryAfter = null) {
    const fields = (body.errors ?? []).map(({ field, message }) => `${field} ${message}`).join("; ");
    const seconds = Number(retryAfter);
    const wait = status === 429 && seconds > 0 ? `Try again in ${inWords(seconds)}.` : "";
    const words = [body.title ?? "Something went wrong", body.detail, fields, wait].filter(Boolean);
    super(words.map((part) => part.replace(/[.\s]+$/, "")).join(". ") + ".");
    this.name = "Problem";
    this.status = status;
    /** Seconds after which the server wants to be asked again. */
    this.retryAfter = seconds > 0 ? seconds : null;
    /** What is wrong with which field of what was sent. */
    this.fields = body.errors ?? [];
    this.requestId = body.request_id ?? null;
  }
}

/**
 * Sends a request and returns the response when it is a success; throws a `Problem` when not. `reads` says that it
 * only asks, whatever its method.
 * @param {string} method
 * @param {string} path
 * @param {{ json?: unknown, signal?: AbortSignal, accept?: string, reads?: boolean }} options
 */
export async function request(method, path, { json, signal, accept = "application/json", reads = method === "GET" } = {}) {
  for (let tries = 0; ; tries += 1) {
    if (reads) await sleep(quietUntil - performance.now(), signal);
    const problem = await once(method, path, { json, signal, accept });
    if (problem instanceof Response) return problem;
    if (problem.status === 401) {
      const back = await signedOut();
      if (back && reads) continue;
      if (back) throw new Problem(401, { title: "Your session had ended, so nothing was done", detail: "You are signed in again: try once more" });
      throw problem;
    }
    const words = passing(problem);
    if (!words) throw problem;
    const pause = problem.retryAfter ? problem.retryAfter * 1000 : PAUSES[Math.min(tries, PAUSES.length - 1)];
    // All who ask are held, but a single server error may be this request's own.
    if (problem.status !== 502) quietUntil = Math.max(quietUntil, performance.now() + pause);
    if (!reads) throw problem;
    say(words.replace("{wait}", inWords(Math.ceil(pause / 1000))));
    if (problem.status === 502) await sleep(pause, signal);
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @returns {Promise<Response | Problem>}
 */
async function once(method, path, { json = undefined, signal = undefined, accept }) {
  const headers = { accept };
  if (json !== undefined) headers["content-type"] = "application/json";
  times.push(performance.now());
  try {
    const body = json === undefined ? undefined : JSON.stringify(json);
    const response = await fetch(path, { method, headers, body, signal, credentials: "same-origin" });
    if (!response.ok) return await problemOf(response);
    if (performance.now() >= quietUntil) say("");
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return new Problem(0, { title: "The server can't be reached", detail: "Nothing that you have typed is lost: try again in a moment" });
  }
}

/** What is said of a problem that passes by itself; nothing of others. */
function passing({ status, retryAfter }) {
  if (retryAfter > LONGEST) return null;
  if (status === 429) return "Too much was asked in a short time. Going on by itself in {wait}.";
  if (status === 502 || status === 503) return "The server isn't ready at the moment. Trying again by itself in {wait}.";
  if (status === 0) return "The server can't be reached. Trying again by itself; what you have typed stays.";
  return null;
}

function say(words) {
  if (words !== trouble) troubled(words);
  trouble = words;
}

/**
 * One try, without waiting or signing in: null when it fails.
 * @template {string} P
 * @param {P} path
 * @returns {Promise<Contract.Reply<"get", P> | null>}
 */
export async function glance(path) {
  const answer = await once("GET", path, { accept: "application/json" }).catch(() => null);
  return answer instanceof Response ? answer.json().catch(() => null) : null;
}

/** Waits, but no longer than until the browser is on line again. */
function sleep(ms, signal) {
  if (ms <= 0) return undefined;
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", online);
      signal?.removeEventListener("abort", stopped);
    };
    const online = () => {
      quietUntil = 0;
      done();
      resolve();
    };
    const stopped = () => {
      done();
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      done();
      resolve();
    }, ms);
    addEventListener("online", online);
    signal?.addEventListener("abort", stopped);
    if (signal?.aborted) stopped();
  });
}

const inWords = (seconds) => {
  const [amount, unit] = seconds < 120 ? [seconds, "second"] : seconds < 7200 ? [Math.ceil(seconds / 60), "minute"] : [Math.ceil(seconds / 3600), "hour"];
  return `${amount} ${unit}${amount === 1 ? "" : "s"}`;
};

/** @returns {Promise<any>} */
async function reply(method, path, options) {
  const response = await request(method, path, options);
  return response.status === 204 || response.headers.get("content-length") === "0" ? null : response.json();
}

/**
 * @template {"post" | "put" | "patch" | "delete"} M
 * @template {string} P
 * @param {M} method
 * @param {P} path
 * @param {{ json?: Contract.Body<M, P>, signal?: AbortSignal, reads?: boolean }} [options]
 * @returns {Promise<Contract.Reply<M, P>>}
 */
export const call = (method, path, options) => reply(method.toUpperCase(), path, options);

/**
 * @template {string} P
 * @param {P} path
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<Contract.Reply<"get", P>>}
 */
export const get = (path, options) => reply("GET", path, options);

/**
 * @template {string} P
 * @param {P} path
 * @param {Contract.Body<"post", P>} [json]
 * @param {{ signal?: AbortSignal, reads?: boolean }} [options]
 * @returns {Promise<Contract.Reply<"post", P>>}
 */
export const post = (path, json, options) => reply("POST", path, { ...options, json });

/**
 * Sends files as one multipart body. `fetch` can't tell how much has left, so this is the one place
 * with an XMLHttpRequest.
 * @template {string} P
 * @param {P} path
 * @param {File[]} files
 * @param {(sent: number, total: number) => void} onProgress
 * @returns {Promise<Contract.Reply<"post", P>>}
 */
export function upload(path, files, onProgress) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  times.push(performance.now());
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", path);
    xhr.responseType = "json";
    xhr.setRequestHeader("accept", "application/json");
    xhr.upload.addEventListener("progress", (event) => onProgress(event.loaded, event.total));
    xhr.addEventListener("error", () =>
      reject(new Problem(0, { title: "The upload broke off", detail: "Check the connection and add the files again" })),
    );
    xhr.addEventListener("load", () => {
      if (xhr.status >= 200 && xhr.status < 300) return resolve(xhr.response);
      if (xhr.status === 401) signedOut();
      return reject(new Problem(xhr.status, xhr.response ?? {}, xhr.getResponseHeader("retry-after")));
    });
    xhr.send(form);
  });
}

/** @param {Response} response */
async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return new Problem(response.status, body ?? {}, response.headers.get("retry-after"));
}
