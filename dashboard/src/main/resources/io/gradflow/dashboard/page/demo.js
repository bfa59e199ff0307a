// The demo's own controls: what trains, and where to break it.

import { choice, element, notice } from './forms.js';
import { clean, formatStep } from './scale.js';

const POLL_MS = 1000;

/** A scenario's name as words: 'missing-rank' reads 'missing rank'. */
export function scenarioName(name) {
  return String(name).toLowerCase().replaceAll(/[-_]/g, ' ');
}

/** What the demo does, in a line. */
export function demoSentence({ scenario, step, steps, running, fault }) {
  const parts = [running ? `Training, step ${formatStep(step)} of ${formatStep(steps)}` : `The training has ended at step ${formatStep(step)}`];
  parts.push(scenario === 'healthy' ? 'healthy' : `begun as ${scenarioName(scenario)}`);
  if (fault) {
    const where = [fault.layer !== null ? clean(fault.layer, 40) : '', fault.rank !== null ? `rank ${fault.rank}` : ''].filter(Boolean).join(', ');
    parts.push(`${scenarioName(fault.scenario)} from step ${formatStep(fault.step)}${where ? ` in ${where}` : ''}`);
  } else {
    parts.push('no fault');
  }
  return `${parts.join(' · ')}.`;
}

export function mountDemo(root, page) {
  const { view, api, signal } = page;
  root.hidden = !page.status?.demo;
  if (root.hidden) return;
  const says = element('p', { class: 'demo-says', role: 'status' }, 'The demo answers soon.');
  const scenario = choice([], null, {});
  const layer = choice([['', 'any layer']], '', {});
  const rank = choice([['', 'any rank']], '', {});
  const seed = element('input', { type: 'number', value: '1', min: '0', max: '2147483647', step: '1' });
  const strike = element('button', { type: 'button', class: 'primary', onclick: () => send(strike, strikeNow) }, 'Strike now');
  const again = element('button', { type: 'button', onclick: () => send(again, restart) }, 'New run');
  const named = (label, control) => element('label', { class: 'control' }, `${label} `, control);
  root.className = 'demo';
  root.setAttribute('role', 'region');
  root.setAttribute('aria-label', 'Demo');
  root.append(
      element('h2', {}, 'Demo'), says,
      element('div', { class: 'controls' }, named('scenario', scenario), named('layer', layer), named('rank', rank), strike,
          element('span', { class: 'divider', 'aria-hidden': 'true' }), named('seed', seed), again));
  let known = '';
  let run = null;
  let timer = null;

  function show(demo) {
    says.textContent = demoSentence(demo);
    strike.disabled = !demo.running;
    strike.title = demo.running ? '' : 'The training has ended: begin a new run.';
    const key = JSON.stringify([demo.scenarios, demo.layers, demo.ranks]);
    if (key !== known) {
      known = key;
      fill(scenario, demo.scenarios.map((s) => [s, scenarioName(s)]), demo.scenarios.find((s) => s !== 'healthy'));
      fill(layer, [['', 'any layer'], ...demo.layers.map((l) => [l, clean(l, 48)])], '');
      fill(rank, [['', 'any rank'], ...[...Array(demo.ranks).keys()].map((r) => [String(r), String(r)])], '');
    }
    // A run that somebody else began is followed as well, but only from the one before it.
    if (run !== null && run !== demo.run && view.get('run') === run) follow(demo.run);
    run = demo.run;
  }

  function fill(select, options, otherwise) {
    const before = select.value;
    select.replaceChildren(...options.map(([value, label]) => element('option', { value }, label)));
    select.value = options.some(([value]) => value === before && before !== '') ? before : otherwise ?? '';
  }

  function follow(next) {
    view.set({ run: next, stream: 'main', to: null, cursor: null, incident: null }, { push: true });
  }

  async function strikeNow() {
    const { step } = await api.post('demo', {
      action: 'strike', scenario: scenario.value, layer: layer.value === '' ? null : layer.value, rank: rank.value === '' ? null : Number(rank.value),
    });
    notice(scenario.value === 'healthy' ? `The fault is taken back at step ${formatStep(step)}.` : `${scenarioName(scenario.value)} strikes at step ${formatStep(step)}.`);
  }

  async function restart() {
    const answer = await api.post('demo', { action: 'restart', scenario: scenario.value, seed: Number(seed.value) });
    run = answer.run;
    notice(`A new run begins: ${clean(answer.run, 60)}.`);
    follow(answer.run);
  }

  async function send(button, act) {
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      notice(error.message, 'error');
    } finally {
      button.disabled = false;
      poll();
    }
  }

  async function poll() {
    clearTimeout(timer);
    try {
      if (!document.hidden) show(await api.get('demo', {}, { signal }));
    } catch (error) {
      if (!signal.aborted) says.textContent = error.message;
    }
    if (!signal.aborted) timer = setTimeout(poll, POLL_MS);
  }

  signal.addEventListener('abort', () => clearTimeout(timer));
  poll();
}
