import { demoSentence, scenarioName } from '/page/demo.js';

function equal(actual, expected) {
  if (actual !== expected) throw new Error(`expected ${expected}, got ${actual}`);
}

export async function theDemoSaysWhatRuns() {
  const demo = { scenario: 'healthy', step: 1200, steps: 20000, running: true, fault: null };
  equal(demoSentence(demo), 'Training, step 1\u202f200 of 20\u202f000 · healthy · no fault.');
  equal(demoSentence({ ...demo, fault: { scenario: 'nan-in-layer', step: 1300, layer: 'w', rank: 2 } }),
      'Training, step 1\u202f200 of 20\u202f000 · healthy · nan in layer from step 1\u202f300 in w, rank 2.');
  equal(demoSentence({ ...demo, running: false, scenario: 'exploding' }), 'The training has ended at step 1\u202f200 · begun as exploding · no fault.');
}

export async function scenariosReadAsWords() {
  equal(scenarioName('MISSING_rank-two'), 'missing rank two');
}
