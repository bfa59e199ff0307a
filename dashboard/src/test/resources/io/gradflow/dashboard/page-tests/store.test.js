import { equal, holds, near, until } from './check.js';
import { NAN } from '/page/cells.js';
import { CAPACITY, CHUNK, RunStore, SLACK } from '/page/store.js';

const LAYERS = 3;

/** A server in the place of fetch: a run of which `code(step, layer)` says the cells. */
class Server {
  constructor({ first = 0, last, stride = 1, code = (step, layer) => step % 100 + layer }) {
    Object.assign(this, { first, last, stride, code, asked: [], hold: null, incidents: [] });
    this.manifest = { run: 'r', stream: 'main', manifestId: '1', layers: Array.from({ length: LAYERS }, (_, i) => ({ name: `l${i}` })) };
  }

  steps(from, to, limit) {
    const steps = [];
    for (let step = this.first; step <= Math.min(this.last, to ?? Infinity); step += this.stride) {
      if (step >= (from ?? 0)) {
        steps.push(step);
      }
    }
    return steps.slice(-limit);
  }

  async answer(url) {
    const address = new URL(url, location.href);
    const path = address.pathname;
    const at = (key) => (address.searchParams.has(key) ? Number(address.searchParams.get(key)) : null);
    this.asked.push(path.split('/').pop());
    const held = path.endsWith('cells') ? this.cells(this.steps(at('from'), at('to'), 2000)) : null;
    if (this.hold !== null) {
      await this.hold;
    }
    if (path.endsWith('manifest')) {
      return Response.json(this.manifest);
    }
    if (path.endsWith('incidents')) {
      return Response.json(this.incidents);
    }
    if (path.endsWith('run-events')) {
      return Response.json([{ type: 'CHECKPOINT', step: 5, at: 1, attributes: {} }]);
    }
    if (path.endsWith('steps')) {
      const steps = this.steps(at('from'), at('to'), 10_000);
      return Response.json({ step: steps, loss: steps.map((step) => step / 2), globalNorm: steps.map((s) => (s === 7 ? 'Infinity' : 1)) });
    }
    return new Response(held);
  }

  cells(steps) {
    const buffer = new ArrayBuffer(16 + steps.length * (8 + 2 * LAYERS));
    const head = new DataView(buffer);
    head.setUint32(0, 0x31464347, true);
    head.setUint32(4, LAYERS, true);
    head.setUint32(8, steps.length, true);
    new Float64Array(buffer, 16, steps.length).set(steps);
    const cells = new Int16Array(buffer, 16 + 8 * steps.length);
    steps.forEach((step, i) => {
      for (let layer = 0; layer < LAYERS; layer++) {
        cells[i * LAYERS + layer] = this.code(step, layer);
      }
    });
    return buffer;
  }

  event(step, code = this.code) {
    const cells = Int16Array.from({ length: LAYERS }, (_, layer) => code(step, layer));
    return { run: 'r', stream: 'main', step, loss: step / 2, layers: LAYERS, cells: btoa(String.fromCharCode(...new Uint8Array(cells.buffer))) };
  }
}

async function served(server, body) {
  const before = window.fetch;
  window.fetch = (url) => server.answer(url);
  try {
    return await body();
  } finally {
    window.fetch = before;
  }
}

async function loaded(server) {
  const store = new RunStore('r', 'main');
  await store.load();
  equal(store.error, null);
  equal(store.loading, 1);
  return store;
}

function held(store) {
  return [...store.columns([], -Infinity, Infinity).step];
}

export async function whatIsFetchedIsHeld() {
  const server = new Server({ last: 4999 });
  await served(server, async () => {
    const store = await loaded(server);
    equal(store.first, 0);
    equal(store.last, 4999);
    equal(held(store).length, 5000);
    equal(store.code(1234, 2), 36);
    equal(store.value('loss', 10), 5);
    equal(store.value('globalNorm', 7), Infinity);
    equal(store.value('validationLoss', 7), NaN);
    equal(store.code(5000, 0), -32768);
    equal(store.layerIndex('l1'), 1);
    equal(store.layerIndex('__proto__'), -1);
    equal(store.events.length, 1);
    store.take('event', { type: 'CHECKPOINT', step: 5, at: 1, attributes: {} });
    store.take('event', { type: 'EVAL', step: 3, at: 2, attributes: {} });
    equal(store.events.map((event) => event.type), ['EVAL', 'CHECKPOINT']);
  });
}

export async function theNewestThousandsAreHeldAndOlderOnesComeWhenWanted() {
  const server = new Server({ last: 29_999 });
  await served(server, async () => {
    const store = await loaded(server);
    holds(held(store).length <= CAPACITY + SLACK, 'no more than the capacity');
    equal(store.last, 29_999);
    holds(!store.contains(3000), 'old steps are not held');
    store.want(2900, 3100);
    await until(() => store.contains(2900) && store.contains(3100), 'the steps wanted');
    equal(store.code(3000, 1), 1);
    equal(store.contains(29_999), true);
    holds(held(store).length <= CAPACITY + SLACK, 'still no more than the capacity');
  });
}

export async function whatIsLookedAtStaysHeldHoweverMuchThatIs() {
  const server = new Server({ last: 29_999 });
  await served(server, async () => {
    const store = await loaded(server);
    store.want(5001, 15_000);
    await until(() => store.whole(5001) && held(store).filter((step) => step >= 5001 && step <= 15_000).length === 10_000, 'the steps wanted');
    const asked = server.asked.length;
    for (let step = 30_000; step < 31_000; step++) {
      store.take('step', server.event(step));
    }
    equal(held(store).filter((step) => step >= 5001 && step <= 15_000).length, 10_000);
    equal(server.asked.length, asked, 'requests');
    holds(held(store).length <= CAPACITY + SLACK, 'no more than the capacity');
    equal(store.last, 30_999);
  });
}

export async function ofASpanWiderThanMemoryTheLastStepsAreHeld() {
  const server = new Server({ last: 29_999 });
  await served(server, async () => {
    const store = await loaded(server);
    store.want(0, 1e9);
    store.want(0, 19_999);
    await until(() => store.whole(10_000) && store.contains(10_000), 'the last steps wanted');
    const asked = server.asked.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    equal(server.asked.length, asked, 'requests once all is there');
    holds(held(store).length <= CAPACITY + SLACK, 'no more than the capacity');
  });
}

export async function aSpanOfThePastIsThereBeforeAllThatIsBetween() {
  const server = new Server({ last: 29_999 });
  await served(server, async () => {
    const store = new RunStore('r', 'main');
    store.addEventListener('change', (event) => event.kinds.has('loading') && store.want(100, 300));
    await store.load();
    await until(() => store.contains(100) && store.contains(300), 'the span of the past');
    equal(store.whole(200), true);
    equal(store.whole(10_000), false, 'what is between is not taken for known');
    store.want(9900, 10_100);
    await until(() => store.contains(10_000), 'what is between, when wanted');
  });
}

export async function memoryStaysFlatWhileStepsArrive() {
  const server = new Server({ last: 9999 });
  await served(server, async () => {
    const store = await loaded(server);
    for (let step = 10_000; step < 25_000; step++) {
      store.take('step', server.event(step));
    }
    const steps = held(store);
    holds(steps.length <= CAPACITY + SLACK, `${steps.length} steps`);
    equal(steps[steps.length - 1], 24_999);
    equal(steps.every((step, i) => i === 0 || step === steps[i - 1] + 1), true);
  });
}

export async function betweenFetchAndStreamIsNoGapAndNoDouble() {
  const server = new Server({ last: 999 });
  await served(server, async () => {
    const store = new RunStore('r', 'main');
    let go;
    server.hold = new Promise((resolve) => (go = resolve));
    store.take('hello', { last: 999 });
    // A revision of a step that the answer under way holds in its old form, and new steps, one of them twice.
    store.take('step', server.event(990, () => 77));
    store.take('step', server.event(1000));
    store.take('step', server.event(1001));
    store.take('step', server.event(1001));
    server.hold = null;
    go();
    await until(() => store.loading === 1, 'the end of loading');
    equal(held(store).length, 1002);
    equal(store.code(990, 0), 77);
    equal(store.last, 1001);
  });
}

export async function aRewindVoidsStepsAndItsAttemptReplacesThem() {
  const server = new Server({ last: 999 });
  await served(server, async () => {
    const store = await loaded(server);
    store.take('rewind', { from: 700 });
    equal(store.last, 699);
    equal(held(store).length, 700);
    equal(store.code(700, 0), -32768);
    store.take('step', server.event(700, () => 5));
    equal(store.last, 700);
    equal(store.code(700, 0), 5);
    equal(store.code(699, 0), 99);
  });
}

export async function aRewindWhileLoadingLoadsAnew() {
  const server = new Server({ last: 999 });
  await served(server, async () => {
    const store = new RunStore('r', 'main');
    let go;
    server.hold = new Promise((resolve) => (go = resolve));
    const first = store.load();
    server.last = 499;
    store.take('rewind', { from: 500 });
    server.hold = null;
    go();
    await first;
    await until(() => store.loading === 1, 'the end of loading');
    equal(store.last, 499);
  });
}

export async function aResetFetchesAgain() {
  const server = new Server({ last: 99 });
  await served(server, async () => {
    const store = await loaded(server);
    server.last = 299;
    store.take('reset', {});
    await until(() => store.loading === 1 && store.last === 299, 'the new steps');
    equal(held(store).length, 300);
  });
}

export async function lateStepsFindTheirPlace() {
  const server = new Server({ last: 99 });
  await served(server, async () => {
    const store = await loaded(server);
    store.take('step', server.event(110));
    store.take('step', server.event(105));
    equal(held(store).slice(-3), [99, 105, 110]);
    equal(store.nearest(107), 105);
    equal(store.nearest(5000), 110);
    equal(store.last, 110);
  });
}

export async function aSampledRunTellsItsStride() {
  const server = new Server({ last: 990, stride: 10 });
  await served(server, async () => {
    const store = await loaded(server);
    equal(store.stride, 10);
    equal(store.nearest(47), 40);
    equal(store.whole(47), true);
  });
}

export async function deviationsAreAgainstWhatWasBefore() {
  const code = (step, layer) => (layer === 1 && step === 600 ? 512 : layer === 2 && step % 3 === 0 ? NAN : 100 * layer);
  const server = new Server({ last: 999, code });
  await served(server, async () => {
    const store = await loaded(server);
    near(store.deviation(600, 1), (512 - 100) / 128, 0.01);
    near(store.deviation(599, 1), 0, 1e-9);
    holds(store.deviation(601, 1) < 0, 'the spike has raised the baseline');
    equal(store.deviation(600, 2), NaN);
    near(store.baseline(600, 2), 200 / 128, 1e-6);
    equal(store.baseline(0, 0), NaN);
    // The map's chunks say the same as the single reading.
    for (const chunk of store.blocks(0, 999, { deviation: true })) {
      for (const step of [255, 256, 600, 601, 650, 900]) {
        if (step >= chunk.base && step < chunk.base + CHUNK) {
          const cell = chunk.deviations.cells[chunk.slots[step - chunk.base] * LAYERS + 1];
          near(cell / 128, store.deviation(step, 1), 0.02, `step ${step}`);
        }
      }
    }
  });
}

export async function changesOfAFrameComeAsOneWithTheirSteps() {
  const server = new Server({ last: 99 });
  await served(server, async () => {
    const store = await loaded(server);
    await new Promise(requestAnimationFrame);
    const change = new Promise((resolve) => store.addEventListener('change', resolve, { once: true }));
    store.take('step', server.event(100));
    store.take('step', server.event(101));
    const event = await change;
    equal([event.from, event.to], [100, 101]);
    equal(event.kinds.has('steps'), true);
  });
}

export async function anIncidentToldWhileLoadingIsNotOverwrittenByAnOlderForm() {
  const server = new Server({ last: 9 });
  server.incidents = [{ incidentId: 'i', transition: 0 }, { incidentId: 'j', transition: 0 }];
  await served(server, async () => {
    const store = new RunStore('r', 'main');
    let go;
    server.hold = new Promise((resolve) => (go = resolve));
    const load = store.load();
    store.take('incident', { incidentId: 'i', transition: 1 });
    server.hold = null;
    go();
    await load;
    equal([...store.incidents.values()].map(({ incidentId, transition }) => [incidentId, transition]), [['i', 1], ['j', 0]]);
  });
}

export async function aVerdictBelongsToItsIncident() {
  const server = new Server({ last: 9 });
  await served(server, async () => {
    const store = await loaded(server);
    store.take('incident', { incidentId: 'i', severity: 'CRITICAL', verdict: null });
    store.take('verdict', { incidentId: 'i', verdict: 'TRUE', by: 'ada', at: 1, note: '' });
    store.take('verdict', { incidentId: 'unknown', verdict: 'TRUE' });
    equal(store.incidents.get('i').verdict.by, 'ada');
    equal(store.incidents.size, 1);
  });
}
