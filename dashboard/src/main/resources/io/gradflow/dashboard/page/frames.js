/** One loop of frames for all panes; runs while there is something to do, and tells how long frames took. */

const KEPT = 1024;
const LINGER_MS = 1000;

/** Last frames, oldest overwritten: `times` from frame to frame, `work` in the callbacks, both in ms. */
export const frames = { times: new Float64Array(KEPT), work: new Float64Array(KEPT), count: 0 };

const callbacks = new Set();
let running = false;
let before = 0;
let until = 0;

function frame() {
  const now = performance.now();
  for (const callback of callbacks) {
    callback(now);
  }
  const at = frames.count++ % KEPT;
  frames.times[at] = now - before;
  frames.work[at] = performance.now() - now;
  before = now;
  if (now < until) {
    requestAnimationFrame(frame);
  } else {
    running = false;
  }
}

/** Calls back in every frame that runs, until the signal aborts. */
export function eachFrame(callback, signal) {
  callbacks.add(callback);
  signal.addEventListener('abort', () => callbacks.delete(callback));
}

/** Frames run for the next while. */
export function wake() {
  until = performance.now() + LINGER_MS;
  if (!running) {
    running = true;
    before = performance.now();
    requestAnimationFrame(frame);
  }
}
