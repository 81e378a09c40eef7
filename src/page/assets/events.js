// "Something changed": one event stream for the whole page, and a clock for when it fails.
//
// What arrives is a hint, never the truth: whoever waits asks the server again. So a lost event
// costs seconds, not an answer.

const TOPICS = ["ingest", "task", "approval", "activity"];
const WITH_STREAM = 10_000;
const WITHOUT_STREAM = 2_000;
const TRY_AGAIN = 30_000;
/** Several things at once are looked at once. */
const TOGETHER = 150;

let source = null;
let retry = null;
const waiting = new Set();
const listeners = new Set();

/** Opens the stream; closing is for signing out. */
export function listen() {
  hush();
  source = new EventSource("/api/events");
  for (const name of TOPICS) source.addEventListener(name, () => wake(name));
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return;
    retry = setTimeout(listen, TRY_AGAIN);
    wake(null);
  });
  // What happened while nobody listened.
  source.addEventListener("open", () => wake(null));
}

export function hush() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

/** Whether events flow. */
export const flowing = () => source?.readyState === EventSource.OPEN;

/** Resolves when something changed, or after a while in which it may have. */
export function change() {
  return new Promise((resolve) => {
    const heard = () => {
      clearTimeout(timer);
      waiting.delete(heard);
      resolve();
    };
    const timer = setTimeout(heard, flowing() ? WITH_STREAM : WITHOUT_STREAM);
    waiting.add(heard);
  });
}

/** Calls `look` when one of these topics changes, until `signal`; by the clock only while no events flow. */
export function whenChanged(topics, look, signal) {
  let due = null;
  const heard = (name) => {
    if (name !== null && !topics.includes(name)) return;
    due ??= setTimeout(() => {
      due = null;
      if (!signal.aborted) look();
    }, TOGETHER);
  };
  const clock = setInterval(() => {
    if (!flowing() && !document.hidden) heard(null);
  }, WITH_STREAM);
  listeners.add(heard);
  signal.addEventListener("abort", () => {
    listeners.delete(heard);
    clearInterval(clock);
    clearTimeout(due);
  });
}

function wake(name) {
  for (const heard of [...waiting]) heard();
  for (const heard of [...listeners]) heard(name);
}
