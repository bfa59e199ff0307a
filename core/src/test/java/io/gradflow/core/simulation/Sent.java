package io.gradflow.core.simulation;

import io.gradflow.core.norm.Lane;
import io.gradflow.core.norm.LaneStep;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.Arrays;

/**
 * A shard as it lies in its partition. Two are the same only if they are the same record.
 *
 * <p>A class, for identity: a record sent twice lies in the partition twice.
 */
final class Sent {
  /** What a reader has to do with it, by itself. */
  enum Worth {
    /** Fits its manifest. */
    VALID,
    /** Contradicts its manifest. */
    BAD,
    /** Of a step or rank that was not to be published. */
    NOT_DUE
  }

  final Plan plan;
  final Shard shard;
  final Worth worth;

  /** The whole gradient, by layer, that this is the rank's slices of; null if it is of nothing. */
  final float[][] gradient;

  Sent(Plan plan, Shard shard, Worth worth, float[][] gradient) {
    this.plan = plan;
    this.shard = shard;
    this.worth = worth;
    this.gradient = gradient;
  }

  Lane lane() {
    return new Lane(shard.id().attempt(), shard.id().stream(), shard.manifestId());
  }

  LaneStep laneStep() {
    return lane().at(shard.id().step());
  }

  /** Which contribution to its step it is. */
  Identity identity() {
    return new Identity(shard.rank(), shard.stage(), shard.accumIndex(), shard.part());
  }

  /** A contribution to a step. */
  record Identity(int rank, Stage stage, int accumIndex, int part) {}

  /** Whether it holds (a part of) the step's gradient: the last micro-batch does. */
  boolean counts() {
    return shard.accumIndex() == shard.accumSteps() - 1;
  }

  /** Whether it says the same as another record of its identity. */
  boolean repeats(Sent other) {
    LayerColumns one = shard.columns();
    LayerColumns two = other.shard.columns();
    return Arrays.equals(one.norm(), two.norm())
        && Arrays.equals(one.maxAbs(), two.maxAbs())
        && Arrays.equals(one.sumAbs(), two.sumAbs())
        && Arrays.equals(one.zeros(), two.zeros())
        && repeats(one.nonFinite(), two.nonFinite());
  }

  private static boolean repeats(NonFinite one, NonFinite two) {
    if (one == null || two == null) {
      return one == null && two == null;
    }
    return Arrays.equals(one.layers(), two.layers())
        && Arrays.equals(one.nans(), two.nans())
        && Arrays.equals(one.posInfs(), two.posInfs())
        && Arrays.equals(one.negInfs(), two.negInfs());
  }

  @Override
  public String toString() {
    return "%s %s rank %d%s%s %s, written at %d%s"
        .formatted(
            shard.id(),
            shard.stage(),
            shard.rank(),
            shard.parts() > 1 ? " part " + shard.part() + "/" + shard.parts() : "",
            shard.accumSteps() > 1 ? " batch " + shard.accumIndex() + "/" + shard.accumSteps() : "",
            shard.origin(),
            shard.origin().timestamp() - Workload.START,
            worth == Worth.VALID ? "" : " " + worth);
  }
}
