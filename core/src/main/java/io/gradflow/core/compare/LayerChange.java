package io.gradflow.core.compare;

import io.gradflow.core.shard.Layer;
import java.util.Map;

/**
 * A layer that both spans have.
 *
 * @param layer as the later span's manifest describes it
 * @param changes by measure, those that either span has; {@link Measure#RMS} always
 * @param leftOutBefore steps without a magnitude
 * @param leftOutAfter likewise
 */
public record LayerChange(
    Layer layer, Map<Measure, Change> changes, LeftOut leftOutBefore, LeftOut leftOutAfter) {

  /** Of the gradient's magnitude. */
  public Change rms() {
    return changes.get(Measure.RMS);
  }

  /**
   * Whether the gradient has a magnitude in one span alone: in the other it is 0, not finite, or
   * not there.
   */
  public boolean isOneSided() {
    return (rms().before().steps() > 0) != (rms().after().steps() > 0);
  }
}
