/**
 * Mounts the views. Each is `mountX(root, page)` with page = {store, other, view, api, status, signal}: `other` is the store of
 * the second pane or null; `signal` is aborted, root emptied and the view mounted again when a pane shows another run.
 */

import * as api from './api.js';
import { mountCurves } from './curves.js';
import { mountDemo } from './demo.js';
import { mountHeader } from './header.js';
import { mountHeat } from './heatmap.js';
import { mountHistogram } from './histogram.js';
import { mountIncidents } from './incidents.js';
import { mountProfile } from './profile.js';
import { mountRanks } from './ranks.js';
import { Live, RunStore } from './store.js';
import { keep, parse } from './url.js';
import { View } from './view.js';

const VIEWS = {
  demo: mountDemo,
  heat: mountHeat,
  curves: mountCurves,
  profile: mountProfile,
  histogram: mountHistogram,
  ranks: mountRanks,
  incidents: mountIncidents,
};

const view = new View(parse(location.hash));
const live = new Live();
let status = null;
let mounted = null;

function mount(root, mountView, page) {
  root.replaceChildren();
  try {
    mountView(root, page);
  } catch (error) {
    console.error(error);
    const line = document.createElement('p');
    line.className = 'notice';
    line.textContent = `This view failed: ${error.message}`;
    root.replaceChildren(line);
  }
}

function notice(text) {
  const line = document.createElement('p');
  line.className = 'notice';
  line.textContent = text;
  return line;
}

/** Shows the runs the view names. */
function show() {
  const key = JSON.stringify([view.get('run'), view.get('stream'), view.get('run2'), view.get('stream2')]);
  if (mounted?.key === key || view.get('run') === null) {
    return;
  }
  mounted?.abort.abort();
  for (const store of mounted?.stores ?? []) {
    store.close();
  }
  const abort = new AbortController();
  const store = new RunStore(view.get('run'), view.get('stream'));
  const other = view.get('run2') === null ? null : new RunStore(view.get('run2'), view.get('stream2'));
  const stores = other === null ? [store] : [store, other];
  mounted = { key, abort, stores };
  view.panes(store, other);
  document.body.dataset.panes = stores.length;
  const page = { store, other, view, api, status, signal: abort.signal };
  mount(document.getElementById('header'), mountHeader, page);
  for (const [id, mountView] of Object.entries(VIEWS)) {
    mount(document.getElementById(id), mountView, page);
  }
  live.follow(stores);
}

function applyTheme() {
  const theme = view.get('theme');
  if (theme === 'auto') {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = theme;
  }
  try {
    localStorage.setItem('gradflow-theme', theme);
  } catch {
    // Storage may be forbidden: the address keeps it.
  }
}

function rememberedTheme() {
  try {
    const theme = localStorage.getItem('gradflow-theme');
    return theme === 'light' || theme === 'dark' ? theme : 'auto';
  } catch {
    return 'auto';
  }
}

async function firstRun() {
  for (;;) {
    try {
      status = await api.get('status');
      const runs = await api.get('runs');
      if (runs.length > 0) {
        return runs[0];
      }
      document.getElementById('heat').replaceChildren(notice('No run yet. The page shows the first one as soon as it publishes steps.'));
    } catch (error) {
      document.getElementById('heat').replaceChildren(notice(`The server does not answer: ${error.message}`));
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

if (view.get('theme') === 'auto') {
  view.set({ theme: rememberedTheme() });
}
applyTheme();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => view.themeChanged());
view.addEventListener('change', (event) => {
  if (event.changed.has('theme')) {
    applyTheme();
  }
  if (['run', 'stream', 'run2', 'stream2'].some((key) => event.changed.has(key))) {
    show();
  }
});
keep(view);

const newest = await firstRun();
if (view.get('run') === null) {
  view.set({ run: newest.run, stream: newest.stream });
}
show();
