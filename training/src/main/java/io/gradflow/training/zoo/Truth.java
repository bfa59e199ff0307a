package io.gradflow.training.zoo;

import java.util.List;

/**
 * What is wrong in a training, known before any detector sees it.
 *
 * @param episodes what goes wrong, by onset; empty of a healthy training
 * @param excluded why its episodes do not count, in one clause; null: they do. Decided by the
 *     healthy twin of the same seed
 * @param expectedMiss a fault that norms cannot show; counted apart
 */
public record Truth(List<Episode> episodes, String excluded, boolean expectedMiss) {

  /** Where a fault comes from. */
  public enum Cause {
    /** What a rank or all ranks were fed. */
    DATA,
    /** A machine that computes wrongly. */
    HARDWARE,
    /** Range and precision of number formats. */
    NUMERIC,
    /** How the training is set up and driven: network, initialisation, rates, decay, clipping. */
    OPTIMISER,
    /** What does not arrive. */
    DELIVERY
  }

  /**
   * One thing that goes wrong.
   *
   * @param onset the first step it acts on
   * @param end the first step it no longer acts on; {@link Long#MAX_VALUE}: none
   * @param abrupt it is there at once; else it builds up
   * @param layers the parameters that it strikes first; empty: no layer is to be named
   * @param rank the rank that it strikes, -1: none is to be named
   */
  public record Episode(
      long onset, long end, boolean abrupt, Cause cause, List<String> layers, int rank) {}
}
