/** Which run, how it goes, and whether the page is current. */

import { element } from './forms.js';
import { clean, formatDuration, formatNorm, formatStep } from './scale.js';

/** Figures change at most this often, so that they can be read. */
const READABLE_MS = 250;

const FIGURES = [
  ['step', 'Step', (store) => formatStep(store.last < 0 ? null : store.last)],
  ['rate', 'Steps/s', (store) => rate(store)],
  ['loss', 'Loss', (store) => scalar(store, 'loss')],
  ['norm', 'Global norm', (store) => globalNorm(store)],
  ['lag', 'Pipeline lag', (store) => formatDuration(newest(store, 'lagMs'))],
  ['complete', 'Complete', (store) => completeness(store)],
  ['dropped', 'Dropped', (store) => formatStep(newest(store, 'dropped'))],
];

const TITLES = {
  step: 'Newest step',
  rate: 'Steps a second over the last 60 steps',
  loss: 'Mean loss of the newest step that has one',
  norm: 'L2 norm over all layers',
  lag: 'From the first shard of a step in the broker to the step in gradient-steps',
  complete: 'Contributions received over contributions due, newest step',
  dropped: 'Records that trainers have dropped so far, all ranks together',
};

function newest(store, name) {
  return store.last < 0 ? NaN : store.value(name, store.last);
}

function scalar(store, name) {
  // Not every step has a loss; a few back still count as now.
  const { [name]: values } = store.columns([name], store.last - 20 * store.stride, store.last);
  const found = values.findLast((value) => !Number.isNaN(value));
  return formatNorm(found ?? null);
}

function globalNorm(store) {
  if (newest(store, 'nonFinite') === 1) {
    return 'NaN';
  }
  const value = newest(store, 'globalNorm');
  return formatNorm(Number.isNaN(value) ? null : value);
}

function rate(store) {
  const state = store.pulse?.state;
  if (state !== undefined && state !== 'RUNNING') {
    return '–';
  }
  const value = store.stepRate;
  return Number.isFinite(value) ? (value >= 100 ? Math.round(value).toString() : value.toPrecision(2)) : '–';
}

function completeness(store) {
  const value = newest(store, 'completeness');
  // Rounding must not make a step complete that is not.
  return Number.isFinite(value) ? `${(Math.floor(value * 1000) / 10).toFixed(value === 1 ? 0 : 1)} %` : '–';
}

/** How grave a figure is: '', 'odd' or 'bad'. */
function gravity(key, store) {
  switch (key) {
    case 'norm':
      return newest(store, 'nonFinite') === 1 ? 'bad' : '';
    case 'complete':
      return newest(store, 'completeness') < 1 ? 'odd' : '';
    case 'dropped':
      return newest(store, 'dropped') > 0 ? 'odd' : '';
    case 'lag':
      return newest(store, 'lagMs') > 10_000 ? 'odd' : '';
    default:
      return '';
  }
}

/** A button with a list of runs to choose from; typing filters. */
function chooser({ label, face, choose, current, api, signal, right = false }) {
  const root = element('div', { class: 'chooser' });
  const open = element('button');
  open.type = 'button';
  open.setAttribute('aria-haspopup', 'listbox');
  open.setAttribute('aria-expanded', 'false');
  open.setAttribute('aria-label', label);
  open.append(face);
  const menu = element('div', { class: right ? 'menu right' : 'menu' });
  menu.hidden = true;
  const search = element('input');
  search.type = 'search';
  search.placeholder = 'Type to filter runs';
  search.setAttribute('role', 'combobox');
  search.setAttribute('aria-expanded', 'true');
  search.setAttribute('aria-label', `${label}: filter`);
  const list = element('ul');
  list.setAttribute('role', 'listbox');
  list.id = `runs-${right ? 'compare' : 'main'}`;
  search.setAttribute('aria-controls', list.id);
  const note = element('p', { class: 'notice' });
  menu.append(search, list, note);
  root.append(open, menu);
  let runs = [];
  let selected = 0;

  const matching = () => {
    const word = search.value.toLowerCase();
    return runs.filter(({ run, stream }) => `${run} ${stream}`.toLowerCase().includes(word));
  };
  const draw = () => {
    const shown = matching();
    selected = Math.max(0, Math.min(selected, shown.length - 1));
    list.replaceChildren(
      ...shown.map((row, i) => {
        const item = element('li');
        item.id = `${list.id}-${i}`;
        item.setAttribute('role', 'option');
        item.setAttribute('aria-selected', String(i === selected));
        item.setAttribute('aria-current', String(current(row)));
        const name = element('span', { class: 'name' }, clean(row.run, 60) + (row.stream === 'main' ? '' : ` · ${clean(row.stream, 20)}`));
        name.title = `${clean(row.run, 500)} (stream ${clean(row.stream, 500)})`;
        const state = element('span', { class: 'state' }, row.state.toLowerCase());
        state.dataset.state = row.state;
        const incidents = element('span', { class: 'open' }, row.open > 0 ? `${row.open} open` : '');
        incidents.dataset.worst = row.worst ?? '';
        item.append(name, state, element('span', { class: 'number' }, formatStep(row.step)), incidents);
        item.addEventListener('click', () => pick(row));
        return item;
      }),
    );
    note.textContent = shown.length === 0 ? 'No run of that name.' : '';
    note.hidden = shown.length > 0;
    search.setAttribute('aria-activedescendant', shown.length > 0 ? `${list.id}-${selected}` : '');
    list.children[selected]?.scrollIntoView({ block: 'nearest' });
  };
  const show = async () => {
    menu.hidden = false;
    open.setAttribute('aria-expanded', 'true');
    search.value = '';
    selected = 0;
    draw();
    search.focus();
    try {
      runs = await api.get('runs', {}, { signal });
      draw();
    } catch (error) {
      note.hidden = false;
      note.textContent = error.message;
    }
  };
  const hide = () => {
    menu.hidden = true;
    open.setAttribute('aria-expanded', 'false');
  };
  const pick = (row) => {
    hide();
    open.focus();
    choose(row);
  };
  open.addEventListener('click', () => (menu.hidden ? show() : hide()), { signal });
  search.addEventListener(
    'input',
    () => {
      selected = 0;
      draw();
    },
    { signal },
  );
  menu.addEventListener(
    'keydown',
    (event) => {
      const shown = matching();
      if (event.key === 'Escape') {
        hide();
        open.focus();
      } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        selected = Math.max(0, Math.min(shown.length - 1, selected + (event.key === 'ArrowDown' ? 1 : -1)));
        draw();
      } else if (event.key === 'Enter' && shown[selected]) {
        pick(shown[selected]);
      }
    },
    { signal },
  );
  document.addEventListener('pointerdown', (event) => !root.contains(event.target) && hide(), { signal });
  return root;
}

const NEXT_THEME = { auto: 'light', light: 'dark', dark: 'auto' };
const THEME_FACE = { auto: '◐', light: '○', dark: '●' };

const CONNECTION = {
  connecting: 'connecting',
  live: 'live',
  reconnecting: 'reconnecting…',
};

export function mountHeader(root, { store, other, view, api, status, signal }) {
  const brand = element('div', { class: 'brand' });
  const icon = element('img');
  icon.src = '/page/icon.svg';
  icon.alt = '';
  brand.append(icon, element('span', {}, 'gradflow'));
  brand.title = `gradflow ${status?.version ?? ''}`;

  const name = element('span', { class: 'name' }, clean(store.run, 42) + (store.stream === 'main' ? '' : ` · ${clean(store.stream, 20)}`));
  const runState = element('span', { class: 'state' });
  const runs = chooser({
    label: `Run ${clean(store.run, 80)}: choose another`,
    face: name,
    choose: ({ run, stream }) =>
      view.set({ run, stream, to: null, cursor: null, incident: null, rank: null }, { push: true }),
    current: ({ run, stream }) => run === store.run && stream === store.stream,
    api,
    signal,
  });
  runs.append(runState);

  const figures = element('dl', { class: 'figures' });
  const shown = new Map();
  for (const [key, title, read] of FIGURES) {
    const figure = element('div', { class: 'figure' });
    figure.title = TITLES[key];
    const value = element('dd', {}, '–');
    figure.append(element('dt', {}, title), value);
    figures.append(figure);
    shown.set(key, { figure, value, read });
  }

  const tools = element('div', { class: 'tools' });
  const connection = element('span', { class: 'state' });
  connection.setAttribute('role', 'status');
  const compare = chooser({
    label: 'Compare with another run or another span',
    face: document.createTextNode(other === null ? 'Compare with…' : 'Comparing'),
    choose: ({ run, stream }) => {
      const same = run === store.run && stream === store.stream;
      const span = view.get('span');
      const { from } = view.visible(store);
      view.set({ run2: run, stream2: stream, to2: same ? Math.max(span - 1, from - 1) : null }, { push: true });
    },
    current: ({ run, stream }) => other !== null && run === other.run && stream === other.stream,
    api,
    signal,
    right: true,
  });
  const theme = element('button');
  theme.type = 'button';
  theme.addEventListener('click', () => view.set({ theme: NEXT_THEME[view.get('theme')] }), { signal });
  tools.append(connection, compare, theme);
  root.append(brand, runs, figures, tools);

  const write = (node, text) => {
    if (node.textContent !== text) {
      node.textContent = text;
    }
  };
  const draw = () => {
    for (const [key, { figure, value, read }] of shown) {
      write(value, read(store));
      figure.className = `figure ${gravity(key, store)}`;
    }
    const state = store.pulse?.state ?? '';
    runState.dataset.state = state;
    write(runState, state.toLowerCase());
    connection.dataset.state = store.connection;
    let text = CONNECTION[store.connection];
    if (store.connection === 'live' && store.error !== null) {
      text = store.error;
    } else if (store.connection === 'live' && store.pulse?.reading?.done === false) {
      text = `reading topics ${Math.floor(100 * (store.pulse.reading.fraction ?? 0))} %`;
    } else if (store.connection === 'live' && store.loading < 1) {
      text = 'loading history…';
    }
    const behind = store.pulse?.readLagMs;
    connection.title =
      store.error !== null ? clean(store.error, 500) : Number.isFinite(behind) ? `The server reads ${formatDuration(behind)} behind the topics` : '';
    write(connection, clean(text, 48));
    const open = [...store.incidents.values()].filter(
      (incident) => incident.state !== 'RESOLVED' && incident.state !== 'EXPIRED' && incident.severity !== 'INFO',
    );
    const critical = open.some((incident) => incident.severity === 'CRITICAL');
    const title = `${open.length > 0 ? `(${open.length}${critical ? '!' : ''}) ` : ''}${clean(store.run, 40)} – gradflow`;
    if (document.title !== title) {
      document.title = title;
    }
  };
  const drawTheme = () => {
    const chosen = view.get('theme');
    theme.textContent = THEME_FACE[chosen];
    theme.title = `Theme: ${chosen === 'auto' ? 'as the system' : chosen}`;
    theme.setAttribute('aria-label', theme.title);
  };
  let timer = 0;
  const soon = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      draw();
    }, READABLE_MS);
  };
  store.addEventListener('change', soon, { signal });
  view.addEventListener('change', (event) => event.changed.has('theme') && drawTheme(), { signal });
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
  });
  draw();
  drawTheme();
}
