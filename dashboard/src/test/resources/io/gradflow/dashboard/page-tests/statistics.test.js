import { depthFit, divergence, median, peersOf, quantile, steepestBoundary } from '/page/statistics.js';

function near(actual, expected, room = 1e-9) {
  if (!(Math.abs(actual - expected) <= room)) throw new Error(`expected ${expected} ± ${room}, got ${actual}`);
}

function equal(actual, expected) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`expected ${e}, got ${a}`);
}

export async function mediansAndQuantiles() {
  near(median([3, 1, 2]), 2);
  near(median([4, 1, 2, 3]), 2.5);
  near(median([10, 9, 100]), 10);
  equal(Number.isNaN(median([])), true);
  near(quantile([0, 10, 20, 30, 40], 0.05), 2);
  near(quantile([0, 10, 20, 30, 40], 0.95), 38);
}

export async function aRankIsHeldAgainstTheMedianOfItsPeers() {
  const { octaves, z } = divergence([1, 1, 1, 1, 8], [0, 0, 0, 0, 0]);
  equal([...octaves], [0, 0, 0, 0, 3]);
  near(z[4], 30);
}

export async function peersHoldTheSamePartOfTheModel() {
  const peers = peersOf([{ name: 'dp_shard', size: 3 }, { name: 'tp', size: 2 }], 6);
  equal([0, 1, 2, 3, 4, 5].map(peers), [0, 1, 0, 1, 0, 1]);
  equal([0, 5].map(peersOf([{ name: 'dp_replicate', size: 6 }], 6)), [0, 0]);
  equal([0, 5].map(peersOf([{ name: 'tp', size: 2 }], 6)), [0, 0]);
  equal([0, 5].map(peersOf(null, 6)), [0, 0]);
  const norms = [1, 100, 1, 100, 1, 100];
  equal([...divergence(norms, [0, 1, 2, 3, 4, 5].map(peers)).octaves], [0, 0, 0, 0, 0, 0]);
}

export async function withoutThreePeersThereIsNoMiddle() {
  equal([...divergence([1, 8], [0, 0]).z].map(Number.isNaN), [true, true]);
  equal([...divergence([1, 1, null, 'NaN', 4], [0, 0, 0, 0, 0]).octaves].map(Number.isNaN), [false, false, true, true, false]);
}

export async function aRankWithoutAnyGradientIsFarOut() {
  const { octaves } = divergence([0, 1, 1, 1], [0, 0, 0, 0]);
  equal(octaves[0] === -Infinity, true);
  equal(octaves[1], 0);
  const lone = divergence([0, 0, 0, 1], [0, 0, 0, 0]);
  equal([lone.z[0], lone.z[3] === Infinity], [0, true]);
}

export async function theLineOverDepthIsTheLeastSquares() {
  const depth = [0, 1, 2, 3, 4, 5];
  const fit = depthFit(depth.map((d) => 0.5 * d - 10), depth);
  near(fit.slope, 0.5);
  near(fit.drop, 2.5);
  equal(fit.t > 100, true);
  equal(depthFit([1, NaN, NaN, 2, 3, 4], depth), null);
  equal(depthFit([1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1]), null);
  near(depthFit([0, -Infinity, 1, 1.5, 2, 2.5], depth).slope, 0.5);
}

export async function aStepInTheProfileIsABreakAndALoneLayerIsNot() {
  const depth = [...Array(24).keys()];
  const noise = depth.map((d) => 0.05 * Math.sin(d * 12.9898));
  const broken = steepestBoundary(depth.map((d) => noise[d] + (d >= 10 ? 0 : -4)), depth);
  equal([broken.inputSide, broken.lossSide, broken.isBreak], [9, 10, true]);
  near(broken.fall, 4, 0.2);
  equal(steepestBoundary(depth.map((d) => noise[d] + (d === 10 ? -4 : 0)), depth).isBreak, false);
  equal(steepestBoundary(depth.map((d) => noise[d] + 0.3 * d), depth).isBreak, false);
  equal(steepestBoundary(depth.slice(0, 7), depth.slice(0, 7)), null);
}
