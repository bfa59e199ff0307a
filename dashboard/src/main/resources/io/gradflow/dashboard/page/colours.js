/** Colours of the page for canvases. Maps keep their order in grey and for the colour-blind. */

const VIRIDIS = [
  '#440154', '#482878', '#3e4989', '#31688e', '#26828e', '#1f9e89', '#35b779', '#6ece58', '#b5de2b', '#fde725',
];
const DIVERGING = {
  light: ['#08306b', '#1f6fb5', '#8cbcdf', '#f2f2ef', '#f3bc80', '#cf6a12', '#6e3200'],
  dark: ['#b5dcff', '#4f9fe6', '#234f80', '#1b1e23', '#7a4716', '#e58b2f', '#ffdfae'],
};

/** Red, green, blue of '#rrggbb'. */
function channels(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/** As a pixel of a canvas (little-endian RGBA). */
export function pixel(hex) {
  const [r, g, b] = channels(hex);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

function table(stops, size = 256) {
  const pixels = new Uint32Array(size);
  const colours = stops.map(channels);
  for (let i = 0; i < size; i++) {
    const at = (i / (size - 1)) * (colours.length - 1);
    const k = Math.min(Math.floor(at), colours.length - 2);
    const [r, g, b] = colours[k].map((c, j) => Math.round(c + (colours[k + 1][j] - c) * (at - k)));
    pixels[i] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }
  return pixels;
}

const TABLES = {
  norm: { light: table(VIRIDIS), dark: table(VIRIDIS) },
  deviation: { light: table(DIVERGING.light), dark: table(DIVERGING.dark) },
};

/** 256 pixels from the lowest to the highest value. */
export function palette(mode) {
  return TABLES[mode][scheme()];
}

/** CSS gradient of the same, left to right. */
export function gradient(mode) {
  const stops = mode === 'norm' ? VIRIDIS : DIVERGING[scheme()];
  return `linear-gradient(to right, ${stops.join(', ')})`;
}

/**
 * Marks: two pixels and the pattern that mixes them, so that they differ in shape and not in colour alone.
 * `pattern(x, y)` tells where the second pixel goes.
 */
export function marks() {
  const dark = scheme() === 'dark';
  return {
    nan: { a: pixel('#ff1f78'), b: pixel('#2b0014'), pattern: (x, y) => (x + y) % 6 < 2 },
    inf: { a: pixel('#ff1f78'), b: pixel('#ffffff'), pattern: (x, y) => y % 4 < 1 },
    missing: {
      a: pixel(dark ? '#3a3d42' : '#d4d6d9'),
      b: pixel(dark ? '#777c84' : '#8f949b'),
      pattern: (x, y) => (x + 600 - (y % 6)) % 6 < 1,
    },
    unplaced: {
      a: pixel(dark ? '#3a3d42' : '#d4d6d9'),
      b: pixel(dark ? '#777c84' : '#8f949b'),
      pattern: (x, y) => x % 4 === 1 && y % 4 === 1,
    },
    zero: { a: pixel('#000000'), b: pixel('#e8e8e8'), pattern: (x, y) => x % 6 < 2 && y % 4 === 2 },
  };
}

/** A mark's pixels, row by row. */
export function patterned({ a, b, pattern }, width, height) {
  return Uint32Array.from({ length: width * height }, (_, i) => (pattern(i % width, Math.floor(i / width)) ? b : a));
}

/** 'light' or 'dark': the one in force. */
export function scheme() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === 'light' || chosen === 'dark') {
    return chosen;
  }
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

const inks = new Map();

/** A CSS variable of the page as a colour that canvases take. Ask again after the theme has changed. */
export function ink(name) {
  const key = `${scheme()} ${name}`;
  let colour = inks.get(key);
  if (colour === undefined) {
    const probe = document.createElement('span');
    probe.style.color = `var(${name})`;
    probe.hidden = true;
    document.body.append(probe);
    colour = getComputedStyle(probe).color;
    probe.remove();
    inks.set(key, colour);
  }
  return colour;
}

const SEVERITY = { CRITICAL: '--critical', WARNING: '--warning', INFO: '--info' };

/** Colour of a severity; of an unknown one as of INFO. */
export function severityInk(severity) {
  return ink(SEVERITY[severity] ?? '--info');
}
