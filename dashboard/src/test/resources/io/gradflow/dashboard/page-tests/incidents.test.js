import { isOpen, lifeOf, names, ordered, passes, rootOf } from '/page/incidents.js';

function equal(actual, expected) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`expected ${e}, got ${a}`);
}

function incident(id, more = {}) {
  return {
    incidentId: id, kind: 'NON_FINITE', severity: 'WARNING', state: 'OPENED', openedStep: 10, onsetStep: 10, lastStep: 12, resolvedStep: null,
    rootLayer: null, rootRank: null, host: null, device: null, message: '', account: '', cause: null, nextAction: null, suspects: [], chain: [], ...more,
  };
}

export async function theNewestOpenFirstThenWhatIsOverAndAdviceApart() {
  const { open, over, advice } = ordered([
    incident('old', { openedStep: 5 }), incident('advice', { severity: 'INFO', openedStep: 99 }), incident('new', { openedStep: 20, state: 'UPDATED' }),
    incident('done', { openedStep: 50, state: 'RESOLVED' }), incident('gone', { openedStep: 60, state: 'EXPIRED' }),
    incident('worse', { openedStep: 20, severity: 'CRITICAL' }),
  ]);
  equal([open, over, advice].map((l) => l.map((i) => i.incidentId)), [['worse', 'new', 'old'], ['gone', 'done'], ['advice']]);
}

export async function onlyResolvedAndExpiredAreOver() {
  equal(['OPENED', 'UPDATED', 'RESOLVED', 'EXPIRED'].map((state) => isOpen({ state })), [true, true, false, false]);
}

export async function filtersMustAllPass() {
  const one = incident('1', { kind: 'RANK_DIVERGENCE', severity: 'CRITICAL', rootRank: 17, host: 'node-3', message: 'Rank 17 is far out.' });
  const pass = (wanted) => passes(one, { severity: '', kind: '', text: '', ...wanted });
  equal([pass({}), pass({ severity: 'CRITICAL' }), pass({ severity: 'WARNING' }), pass({ kind: 'RANK_DIVERGENCE' }), pass({ kind: 'NON_FINITE' })],
      [true, true, false, true, false]);
  equal([pass({ text: 'NODE-3' }), pass({ text: 'rank 17 far' }), pass({ text: 'rank divergence' }), pass({ text: 'node-4' })], [true, true, true, false]);
}

export async function aTextMayBeInASuspectsName() {
  const one = incident('1', { suspects: [{ layer: 'decoder.7.weight', rank: null, score: 1 }] });
  equal([passes(one, { severity: '', kind: '', text: 'decoder.7' }), passes(one, { severity: '', kind: '', text: 'decoder.8' })], [true, false]);
}

export async function anIncidentNamesItsRootSuspectsAndChain() {
  const one = incident('1', {
    rootLayer: 'a', suspects: [{ layer: null, rank: 3, score: 1 }], chain: [{ step: 1, kind: 'X', layer: 'b', rank: null, observed: 1 }],
  });
  equal([names(one, 'a', null), names(one, 'b', null), names(one, null, 3), names(one, 'c', 4), names(one, null, null)], [true, true, true, false, false]);
}

export async function itsLifeIsSaidInSteps() {
  equal(lifeOf(incident('1', { onsetStep: 7 })), 'found at 10, since 7 · last sick 12');
  equal(lifeOf(incident('1', { state: 'RESOLVED', resolvedStep: 40 })), 'found at 10 · resolved 40');
  equal(lifeOf(incident('1', { state: 'EXPIRED' })), 'found at 10 · expired, last sick 12');
}

export async function itsRootIsLayerRankAndPlace() {
  equal(rootOf(incident('1', { rootLayer: 'w\u202e', rootRank: 0, host: 'h', device: 'cuda:0' })), 'w\ufffd · rank 0 · h · cuda:0');
  equal(rootOf(incident('1')), '');
}
