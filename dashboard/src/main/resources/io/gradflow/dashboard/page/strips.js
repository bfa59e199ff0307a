/** Strips along the heat map's axis of steps: incidents above; run events, completeness, non-finite steps and the axis below. */

import { ink, severityInk } from './colours.js';
import { formatStep, stepTicks } from './scale.js';

const LANE = 9;
const LANES = 4;
export const STRIP = 14;
const AXIS = 18;
export const ABOVE_HEIGHT = LANE * LANES + 4;
export const BELOW_HEIGHT = STRIP * 3 + AXIS + 4;
export const BELOW_NAMES = ['run events', 'incomplete', 'NaN, Inf'];

const ORDER = { CRITICAL: 0, WARNING: 1, INFO: 2 };

/** Whether the incident is neither resolved nor expired. */
export function isOpen(incident) {
  return incident.state !== 'RESOLVED' && incident.state !== 'EXPIRED';
}

/** Last step an incident covers. */
function endOf(incident, last) {
  if (isOpen(incident)) {
    return last;
  }
  return incident.resolvedStep ?? incident.lastStep;
}

function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/**
 * Draws bars from onset to resolution; the grave ones first find a lane. Returns where they are, topmost last:
 * {incident, left, right, top, bottom}. What finds no lane shares the last.
 */
export function drawIncidents(canvas, scale, width, incidents, last, chosen) {
  const context = prepare(canvas, width, ABOVE_HEIGHT);
  const shown = [];
  for (const incident of incidents.values()) {
    const left = scale.x(incident.onsetStep);
    const right = Math.max(scale.x(endOf(incident, last) + 1), left + 7);
    if (right >= 0 && left <= width) {
      shown.push({ incident, left, right });
    }
  }
  shown.sort(
    (a, b) =>
      (ORDER[a.incident.severity] ?? 2) - (ORDER[b.incident.severity] ?? 2) || a.incident.onsetStep - b.incident.onsetStep,
  );
  const lanes = Array.from({ length: LANES }, () => []);
  for (const bar of shown) {
    const free = lanes.findIndex((lane) => lane.every((other) => bar.right + 2 < other.left || bar.left > other.right + 2));
    const lane = free < 0 ? LANES - 1 : free;
    lanes[lane].push(bar);
    bar.top = 2 + lane * LANE;
    bar.bottom = bar.top + LANE - 2;
    drawBar(context, bar, width, bar.incident.incidentId === chosen);
  }
  return shown;
}

function drawBar(context, { incident, left, right, top, bottom }, width, chosen) {
  const from = Math.max(left, -4);
  const to = Math.min(right, width + 4);
  const colour = severityInk(incident.severity);
  const middle = (top + bottom) / 2;
  context.fillStyle = colour;
  context.strokeStyle = colour;
  context.lineWidth = 1;
  if (incident.severity === 'CRITICAL') {
    context.fillRect(from, top, to - from, bottom - top);
  } else if (incident.severity === 'WARNING') {
    context.globalAlpha = 0.25;
    context.fillRect(from, top, to - from, bottom - top);
    context.globalAlpha = 1;
    context.strokeRect(from + 0.5, top + 0.5, to - from - 1, bottom - top - 1);
    context.fillRect(from, top, 3, bottom - top);
  } else {
    context.fillRect(from, middle - 1, to - from, 2);
    context.fillRect(from, top, 2, bottom - top);
  }
  if (isOpen(incident)) {
    context.beginPath();
    context.moveTo(to - 1, top - 0.5);
    context.lineTo(to + 4, middle);
    context.lineTo(to - 1, bottom + 0.5);
    context.fill();
  }
  if (chosen) {
    context.strokeStyle = ink('--text');
    context.lineWidth = 1.5;
    context.strokeRect(from - 1.5, top - 1.5, to - from + 3, bottom - top + 3);
  }
}

/** Draws events, completeness, non-finite steps and the axis; returns the events with their x. */
export function drawBelow(canvas, scale, width, store, stride) {
  const context = prepare(canvas, width, BELOW_HEIGHT);
  context.fillStyle = ink('--grid');
  for (let i = 1; i <= 3; i++) {
    context.fillRect(0, STRIP * i - 1, width, 1);
  }
  const events = drawEvents(context, scale, width, store);
  drawHealth(context, scale, store, stride);
  drawAxis(context, scale, width);
  return events;
}

function drawEvents(context, scale, width, store) {
  const drawn = [];
  for (const event of store.events) {
    const x = Math.round(scale.x(event.step + 1));
    if (x < -6 || x > width + 6) {
      continue;
    }
    const y = (STRIP - 1) / 2;
    context.fillStyle = ink('--dim');
    context.strokeStyle = ink('--dim');
    context.lineWidth = 1.2;
    context.beginPath();
    if (event.type === 'CHECKPOINT') {
      context.moveTo(x, y - 4);
      context.lineTo(x + 4, y);
      context.lineTo(x, y + 4);
      context.lineTo(x - 4, y);
      context.fill();
    } else if (event.type === 'CHANGED') {
      context.fillStyle = ink('--warning');
      context.moveTo(x, y - 4);
      context.lineTo(x + 4.5, y + 4);
      context.lineTo(x - 4.5, y + 4);
      context.fill();
    } else if (event.type === 'EVAL') {
      context.arc(x, y, 2.5, 0, 7);
      context.stroke();
    } else {
      context.fillRect(x - 1, 1, 2, STRIP - 3);
    }
    drawn.push({ event, x });
  }
  return drawn;
}

function drawHealth(context, scale, store, stride) {
  const incomplete = new Map();
  const broken = new Set();
  store.each(scale.from - stride + 1, scale.to, (chunk, row, step) => {
    const { completeness, missing, nonFinite } = chunk.columns;
    const lack = Math.max(1 - completeness[row], missing[row] > 0 ? 0.001 : 0);
    const bad = nonFinite[row] === 1;
    if (lack > 0 || bad) {
      const left = Math.floor(scale.x(step));
      const right = Math.max(left + 1, Math.ceil(scale.x(step + stride)));
      for (let x = left; x < right; x++) {
        if (lack > 0) {
          incomplete.set(x, Math.max(incomplete.get(x) ?? 0, lack));
        }
        if (bad) {
          broken.add(x);
        }
      }
    }
  });
  context.fillStyle = ink('--warning');
  for (const [x, lack] of incomplete) {
    const height = Math.max(3, Math.round(lack * (STRIP - 3)));
    context.fillRect(x, 2 * STRIP - 2 - height, 1, height);
  }
  context.fillStyle = ink('--nan');
  for (const x of broken) {
    context.fillRect(x, 2 * STRIP + 3, 1, STRIP - 6);
  }
}

function drawAxis(context, scale, width) {
  context.fillStyle = ink('--dim');
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = 'top';
  context.textAlign = 'center';
  const top = STRIP * 3;
  for (const step of stepTicks(scale.from, scale.to, Math.max(2, Math.floor(width / 90)))) {
    const x = scale.x(step) + 0.5 / scale.perPixel;
    context.fillRect(Math.round(x), top, 1, 4);
    const label = formatStep(step);
    const half = context.measureText(label).width / 2;
    context.fillText(label, Math.min(Math.max(x, half), width - half), top + 6);
  }
}
