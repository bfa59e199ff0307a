// The incidents of a run: what happened, why, what to do, and what a person made of it.

import { clean, formatStep } from './scale.js';
import { ask, choice, drawer, element, icon, needsWrites, notice, shape } from './forms.js';
import {
  asNumber, causeName, count, counted, kindName, moment, number, percent, runbookOf, sparkline, verdictName,
} from './words.js';

const SEVERITIES = ['CRITICAL', 'WARNING', 'INFO'];
const FIRST_LINKS = 8;
const FIRST_CARDS = 100;
const SPARK = { width: 320, height: 56 };

/** Whether the training is still in it. */
export function isOpen(incident) {
  return incident.state === 'OPENED' || incident.state === 'UPDATED';
}

/**
 * Faults that are open, the newest first; then those that are over; advice apart. Of one step the
 * more severe first.
 *
 * @return {open, over, advice}: arrays of incidents
 */
export function ordered(incidents) {
  const sorted = [...incidents].sort((a, b) => b.openedStep - a.openedStep
      || SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity)
      || (a.incidentId < b.incidentId ? -1 : 1));
  const faults = sorted.filter((i) => i.severity !== 'INFO');
  return {
    open: faults.filter(isOpen),
    over: faults.filter((i) => !isOpen(i)),
    advice: sorted.filter((i) => i.severity === 'INFO'),
  };
}

/** Whether an incident passes: its severity, its kind ('' is any) and each word of text in it. */
export function passes(incident, { severity, kind, text }) {
  if (severity && incident.severity !== severity) return false;
  if (kind && incident.kind !== kind) return false;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return true;
  const hay = [
    incident.kind, kindName(incident.kind), incident.message, incident.account, incident.rootLayer, incident.host,
    incident.device, incident.cause, incident.nextAction, incident.incidentId,
    incident.rootRank === null ? '' : `rank ${incident.rootRank}`,
    ...(incident.suspects ?? []).map((s) => `${s.layer ?? ''} ${s.rank === null ? '' : `rank ${s.rank}`}`),
  ].join(' ').toLowerCase();
  return words.every((word) => hay.includes(word));
}

/** Whether it names the layer or the rank, as root, suspect or in its chain. */
export function names(incident, layer, rank) {
  const is = (who) => (layer !== null && who.layer === layer) || (rank !== null && who.rank === rank);
  return is({ layer: incident.rootLayer, rank: incident.rootRank })
      || (incident.suspects ?? []).some(is) || (incident.chain ?? []).some(is);
}

/** Steps of its life in one line: where it began, was seen, and ended. */
export function lifeOf(incident) {
  const onset = incident.onsetStep !== incident.openedStep ? `, since ${formatStep(incident.onsetStep)}` : '';
  const end = incident.resolvedStep !== null && incident.resolvedStep !== undefined ? `resolved ${formatStep(incident.resolvedStep)}`
    : incident.state === 'EXPIRED' ? `expired, last sick ${formatStep(incident.lastStep)}` : `last sick ${formatStep(incident.lastStep)}`;
  return `found at ${formatStep(incident.openedStep)}${onset} · ${end}`;
}

/** Who is named as the cause, in words. */
export function rootOf(incident) {
  const parts = [];
  if (incident.rootLayer !== null) parts.push(clean(incident.rootLayer, 60));
  if (incident.rootRank !== null) parts.push(`rank ${incident.rootRank}`);
  if (incident.host) parts.push(clean(incident.host, 40));
  if (incident.device) parts.push(clean(incident.device, 24));
  return parts.join(' · ');
}

export function mountIncidents(root, page) {
  const { store, view, signal } = page;
  const on = { signal };
  const severity = choice([['', 'any severity'], ...SEVERITIES.map((s) => [s, s.toLowerCase()])], '', { 'aria-label': 'Severity' });
  const kind = choice([['', 'any kind']], '', { 'aria-label': 'Kind' });
  const text = element('input', { type: 'search', placeholder: 'layer, rank, host, word…', 'aria-label': 'Incidents that contain' });
  const summary = element('p', { class: 'view-summary' });
  const announcer = element('p', { class: 'for-readers', role: 'status', 'aria-live': 'polite' });
  const list = element('div', { class: 'cards' });
  const rule = needsWrites(element('button', { type: 'button', onclick: () => changeRule(page, kind.value) }, 'Rules…'), page.status);
  root.append(
      element('div', { class: 'view-head' }, element('h2', {}, 'Incidents'),
          element('div', { class: 'controls' }, severity, kind, text, rule)),
      summary, list, announcer);

  const cards = new Map();
  const groups = ['open', 'over', 'advice'].map((name) => group(name));
  list.append(...groups.map((g) => g.root));
  const more = new Map(groups.map((g) => [g.name, FIRST_CARDS]));
  const unfolded = new Set();
  let told = null;
  let kinds = '';
  let scrollTo = view.get('incident');

  function group(name) {
    const items = element('ol', { class: 'card-list' });
    const heading = element(name === 'open' ? 'h3' : 'summary', {});
    const extra = element('button', { type: 'button', hidden: true, onclick: () => {
      more.set(name, more.get(name) + FIRST_CARDS);
      draw();
    } }, 'Show more');
    const box = element(name === 'open' ? 'div' : 'details', { class: `card-group group-${name}` }, heading, items, extra);
    if (name === 'over') box.open = true;
    return { name, root: box, heading, items, extra };
  }

  const draw = drawer(root, () => {
    const all = [...store.incidents.values()];
    refreshKinds(all);
    const wanted = { severity: severity.value, kind: kind.value, text: text.value };
    const sorted = ordered(all.filter((i) => passes(i, wanted)));
    const chosen = view.get('incident');
    const shown = new Set();
    for (const g of groups) {
      const incidents = sorted[g.name];
      const head = { open: 'Open', over: 'Over', advice: 'Advice' }[g.name];
      g.heading.textContent = `${head} (${count(incidents.length)})`;
      g.root.hidden = incidents.length === 0 && g.name !== 'open';
      if (incidents.some((i) => i.incidentId === chosen) && g.root.tagName === 'DETAILS') g.root.open = true;
      const at = incidents.findIndex((i) => i.incidentId === chosen);
      const some = incidents.slice(0, Math.max(more.get(g.name), at + 1));
      const nodes = some.map((incident) => {
        shown.add(incident.incidentId);
        return card(incident, incident.incidentId === chosen);
      });
      if (nodes.length !== g.items.children.length || nodes.some((n, i) => g.items.children[i] !== n)) {
        const focused = document.activeElement;
        g.items.replaceChildren(...nodes);
        if (focused && g.items.contains(focused)) focused.focus({ preventScroll: true });
      }
      g.extra.hidden = some.length === incidents.length;
      g.extra.textContent = `Show ${count(Math.min(FIRST_CARDS, incidents.length - some.length))} more of ${count(incidents.length)}`;
    }
    for (const id of cards.keys()) if (!shown.has(id)) cards.delete(id);
    const layer = view.get('layer');
    const rank = view.get('rank');
    const naming = all.filter((i) => names(i, layer, rank)).length;
    summary.textContent = all.length === 0 ? 'No detector has spoken.' : [
      `${count(sorted.open.length)} open`, `${count(sorted.over.length)} over`, `${count(sorted.advice.length)} advice`,
      layer !== null || rank !== null ? `${count(naming)} name what is pinned (marked ◆)` : ''].filter(Boolean).join(' · ');
    for (const [id, c] of cards) {
      const incident = store.incidents.get(id);
      c.root.classList.toggle('named', names(incident, layer, rank));
      c.flag.textContent = names(incident, layer, rank) ? '◆' : '';
    }
    announce(all);
    if (scrollTo !== null && cards.has(scrollTo)) {
      reveal(cards.get(scrollTo).root);
      scrollTo = null;
    }
  }, signal);

  /** Scrolls the list alone: the page stays where it is. */
  function reveal(item) {
    const above = item.getBoundingClientRect().top - list.getBoundingClientRect().top;
    if (above < 0 || above + 80 > list.clientHeight) list.scrollTop += above - 8;
  }

  function refreshKinds(all) {
    const found = [...new Set(all.map((i) => i.kind))].sort();
    if (found.join() === kinds) return;
    kinds = found.join();
    const before = kind.value;
    kind.replaceChildren(...[['', 'any kind'], ...found.map((k) => [k, kindName(k)])]
      .map(([value, label]) => element('option', { value }, label)));
    kind.value = before;
  }

  function announce(all) {
    const fresh = told === null ? [] : all.filter((i) => !told.has(i.incidentId) && i.severity !== 'INFO');
    told = new Set(all.map((i) => i.incidentId));
    if (fresh.length === 0 || store.loading < 1) return;
    const first = fresh[0];
    announcer.textContent = fresh.length === 1
      ? `New incident, ${first.severity.toLowerCase()}: ${kindName(first.kind)}. ${clean(first.message, 200)}`
      : `${counted(fresh.length, 'new incident')}.`;
  }

  function card(incident, open) {
    let c = cards.get(incident.incidentId);
    if (!c) {
      const head = element('button', { type: 'button', class: 'card-head', onclick: () => choose(incident.incidentId) });
      const flag = element('span', { class: 'card-flag', 'aria-hidden': 'true' });
      c = { head, flag, root: element('li', { class: 'card' }, head), body: null, incident: null };
      cards.set(incident.incidentId, c);
    }
    if (c.incident !== incident) {
      c.root.className = `card severity-${incident.severity.toLowerCase()} ${isOpen(incident) ? 'is-open' : 'is-over'}`;
      const [picture, ...rest] = headOf(incident);
      c.head.replaceChildren(picture, c.flag, ...rest);
      c.head.title = incident.rootLayer === null ? '' : clean(incident.rootLayer, 500);
    }
    c.head.setAttribute('aria-expanded', String(open));
    c.root.classList.toggle('chosen', open);
    if (!open) {
      c.body?.remove();
      c.body = null;
    } else if (c.body === null || c.incident !== incident) {
      const body = element('div', { class: 'card-body' }, bodyOf(incident));
      if (c.body) replace(c.body, body);
      else c.root.append(body);
      c.body = body;
    }
    c.incident = incident;
    return c.root;
  }

  function choose(id) {
    if (view.get('incident') === id) {
      view.set({ incident: null }, { push: true });
      return;
    }
    const incident = store.incidents.get(id);
    view.set({
      incident: id,
      ...(incident.rootLayer !== null ? { layer: incident.rootLayer } : {}),
      ...(incident.rootRank !== null ? { rank: incident.rootRank } : {}),
    }, { push: true });
    view.go(incident.onsetStep);
  }

  function headOf(incident) {
    const over = !isOpen(incident);
    return [
      icon(incident.severity),
      element('span', { class: 'card-kind' }, kindName(incident.kind)),
      element('span', { class: 'card-severity' }, incident.severity.toLowerCase()),
      element('span', { class: 'card-state' }, over ? icon(incident.state) : '', over ? incident.state.toLowerCase() : 'open'),
      incident.verdict ? element('span', { class: 'tag' }, verdictName(incident.verdict.verdict)) : '',
      element('span', { class: 'card-steps' }, lifeOf(incident)),
      element('span', { class: 'card-root' }, rootOf(incident) || 'no layer or rank named'),
      element('span', { class: 'card-message' }, clean(incident.message, 400)),
    ];
  }

  function bodyOf(incident) {
    const i = incident;
    return [
      i.nextAction ? element('p', { class: 'next' }, element('strong', {}, 'Next: '), clean(i.nextAction, 600)) : null,
      i.advice ? element('p', { class: 'next advice' }, element('strong', {}, 'Advice: '), clean(i.advice, 600)) : null,
      i.account ? element('p', {}, clean(i.account, 1200)) : null,
      element('div', { class: 'card-columns' },
          element('div', {}, evidenceOf(i), factsOf(i)),
          element('div', {}, chainOf(i), suspectsOf(i), listOf('Changes before', i.changes), listOf('Blind spots', i.blindSpots), similarOf(i))),
      actionsOf(i),
    ];
  }

  function layerLink(layer, step) {
    const index = store.layerIndex(layer);
    return element('button', {
      type: 'button', class: 'link name', title: clean(layer, 500) + (index < 0 ? ' (not in the manifest)' : ''),
      onclick: () => {
        view.set({ layer }, { push: true });
        if (step !== undefined) view.go(step);
      },
    }, clean(layer, 48));
  }

  function rankLink(rank, step) {
    return element('button', { type: 'button', class: 'link', onclick: () => {
      view.set({ rank }, { push: true });
      if (step !== undefined) view.go(step);
    } }, `rank ${rank}`);
  }

  function stepLink(step) {
    if (step === null || step === undefined) return '–';
    return element('button', { type: 'button', class: 'link', onclick: () => view.go(step) }, formatStep(step));
  }

  function factsOf(i) {
    const losses = [i.lossBefore, i.lossAfter].map(asNumber);
    const facts = [
      ['layer', i.rootLayer === null ? 'none named' : layerLink(i.rootLayer)],
      ['rank', i.rootRank === null ? 'none named' : rankLink(i.rootRank)],
      i.host ? ['host', clean(i.host, 64)] : null,
      i.device ? ['device', clean(i.device, 64)] : null,
      ['onset', stepLink(i.onsetStep)],
      ['found', stepLink(i.openedStep)],
      ['last sick', stepLink(i.lastStep)],
      i.resolvedStep !== null ? ['resolved', stepLink(i.resolvedStep)] : null,
      i.cause ? ['cause', causeName(i.cause)] : null,
      i.confidence !== null ? ['confidence', percent(i.confidence)] : null,
      losses[0] !== null || losses[1] !== null ? ['loss', `${number(losses[0])} → ${number(losses[1])}`] : null,
      ['last good step', stepLink(i.lastGoodStep)],
      ['checkpoint', i.lastCheckpoint === null ? 'none known' : stepLink(i.lastCheckpoint)],
      ['policy', `version ${count(i.policyVersion)}${i.timed ? '; decided by wall time: a replay may differ' : ''}`],
      ['detected', moment(i.detectedAt)],
    ];
    return element('dl', { class: 'facts' }, facts.filter(Boolean).map(([name, value]) =>
      [element('dt', {}, name), element('dd', {}, value)]).flat());
  }

  function evidenceOf(i) {
    const e = i.evidence;
    if (!e) return null;
    const observed = asNumber(e.observed);
    const threshold = asNumber(e.threshold);
    const said = `Observed ${number(observed)} ${clean(e.unit, 60)}, threshold ${number(threshold)}.`;
    const tail = e.tail ?? [];
    const steps = e.tailSteps ?? [];
    return element('figure', { class: 'evidence' },
        observed === null && threshold === null ? null : element('figcaption', {}, element('strong', {}, number(observed)), ` ${clean(e.unit, 60)} against `,
            element('strong', {}, number(threshold))),
        tail.length ? spark(tail, threshold, said) : null,
        tail.length ? element('small', { class: 'dim' }, `steps ${formatStep(steps[0] ?? 0)} to ${formatStep(steps.at(-1) ?? 0)}`
          + (sparkline(tail, threshold, SPARK.width, SPARK.height).outside ? '; the threshold lies outside the picture' : '; dashed: threshold')) : null);
  }

  function chainOf(i) {
    const chain = i.chain ?? [];
    if (!chain.length) return null;
    const items = chain.map((link) => element('li', {},
        stepLink(link.step), ' ', kindName(link.kind), ' ',
        link.layer !== null ? layerLink(link.layer, link.step) : '',
        link.rank !== null ? rankLink(link.rank, link.step) : '',
        element('span', { class: 'dim' }, ` ${number(asNumber(link.observed))}`)));
    const rest = element('button', { type: 'button', class: 'link', onclick: () => {
      unfolded.add(i.incidentId);
      for (const item of items) item.hidden = false;
      rest.remove();
      items[FIRST_LINKS].querySelector('button')?.focus();
    } }, `${count(chain.length - FIRST_LINKS)} more`);
    const folded = chain.length > FIRST_LINKS && !unfolded.has(i.incidentId);
    items.slice(FIRST_LINKS).forEach((item) => { item.hidden = folded; });
    return section('What followed', element('ol', { class: 'chain' }, items), folded ? rest : null);
  }

  function suspectsOf(i) {
    const suspects = i.suspects ?? [];
    if (suspects.length < 2) return null;
    const most = Math.max(...suspects.map((s) => s.score).filter(Number.isFinite), 0);
    const shown = suspects.slice(0, FIRST_LINKS);
    return section('Suspects', element('ol', { class: 'suspects' }, shown.map((s) => {
      const bar = element('span', { class: 'bar' });
      bar.style.width = `${most > 0 && Number.isFinite(s.score) ? Math.max(2, (s.score / most) * 100) : 100}%`;
      return element('li', {},
          element('span', {}, s.layer !== null ? layerLink(s.layer) : '', ' ', s.rank !== null ? rankLink(s.rank) : '',
              element('span', { class: 'dim' }, s.host ? ` ${clean(s.host, 40)}` : '', s.device ? ` ${clean(s.device, 20)}` : '')),
          element('span', { class: 'track', 'aria-hidden': 'true' }, bar),
          element('span', { class: 'score' }, number(s.score)));
    })), suspects.length > shown.length ? element('small', { class: 'dim' }, `and ${count(suspects.length - shown.length)} more`) : null);
  }

  function similarOf(i) {
    const similar = i.similar ?? [];
    if (!similar.length) return null;
    return section('Similar', element('ul', { class: 'similar' }, similar.map((s) => element('li', {},
        element('button', { type: 'button', class: 'link', onclick: () => goTo(s) },
            `${kindName(s.kind)} at ${formatStep(s.openedStep)}`),
        element('span', { class: 'dim', title: clean(s.run, 500) }, [
          s.run === store.run ? '' : ` in ${clean(s.run, 40)}`,
          s.rootLayer !== null ? clean(s.rootLayer, 32) : '', s.rootRank !== null ? `rank ${s.rootRank}` : '',
          s.cause ? s.cause.toLowerCase() : '', s.state.toLowerCase(),
          s.verdict ? verdictName(s.verdict) : ''].filter(Boolean).join(' · '))))));
  }

  function goTo(s) {
    if (s.run === store.run && (s.stream ?? store.stream) === store.stream) {
      view.set({ incident: s.incidentId }, { push: true });
      view.go(s.openedStep);
      scrollTo = s.incidentId;
    } else {
      // The other run may have no such layer, rank or step.
      view.set({ run: s.run, stream: s.stream ?? view.get('stream'), incident: s.incidentId, layer: s.rootLayer, rank: s.rootRank, to: null, cursor: s.openedStep }, { push: true });
    }
  }

  function actionsOf(i) {
    const verdict = i.verdict;
    const link = runbookOf(page.status?.runbook, i.kind);
    const buttons = [['TRUE', 'True fault'], ['FALSE', 'No fault'], ['EXPECTED', 'Expected']].map(([value, label]) =>
      needsWrites(element('button', {
        type: 'button', 'aria-pressed': String(verdict?.verdict === value), onclick: () => judge(i, value, label),
      }, label), page.status));
    return element('div', { class: 'card-actions' },
        element('span', { class: 'dim' }, 'Verdict'), buttons,
        verdict ? element('span', {}, `${verdictName(verdict.verdict)}${verdict.by ? `, by ${clean(verdict.by, 40)}` : ''}, ${moment(verdict.at)}${verdict.note ? `: ${clean(verdict.note, 200)}` : ''}`) : null,
        page.status?.writes ? null : element('span', { class: 'dim' }, 'The server was started without leave to write.'),
        element('span', { class: 'spacer' }),
        needsWrites(element('button', { type: 'button', onclick: () => changeRule(page, i.kind) }, `Rule for ${kindName(i.kind).toLowerCase()}…`), page.status),
        link ? element('a', { href: link, target: '_blank', rel: 'noreferrer' }, 'Runbook') : null);
  }

  async function judge(i, verdict, label) {
    const sent = await ask({
      title: `${label}: ${kindName(i.kind)} at step ${formatStep(i.openedStep)}`,
      lines: ['A verdict is kept with the incident and read by backtests of rules. A later one replaces it.'],
      fields: [{ name: 'note', label: 'Note (optional)', type: 'note', value: i.verdict?.note ?? '' }],
      action: 'Send verdict',
      send: ({ note }) => page.api.post('feedback', { run: store.run, incidentId: i.incidentId, verdict, note }),
    });
    if (sent) notice(`Verdict sent: ${verdictName(verdict)}.`);
  }

  list.addEventListener('keydown', (event) => {
    if (!event.target.classList.contains('card-head')) return;
    const heads = [...list.querySelectorAll('.card-head')].filter((h) => h.offsetParent !== null);
    const here = heads.indexOf(event.target);
    const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: heads.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    heads[Math.min(heads.length - 1, Math.max(0, next))].focus();
  }, on);
  for (const control of [severity, kind]) control.addEventListener('change', draw, on);
  text.addEventListener('input', draw, on);
  store.addEventListener('change', ({ kinds: changed }) => {
    if (changed.has('incidents') || changed.has('manifest')) draw();
    // A reader hears of it also while the list is off the screen.
    if (changed.has('incidents')) announce([...store.incidents.values()]);
  }, on);
  view.addEventListener('change', ({ changed }) => {
    if (changed.has('incident')) scrollTo = view.get('incident');
    if (['incident', 'layer', 'rank'].some((key) => changed.has(key))) draw();
  }, on);
  draw();
}

/** Puts a newer body in place; the control that had the focus keeps it. */
function replace(old, body) {
  const controls = (node) => [...node.querySelectorAll('button, a')];
  const focused = controls(old).indexOf(document.activeElement);
  old.replaceWith(body);
  if (focused >= 0) controls(body)[focused]?.focus({ preventScroll: true });
}

function section(title, ...content) {
  return element('section', { class: 'card-section' }, element('h4', {}, title), content);
}

function listOf(title, lines) {
  return lines?.length ? section(title, element('ul', {}, lines.map((line) => element('li', {}, clean(line, 300))))) : null;
}

function spark(tail, threshold, said) {
  const { width, height } = SPARK;
  const picture = sparkline(tail, threshold, width, height);
  const path = picture.lines.map((points) => points.length === 1
    ? `M${points[0][0] - 1} ${points[0][1]}h2`
    : 'M' + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join('L')).join('');
  return shape('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': said },
      picture.threshold === null ? '' : shape('path', { class: 'spark-threshold', d: `M0 ${picture.threshold.toFixed(1)}H${width}` }),
      shape('path', { class: 'spark-line', d: path }),
      ...picture.marks.map(([x, name]) => shape('text', { class: 'spark-mark', x: x.toFixed(1), y: 9, 'text-anchor': x > width - 20 ? 'end' : 'middle' }, name)));
}

async function changeRule({ store, api }, kind) {
  const sent = await ask({
    title: 'Mode of a rule',
    lines: ['Off: not reported. Shadow: evaluated and counted, not published. Enabled: reported. '
      + 'Thresholds that a rule of this scope and kind has changed stay as they are.'],
    fields: [
      { name: 'kind', label: 'Kind', value: kind, required: true, hint: 'For example RANK_DIVERGENCE.' },
      { name: 'scope', label: 'Scope', type: 'select', value: 'run', options: [['run', `this run: ${clean(store.run, 40)}`], ['all', 'all runs']] },
      { name: 'mode', label: 'Mode', type: 'select', value: 'ENABLED', options: [['ENABLED', 'enabled'], ['SHADOW', 'shadow'], ['OFF', 'off']] },
    ],
    action: 'Set mode',
    send: async ({ kind: of, scope, mode }) => {
      const rule = { scope: scope === 'run' ? store.run : '*', kind: of.trim().toUpperCase(), mode };
      const before = (await api.get('rules')).find((r) => r.scope === rule.scope && r.kind === rule.kind);
      const { policyVersion } = await api.post('rules', { ...rule, thresholds: before?.thresholds ?? {} });
      notice(`${kindName(of)} is ${mode.toLowerCase()} for ${scope === 'run' ? 'this run' : 'all runs'}: policy version ${count(policyVersion)}.`);
    },
  });
  return sent;
}
