import { equal, holds, near } from './check.js';
import { INF, MISSING, NAN, ZERO } from '/page/cells.js';
import { BLANK, Column, gather } from '/page/painter.js';
import { BLOCK, Blocks } from '/page/pyramid.js';
import { layBands, layRows } from '/page/rows.js';
import { StepScale } from '/page/scale.js';

const CHUNK = 256;

/** Chunks of `count` steps whose cells `code(step, layer)` says. */
function chunks(count, layers, code) {
  const made = [];
  for (let base = 0; base < count; base += CHUNK) {
    const slots = new Int16Array(CHUNK).fill(-1);
    const cells = new Int16Array(CHUNK * layers);
    for (let slot = 0; slot < CHUNK && base + slot < count; slot++) {
      // Rows in another order than steps, as after late steps.
      const row = CHUNK - 1 - slot;
      slots[slot] = row;
      for (let layer = 0; layer < layers; layer++) {
        cells[row * layers + layer] = code(base + slot, layer);
      }
    }
    const norms = new Blocks(CHUNK, layers);
    norms.update(slots, cells);
    made.push({ base, slots, cells, layers, norms });
  }
  return made;
}

function bandsOf(count, height, folded = []) {
  const layers = Array.from({ length: count }, (_, i) => ({ name: `l${i}`, block: 'b', depth: i }));
  return layBands(layRows(layers, folded, ''), count, height);
}

/** Codes of each column of a picture `width` wide. */
function picture(all, steps, width, bands) {
  const scale = new StepScale(0, steps - 1, width);
  const column = new Column(bands);
  const flat = new Float32Array(bands.bandOf.length);
  const shown = [];
  for (let c = scale.firstColumn; c <= scale.lastColumn; c++) {
    const [from, to] = scale.stepsOf(c);
    const here = all.filter((chunk) => chunk.base <= to && chunk.base + CHUNK > from);
    gather(column, here, from, to, 'norm', flat);
    column.end();
    shown.push(Int16Array.from(column.code));
  }
  return shown;
}

const noise = (step, layer) => ((step * 31 + layer * 17) % 41) - 20;

export function aSpikeOfOneStepInTenThousandIsSeen() {
  for (const at of [0, 1, 4999, 5003, 9999]) {
    const all = chunks(10_000, 30, (step, layer) => (step === at && layer === 13 ? 900 : noise(step, layer)));
    const shown = picture(all, 10_000, 900, bandsOf(30, 10));
    const seen = shown.filter((column) => column.some((code) => code >= 850)).length;
    equal(seen, 1, `columns that show the spike at step ${at}`);
    holds(shown[Math.min(899, Math.floor(at / (10_000 / 900)))].some((code) => code >= 850) || at % BLOCK !== 0, 'its place');
  }
}

export function aDipOfOneStepIsSeenToo() {
  const all = chunks(5000, 4, (step, layer) => (step === 2503 && layer === 2 ? -900 : noise(step, layer)));
  const shown = picture(all, 5000, 300, bandsOf(4, 4));
  equal(shown.filter((column) => column[2] < -850).length, 1);
}

export function aSingleNaNOrInfOrGapIsSeenHoweverFarAway() {
  for (const mark of [NAN, INF, MISSING, ZERO]) {
    const all = chunks(10_000, 40, (step, layer) => (step === 7777 && layer === 22 ? mark : noise(step, layer)));
    const shown = picture(all, 10_000, 500, bandsOf(40, 8));
    equal(shown.filter((column) => column.includes(mark)).length, 1, `columns with ${mark}`);
  }
}

export function oneLayerShowsItsOwnCode() {
  const all = chunks(64, 3, (step, layer) => step * 10 + layer);
  const shown = picture(all, 64, 64, bandsOf(3, 30));
  shown.forEach((column, step) => equal([...column], [step * 10, step * 10 + 1, step * 10 + 2]));
}

export function aFoldedRowShowsTheLayerThatDeparts() {
  const level = [0, -1000, -2000];
  const all = chunks(256, 3, (step, layer) => level[layer] + (step === 100 && layer === 1 ? 700 : 0));
  const shown = picture(all, 256, 256, bandsOf(3, 30, ['b']));
  near(shown[50][0], -1000, 3, 'the usual level of the block');
  near(shown[100][0], -300, 3, 'the level and the departure');
}

export function nothingIsNotZero() {
  const column = new Column(bandsOf(2, 2));
  column.begin(new Float32Array(2));
  equal(column.filled, false);
  column.end();
  equal([...column.code], [BLANK, BLANK]);
}

export function aBlockIsRecomputedWhenItsCellsChange() {
  const [chunk] = chunks(256, 1, () => 0);
  chunk.cells[chunk.slots[40]] = 500;
  chunk.norms.dirty(40);
  chunk.norms.update(chunk.slots, chunk.cells);
  equal(chunk.norms.high[5], 500);
  equal(chunk.norms.low[5], 0);
  chunk.cells[chunk.slots[40]] = NAN;
  chunk.norms.dirty(40);
  chunk.norms.update(chunk.slots, chunk.cells);
  equal(chunk.norms.high[5], 0);
  equal(chunk.norms.bits[5], 1);
}
