/** Which layers stand in which row of the heat map, and which rows share a pixel. */

/**
 * Rows from the input to the loss: layers by depth (unknown depths where their index puts them), a folded block as one row,
 * layers whose name lacks the filter left out. `members` lists layer indices in that order; row r has members
 * start[r] to start[r + 1].
 */
export function layRows(layers, folded, filter) {
  const fold = new Set(folded);
  const word = filter.toLowerCase();
  const order = layers
    .map((layer, index) => ({ layer, index, depth: layer.depth ?? index }))
    .filter(({ layer }) => word === '' || layer.name.toLowerCase().includes(word))
    .sort((a, b) => a.depth - b.depth || a.index - b.index);
  const members = Int32Array.from(order, ({ index }) => index);
  const start = [];
  const blocks = [];
  order.forEach(({ layer, index }, i) => {
    const name = layer.block ?? '';
    const block = blocks[blocks.length - 1];
    if (block === undefined || block.name !== name) {
      blocks.push({ name, row: start.length, rows: 1, layers: 1, folded: fold.has(name) });
      start.push(i);
    } else {
      block.layers++;
      if (!block.folded) {
        block.rows++;
        start.push(i);
      }
    }
  });
  const count = start.length;
  start.push(order.length);
  return { members, start: Int32Array.from(start), count, blocks };
}

/**
 * Bands: rows, or as many neighbouring rows as share a pixel where there are more rows than pixels. Band b has members
 * start[b] to start[b + 1] and pixels top[b] to top[b + 1]; `bandOf` is by layer index, -1 for a layer left out.
 */
export function layBands(rows, layers, height) {
  const count = Math.min(rows.count, height);
  const start = new Int32Array(count + 1);
  const top = new Int32Array(count + 1);
  const bandOf = new Int32Array(layers).fill(-1);
  for (let b = 0; b <= count; b++) {
    start[b] = rows.start[Math.floor((b * rows.count) / Math.max(1, count))];
    top[b] = Math.floor((b * height) / Math.max(1, count));
  }
  for (let b = 0; b < count; b++) {
    for (let i = start[b]; i < start[b + 1]; i++) {
      bandOf[rows.members[i]] = b;
    }
  }
  return { count, start, top, bandOf };
}
