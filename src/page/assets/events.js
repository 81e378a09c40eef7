// "Something changed": one event stream for the whole page, and a clock for when it fails.
//
// What arrives is a hint, never the truth: whoever waits asks the server again. So a lost event
// costs two seconds, not an answer.

const WITH_STREAM = 10_000;
const WITHOUT_STREAM = 2_000;
const TRY_AGAIN = 30_000;

let source = null;
let retry = null;
const waiting = new Set();

/** Opens the stream; closing is for signing out. */
export function listen() {
  hush();
  source = new EventSource("/api/events");
  for (const name of ["ingest", "task"]) source.addEventListener(name, wake);
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return;
    retry = setTimeout(listen, TRY_AGAIN);
    wake();
  });
}

export function hush() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

/** Resolves when something changed, or after a while in which it may have. */
export function change() {
  return new Promise((resolve) => {
    const heard = () => {
      clearTimeout(timer);
      waiting.delete(heard);
      resolve();
    };
    const timer = setTimeout(heard, source?.readyState === EventSource.OPEN ? WITH_STREAM : WITHOUT_STREAM);
    waiting.add(heard);
  });
}

function wake() {
  for (const heard of [...waiting]) heard();
}
