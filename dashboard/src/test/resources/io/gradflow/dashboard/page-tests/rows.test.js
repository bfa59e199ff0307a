import { equal } from './check.js';
import { layBands, layRows } from '/page/rows.js';

const LAYERS = [
  { name: 'head', block: 'head', depth: 9 },
  { name: 'a.w', block: 'a', depth: 1 },
  { name: 'a.b', block: 'a', depth: 1 },
  { name: 'b.w', block: 'b', depth: 2 },
];

export function layersStandByDepthAndThenByIndex() {
  const rows = layRows(LAYERS, [], '');
  equal([...rows.members], [1, 2, 3, 0]);
  equal([...rows.start], [0, 1, 2, 3, 4]);
  equal(rows.blocks.map(({ name, row, rows: n, layers }) => [name, row, n, layers]), [['a', 0, 2, 2], ['b', 2, 1, 1], ['head', 3, 1, 1]]);
}

export function aFoldedBlockIsOneRow() {
  const rows = layRows(LAYERS, ['a'], '');
  equal(rows.count, 3);
  equal([...rows.start], [0, 2, 3, 4]);
}

export function theFilterKeepsLayersThatHoldItsText() {
  equal([...layRows(LAYERS, [], '.W').members], [1, 3]);
  equal(layRows(LAYERS, [], 'nothing').count, 0);
}

export function layersWithoutDepthStandWhereTheirIndexPutsThem() {
  const rows = layRows([{ name: 'x', block: null, depth: null }, { name: 'y', block: '', depth: null }], [], '');
  equal([...rows.members], [0, 1]);
  equal(rows.blocks.length, 1);
}

export function everyLayerHasABandWhenRowsOutnumberPixels() {
  const layers = Array.from({ length: 1137 }, (_, i) => ({ name: `l${i}`, block: `b${i}`, depth: i }));
  const bands = layBands(layRows(layers, [], ''), layers.length, 400);
  equal(bands.count, 400);
  equal(bands.start[400], 1137);
  equal(bands.top[400], 400);
  equal(bands.bandOf.every((band, i) => i === 0 || band - bands.bandOf[i - 1] <= 1), true);
  equal(bands.bandOf[1136], 399);
}

export function aLayerLeftOutHasNoBand() {
  const bands = layBands(layRows(LAYERS, [], 'head'), LAYERS.length, 100);
  equal([...bands.bandOf], [0, -1, -1, -1]);
  equal([...bands.top], [0, 100]);
}

export function nothingToShowIsNoBand() {
  equal(layBands(layRows([], [], ''), 0, 100).count, 0);
}
