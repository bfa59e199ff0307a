// Robust statistics of ranks and of depth profiles, as the detectors have them. Pure.

/** Standard deviations in the median absolute deviation of a normal distribution. */
const DEVIATIONS = 1.4826;

/** Octaves by which ranks differ without anything being meant by it. */
const RANK_FLOOR = 0.1;

/** An absent median is NaN. The values are not changed. */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const n = sorted.length;
  if (n === 0) return NaN;
  return n % 2 ? sorted[n >> 1] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/** The value below which a share of the sorted values lies, between neighbours in proportion. */
export function quantile(sorted, share) {
  if (sorted.length === 0) return NaN;
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

/**
 * The peers of each rank: ranks of one group do the same with other data, those of different groups
 * hold different parts of the model.
 *
 * @param mesh dimensions {name, size}, slowest first
 * @return a function from rank to the number of its group; one group if the mesh is not the world's
 */
export function peersOf(mesh, worldSize) {
  const size = (mesh ?? []).reduce((all, axis) => all * axis.size, 1);
  const splits = (mesh ?? []).some((axis) => !isData(axis.name) && axis.size > 1);
  if (!splits || size !== worldSize) return () => 0;
  return (rank) => {
    let rest = rank;
    let group = 0;
    let factor = 1;
    for (let i = mesh.length - 1; i >= 0; i--) {
      const at = rest % mesh[i].size;
      rest = Math.floor(rest / mesh[i].size);
      if (!isData(mesh[i].name)) {
        group += at * factor;
        factor *= mesh[i].size;
      }
    }
    return group;
  };
}

function isData(axis) {
  return axis.startsWith('dp_') || axis === 'cp';
}

/**
 * How far each rank's norm lies from the median of its peers.
 *
 * @param norms LOCAL norms, null or non-finite where there is none
 * @param group number of each one's group of peers
 * @return {octaves, z}, aligned: log2 of the norm less the median's, and that over the scatter of
 *     the peers (0.1 octave at least). NaN without a norm or with fewer than three peers;
 *     -Infinity of a norm of exactly 0 among others that are not
 */
export function divergence(norms, group) {
  const x = Float64Array.from(norms, (v) => (typeof v === 'number' && v >= 0 && v < Infinity ? Math.log2(v) : NaN));
  const members = new Map();
  x.forEach((v, i) => {
    if (Number.isNaN(v)) return;
    if (!members.has(group[i])) members.set(group[i], []);
    members.get(group[i]).push(i);
  });
  const octaves = new Float64Array(x.length).fill(NaN);
  const z = new Float64Array(x.length).fill(NaN);
  for (const ranks of members.values()) {
    if (ranks.length < 3) continue;
    const middle = median(ranks.map((i) => x[i]));
    if (middle === -Infinity) {
      for (const i of ranks) octaves[i] = z[i] = x[i] === -Infinity ? 0 : Infinity;
      continue;
    }
    const scatter = Math.max(DEVIATIONS * median(ranks.map((i) => Math.abs(x[i] - middle))), RANK_FLOOR);
    for (const i of ranks) {
      octaves[i] = x[i] - middle;
      z[i] = octaves[i] / scatter;
    }
  }
  return { octaves, z };
}

/**
 * Least squares of x = log2 RMS on depth.
 *
 * @param x per layer by depth, not finite where unknown
 * @param depth aligned, not descending, growing toward the loss
 * @return {slope, t, drop, mean, meanDepth} in octaves; null if fewer than 5 layers or 2 depths are
 *     known
 */
export function depthFit(x, depth) {
  const at = [...x.keys()].filter((i) => Number.isFinite(x[i]));
  if (at.length < 5 || depth[at[0]] === depth[at[at.length - 1]]) return null;
  const mean = at.reduce((sum, i) => sum + x[i], 0) / at.length;
  const meanDepth = at.reduce((sum, i) => sum + depth[i], 0) / at.length;
  let sdd = 0;
  let sdx = 0;
  let sxx = 0;
  for (const i of at) {
    sdd += (depth[i] - meanDepth) ** 2;
    sdx += (depth[i] - meanDepth) * (x[i] - mean);
    sxx += (x[i] - mean) ** 2;
  }
  const slope = sdx / sdd;
  const residual = Math.max(sxx - slope * sdx, at.length * 1e-6);
  return {
    slope,
    t: slope / Math.sqrt(residual / (at.length - 2) / sdd),
    drop: slope * (depth[at[at.length - 1]] - depth[at[0]]),
    mean,
    meanDepth,
  };
}

/**
 * The boundary between two depths at which the gradient falls most toward the input, beyond its
 * slope elsewhere: medians of four depths on either side, so that a single layer is no boundary.
 *
 * @return {inputSide, lossSide: indices into x, fall, scatter: octaves, isBreak}; null with fewer
 *     than 8 known depths
 */
export function steepestBoundary(x, depth) {
  const levels = [];
  for (let i = 0; i < x.length; i++) {
    if (!Number.isFinite(x[i])) continue;
    const last = levels[levels.length - 1];
    if (last && last.depth === depth[i]) {
      last.values.push(x[i]);
      last.last = i;
    } else {
      levels.push({ depth: depth[i], values: [x[i]], first: i, last: i });
    }
  }
  const n = levels.length;
  if (n < 8) return null;
  const level = levels.map((l) => median(l.values));
  const span = Math.min(8, n >> 2);
  const slopes = [];
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n && j <= i + span; j++) {
      slopes.push((level[j] - level[i]) / (levels[j].depth - levels[i].depth));
    }
  }
  const slope = median(slopes);
  const beyond = level.map((v, i) => v - slope * levels[i].depth);
  const gap = (i) => Math.min(beyond[i + 1], beyond[i + 2]) - Math.max(beyond[i - 1], beyond[i]);
  let at = 2;
  for (let i = 3; i + 3 < n; i++) if (gap(i) > gap(at)) at = i;
  const fall = median(beyond.slice(at + 1, at + 5)) - median(beyond.slice(Math.max(0, at - 3), at + 1));
  const apart = beyond.slice(1).map((v, i) => Math.abs(v - beyond[i]));
  const scatter = Math.max((DEVIATIONS * median(apart)) / Math.SQRT2, 0.001);
  return {
    inputSide: levels[at].last,
    lossSide: levels[at + 1].first,
    fall,
    scatter,
    isBreak: fall > 1 && fall > 5 * scatter,
  };
}
