// The door to the server: every request goes through here.
//
// Errors arrive as RFC 9457 problems and leave as `Problem`, whose message can be shown as it is.
// A 401 means that the session has ended: whoever registered with `whenSignedOut` hears of it.

let signedOut = () => {};

export const whenSignedOut = (listener) => {
  signedOut = listener;
};

export class Problem extends Error {
  constructor(status, body = {}, retryAfter = null) {
    const fields = (body.errors ?? []).map(({ field, message }) => `${field} ${message}`).join("; ");
    const wait = status === 429 && retryAfter ? `Try again in ${retryAfter} seconds.` : "";
    const words = [body.title ?? "Something went wrong", body.detail, fields, wait].filter(Boolean);
    super(words.map((part) => part.replace(/[.\s]+$/, "")).join(". ") + ".");
    this.name = "Problem";
    this.status = status;
    /** What is wrong with which field of what was sent. */
    this.fields = body.errors ?? [];
    this.requestId = body.request_id ?? null;
  }
}

/** Sends a request and returns the response when it is a success; throws a `Problem` when not. */
export async function request(method, path, { json, signal, accept = "application/json" } = {}) {
  const headers = { accept };
  if (json !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    const body = json === undefined ? undefined : JSON.stringify(json);
    response = await fetch(path, { method, headers, body, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "The server can't be reached", detail: "Check that Paraplanner is running" });
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401) signedOut(problem);
  throw problem;
}

export async function call(method, path, options) {
  const response = await request(method, path, options);
  return response.status === 204 ? null : response.json();
}

export const get = (path, options) => call("GET", path, options);

export const post = (path, json, options) => call("POST", path, { ...options, json });

/**
 * Sends files as one multipart body. `fetch` can't tell how much has left, so this is the one place
 * with an XMLHttpRequest.
 */
export function upload(path, files, onProgress) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
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
      const problem = new Problem(xhr.status, xhr.response ?? {}, xhr.getResponseHeader("retry-after"));
      if (xhr.status === 401) signedOut(problem);
      return reject(problem);
    });
    xhr.send(form);
  });
}

async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return new Problem(response.status, body ?? {}, response.headers.get("retry-after"));
}
