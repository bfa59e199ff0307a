// What the page builds and sends: elements without markup from text, dialogs, posts, notices.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element. Properties with a hyphen, 'role' and 'for' become attributes, 'class' the class, 'on…'
 * listeners, all others properties. Children are nodes or text; null is left out. Text is never
 * markup.
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === 'class') node.className = value;
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name.includes('-') || name === 'role' || name === 'for') node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return node;
}

/** An element of SVG with attributes. */
export function shape(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const ICONS = {
  // Severity is told by outline and glyph, not by colour alone.
  CRITICAL: 'M5 1h6l4 4v6l-4 4H5l-4-4V5z M8 4v5 M8 11.2v.6',
  WARNING: 'M8 1.5 15 14H1z M8 6v4 M8 11.6v.6',
  INFO: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z M8 7v4.5 M8 4.4v.6',
  RESOLVED: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z M4.8 8.2 7 10.4l4.2-4.6',
  EXPIRED: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z M8 4v4.4l2.8 1.6',
};

/** A small picture of a severity or state; it is hidden from screen readers, so say it beside. */
export function icon(name) {
  return shape('svg', { class: `icon icon-${name.toLowerCase()}`, viewBox: '0 0 16 16', 'aria-hidden': 'true' },
      shape('path', { d: Object.hasOwn(ICONS, name) ? ICONS[name] : ICONS.INFO, fill: 'none', stroke: 'currentColor', 'stroke-width': '1.5' }));
}

/**
 * Calls draw at most once a frame, however often it is asked to.
 *
 * @return the function that asks
 */
export function oncePerFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/** A canvas's context in CSS pixels, its bitmap as fine as the screen; clear. */
export function surface(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/**
 * Draws what is asked for at most once a frame, and only while root is on the screen; what is asked
 * meanwhile is drawn when it comes back.
 *
 * @return the function that asks
 */
export function drawer(root, draw, signal) {
  let visible = false;
  let owed = true;
  const paint = oncePerFrame(() => {
    if (signal.aborted) return;
    owed = !visible;
    if (visible) draw();
  });
  const watch = new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].isIntersecting;
    if (visible && owed) paint();
  }, { rootMargin: '100px' });
  watch.observe(root);
  const size = new ResizeObserver(paint);
  size.observe(root);
  signal.addEventListener('abort', () => {
    watch.disconnect();
    size.disconnect();
  });
  return paint;
}

/**
 * Keeps what load(key) returns for the key that is wanted now: one request at a time, at least so
 * many ms between two, the newest wish next.
 *
 * @param wanted returns the key, null: nothing is
 * @param show takes (value, key), or (null, key, error)
 * @return the function to call when the wish may have changed
 */
export function latest({ wanted, load, show, pause, signal }) {
  let shown = null;
  let busy = false;
  let timer = null;
  let free = 0;
  const next = () => {
    timer = null;
    const key = wanted();
    if (busy || key === null || key === shown || signal.aborted) return;
    busy = true;
    shown = key;
    load(key).then((value) => show(value, key), (error) => {
      if (error.name !== 'AbortError') show(null, key, error);
    }).finally(() => {
      busy = false;
      free = performance.now() + pause();
      wish();
    });
  };
  const wish = () => {
    if (timer === null && !busy && !signal.aborted && wanted() !== shown) {
      timer = setTimeout(next, Math.max(80, free - performance.now()));
    }
  };
  signal.addEventListener('abort', () => clearTimeout(timer));
  return wish;
}

/** Says something at the foot of the page: news go by themselves, errors stay until closed. */
export function notice(text, tone = 'news') {
  const shelf = noticeShelf();
  const note = element('div', { class: `notice notice-${tone}`, role: tone === 'error' ? 'alert' : 'status' },
      tone === 'error' ? icon('CRITICAL') : icon('RESOLVED'),
      element('span', {}, text),
      element('button', { type: 'button', class: 'plain', 'aria-label': 'Close this notice', onclick: () => note.remove() }, '×'));
  shelf.append(note);
  while (shelf.childElementCount > 4) shelf.firstElementChild.remove();
  if (tone !== 'error') setTimeout(() => note.remove(), 6000);
}

function noticeShelf() {
  const existing = document.getElementById('notices');
  if (existing) return existing;
  const shelf = element('div', { id: 'notices', class: 'notices' });
  document.body.append(shelf);
  return shelf;
}

/**
 * Asks for something in a dialog and sends it. It stays open, with the error, while send throws.
 *
 * @param fields [{name, label, value, type: 'text'|'number'|'select'|'note', options: [[value,
 *     label], …], hint, required, min, max}]
 * @param send takes {name: value}; may throw an Error whose message is shown
 * @return a promise: true once sent, false if it was closed
 */
export function ask({ title, lines = [], fields = [], action, send }) {
  return new Promise((resolve) => {
    const inputs = new Map();
    const error = element('p', { class: 'form-error', role: 'alert', hidden: true });
    const submit = element('button', { type: 'submit', class: 'primary' }, action);
    let sent = false;
    const form = element('form', { class: 'form' },
        element('h2', { id: 'dialog-title' }, title),
        lines.map((line) => element('p', { class: 'muted' }, line)),
        fields.map((field) => row(field, inputs)),
        error,
        element('div', { class: 'form-actions' },
            element('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'), submit));
    const dialog = element('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title' }, form);
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      submit.disabled = true;
      error.hidden = true;
      try {
        await send(Object.fromEntries([...inputs].map(([name, input]) => [name, input.value])));
        sent = true;
        dialog.close();
      } catch (e) {
        error.textContent = e.message;
        error.hidden = false;
      } finally {
        submit.disabled = false;
      }
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(sent);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function row(field, inputs) {
  const id = `field-${field.name}`;
  let input;
  if (field.type === 'select') input = choice(field.options, field.value);
  else if (field.type === 'note') input = element('textarea', { rows: 2, value: field.value ?? '', maxLength: 1000 });
  else {
    input = element('input', { type: field.type ?? 'text', value: String(field.value ?? ''), autocomplete: 'off' });
    if (field.min !== undefined) input.min = String(field.min);
    if (field.max !== undefined) input.max = String(field.max);
  }
  input.id = id;
  input.required = field.required ?? false;
  inputs.set(field.name, input);
  if (field.hint) input.setAttribute('aria-describedby', `${id}-hint`);
  return element('div', { class: 'form-row' },
      element('label', { for: id }, field.label), input,
      field.hint ? element('small', { id: `${id}-hint`, class: 'muted' }, field.hint) : null);
}

/** A select element of [value, label] pairs. */
export function choice(options, value, properties = {}) {
  const select = element('select', properties,
      options.map(([v, label]) => element('option', { value: v }, label)));
  if (value !== undefined && value !== null) select.value = value;
  return select;
}

/** A control that is off while the server takes no writes, and says so. */
export function needsWrites(control, status) {
  control.disabled = !status?.writes;
  control.title = status?.writes ? '' : 'The server was started without leave to write.';
  return control;
}
