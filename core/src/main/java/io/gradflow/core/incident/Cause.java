package io.gradflow.core.incident;

/** What kind of cause an incident has: who should look, and where. */
public enum Cause {
  /** What the ranks were fed: batches, shards of the data, labels. */
  DATA,
  /** A machine that computes or communicates wrongly. */
  HARDWARE,
  /** Range and precision of number formats, and what they make of an operation. */
  NUMERIC,
  /** How the training is set up and driven: network, initialisation, rates, decay, clipping. */
  OPTIMISER,
  /** What does not arrive, or arrives twice. */
  DELIVERY
}
