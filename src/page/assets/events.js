// "Something changed": one event stream for the whole page, and a clock for when it fails.
//
// What arrives is a hint, never the truth: whoever waits asks the server again. So a lost event
// costs seconds, not an answer. However fast the hints come, the page keeps its pace: whoever waits looks at
// once, then ever less often while changes keep coming, and once more after the last of them. The more the
// page has asked in the last minute, the longer it waits, so that it stays well below what a user may ask.

import { asked, get, Problem } from "./api.js";

const TOPICS = ["ingest", "task", "approval", "activity"];
const WITH_STREAM = 10_000;
const WITHOUT_STREAM = 4_000;
const TRY_AGAIN = [2_000, 5_000, 15_000, 30_000];
/** Between two looks while changes keep coming. */
const PAUSES = [250, 1_000, 2_000];
/** Requests of the last minute that cost no waiting; each further one, so many milliseconds. */
const FREE = 20;
const EACH_FURTHER = 500;

let source = null;
let retry = null;
let failures = 0;
const listeners = new Set();

/** Opens the stream; closing is for signing out. */
export function listen() {
  hush();
  source = new EventSource("/api/events");
  for (const name of TOPICS) source.addEventListener(name, () => wake(name));
  source.addEventListener("error", () => {
    // The browser tries again by itself, unless it was refused.
    if (source?.readyState !== EventSource.CLOSED) return;
    retry = setTimeout(listen, TRY_AGAIN[Math.min(failures, TRY_AGAIN.length - 1)]);
    failures += 1;
  });
  source.addEventListener("open", () => {
    failures = 0;
    // What happened while nobody listened.
    wake(null);
  });
}

export function hush() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

/** Whether events flow. */
const flowing = () => source?.readyState === EventSource.OPEN;

/**
 * Calls `look` when one of these topics changes, until `signal`; by the clock only while no events flow. One look
 * at a time; what changes meanwhile is looked at afterwards. A page that nobody sees waits until it is seen.
 * @param {string[]} topics
 * @param {() => unknown} look
 * @param {AbortSignal} signal
 */
export function whenChanged(topics, look, signal) {
  const pace = new Pace();
  let wanted = false;
  let busy = false;
  let timer = null;
  const go = async () => {
    timer = null;
    if (signal.aborted || busy || document.hidden) return;
    wanted = false;
    busy = true;
    try {
      await look();
    } catch (error) {
      // What passes has been said; the next look comes with the next change.
      if (!(error instanceof Problem) && error.name !== "AbortError") reportError(error);
    }
    pace.looked();
    busy = false;
    if (wanted) plan();
  };
  const plan = () => {
    wanted = true;
    if (!busy && !document.hidden) timer ??= setTimeout(go, pace.left());
  };
  const seen = () => {
    if (wanted && !document.hidden) plan();
  };
  const heard = (name) => {
    if (name === null || topics.includes(name)) plan();
  };
  const clock = setInterval(() => {
    if (!flowing() && !document.hidden) plan();
  }, WITH_STREAM);
  listeners.add(heard);
  document.addEventListener("visibilitychange", seen);
  signal.addEventListener("abort", () => {
    listeners.delete(heard);
    document.removeEventListener("visibilitychange", seen);
    clearInterval(clock);
    clearTimeout(timer);
  });
}

/**
 * For who looks in a loop: `await change()` between two looks resolves when one of the topics has changed, or after
 * a while in which one may have.
 * @param {string[]} topics
 */
export function changes(topics) {
  const pace = new Pace();
  return () =>
    new Promise((resolve) => {
      pace.looked();
      const heard = (name) => {
        if (name !== null && !topics.includes(name)) return;
        listeners.delete(heard);
        clearTimeout(timer);
        setTimeout(resolve, pace.left());
      };
      const timer = setTimeout(heard, flowing() ? WITH_STREAM : WITHOUT_STREAM, null);
      listeners.add(heard);
    });
}

/**
 * A read that several parts of the page show: asked once for all of them.
 * @template {string} P
 */
export class Shared {
  /** @type {Contract.Reply<"get", P> | null} */
  value = null;
  #path;
  #topics;
  #followers = new Set();
  #pace = new Pace();
  #due = null;

  /**
   * @param {P} path
   * @param {string[]} topics
   */
  constructor(path, topics) {
    this.#path = path;
    this.#topics = topics;
  }

  /** Keeps it true until `signal`. */
  start(signal) {
    whenChanged(this.#topics, () => this.soon(), signal);
  }

  /** Asks now, and tells all who follow. */
  async look() {
    this.tell(await get(this.#path));
    this.#pace.looked();
    return this.value;
  }

  /** What the server has just answered elsewhere. */
  tell(value) {
    this.value = value;
    for (const draw of [...this.#followers]) draw(value);
  }

  /** The same at the page's pace: one look for all who wait for it. */
  soon() {
    this.#due ??= new Promise((resolve) => setTimeout(resolve, this.#pace.left())).then(() => {
      this.#due = null;
      return this.look();
    });
    return this.#due;
  }

  /** Calls `draw` with what is known, and whenever it is asked again. */
  follow(draw, signal) {
    this.#followers.add(draw);
    signal?.addEventListener("abort", () => this.#followers.delete(draw));
    if (this.value !== null) draw(this.value);
  }
}

/** How long to wait before the next look. */
class Pace {
  #last = -Infinity;
  #run = 0;

  looked() {
    const now = performance.now();
    const quiet = now - this.#last > 2 * this.#pause();
    this.#run = quiet ? 0 : this.#run + 1;
    this.#last = now;
  }

  left() {
    return Math.max(0, this.#last + this.#pause() - performance.now());
  }

  #pause() {
    return Math.max(PAUSES[Math.min(this.#run, PAUSES.length - 1)], (asked() - FREE) * EACH_FURTHER);
  }
}

function wake(name) {
  for (const heard of [...listeners]) heard(name);
}
