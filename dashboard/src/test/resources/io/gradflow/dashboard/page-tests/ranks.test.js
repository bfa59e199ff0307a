import { byNode, layoutNodes, rankRows, rankSentence, remarkable } from '/page/ranks.js';

function equal(actual, expected) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`expected ${e}, got ${a}`);
}

function step(ranks, norms, more = {}) {
  return { ranks: { rank: ranks, localNorm: norms, lagMs: ranks.map(() => 10), dropped: ranks.map(() => 0), host: null, device: null, loss: null }, ...more };
}

export async function aMissingRankIsARowOfItsOwn() {
  const rows = rankRows(step([0, 2, 3], [1, 1, 1], { missingRanks: [1] }), { worldSize: 4, mesh: [] });
  equal(rows.map((r) => [r.rank, r.missing, r.norm]), [[0, false, 1], [1, true, null], [2, false, 1], [3, false, 1]]);
  equal(rows[1].z, null);
}

export async function farOutIsByOctavesAndByScatter() {
  const far = (norm) => rankRows(step([0, 1, 2, 3, 4], [1, 1, 1, 1, norm]), { worldSize: 5, mesh: [] })[4].far;
  equal([far(2 ** 1.9), far(4), far(1 / 4), far(0), far('NaN')], [false, true, true, true, false]);
  const noisy = rankRows(step([0, 1, 2, 3, 4], [1, 2, 4, 8, 64]), { worldSize: 5, mesh: [] });
  equal(noisy[4].far, false);
}

export async function aStepWithoutRanksHasNoRows() {
  equal(rankRows({ ranks: null, missingRanks: null, conflictingRanks: null }, null), []);
}

export async function nodesAreHostsElseEights() {
  const named = [0, 1, 2, 9].map((rank) => ({ rank, host: rank === 1 ? null : rank < 8 ? 'a' : 'b' }));
  equal(byNode(named).map((n) => [n.name, n.rows.map((r) => r.rank)]), [['a', [0, 1, 2]], ['b', [9]]]);
  const nameless = [0, 7, 8].map((rank) => ({ rank, host: null }));
  equal(byNode(nameless).map((n) => [n.name, n.rows.length]), [['ranks 0–7', 2], ['ranks 8–15', 1]]);
}

export async function fewRanksAreLargeAndLabelled() {
  const plan = layoutNodes([4], 400, 420);
  equal([plan.label > 0, plan.cell.w >= 44], [true, true]);
  equal(layoutNodes([65], 400, 420).label, 0);
}

export async function thousandsOfRanksFitBesideEachOther() {
  const plan = layoutNodes(Array(2048).fill(8), 400, 500);
  if (plan.height > 500) throw new Error(`expected a height of at most 500, got ${plan.height}`);
  const right = Math.max(...plan.at.map((p) => p.x)) + plan.columns * plan.cell.w;
  if (right > 400) throw new Error(`expected a width of at most 400, got ${right}`);
  equal(new Set(plan.at.map((p) => `${p.x} ${p.y}`)).size, 2048);
}

export async function blocksOfNodesDoNotOverlap() {
  for (const [sizes, width] of [[[8, 8, 8], 90], [[1, 64], 300], [[3], 30], [Array(100).fill(16), 640]]) {
    const plan = layoutNodes(sizes, width, 500);
    const taken = new Set();
    sizes.forEach((size, n) => {
      for (let i = 0; i < size; i++) {
        const spot = `${plan.at[n].x + (i % plan.columns) * plan.cell.w} ${plan.at[n].y + plan.label + Math.floor(i / plan.columns) * plan.cell.h}`;
        if (taken.has(spot)) throw new Error(`two ranks at ${spot} of ${sizes} in ${width}`);
        taken.add(spot);
      }
    });
  }
}

export async function whatStandsOutComesFirst() {
  const row = (rank, more) => ({ rank, z: 0, dropped: 0, lagMs: 0, missing: false, conflicting: false, far: false, ...more });
  const rows = [row(0, {}), row(1, { z: -3 }), row(2, { far: true, z: 9 }), row(3, { missing: true, z: null }), row(4, { conflicting: true }), row(5, { dropped: 7 })];
  equal(remarkable(rows).map((r) => r.rank), [4, 3, 2, 1, 5, 0]);
  equal(rows.map((r) => r.rank), [0, 1, 2, 3, 4, 5]);
}

export async function aRankIsSaidInOneLine() {
  equal(rankSentence({ rank: 3, host: 'a\nb', device: 'cuda:1', norm: 2, octaves: 3, z: 9, far: true, lagMs: 1500, dropped: 2, loss: null, missing: false, conflicting: false }),
      'Rank 3 · a\ufffdb cuda:1 · local norm 2 · +3 octaves from its peers, z +9, far out · lag 1.5 s · 2 dropped');
}
