package io.gradflow.core.detect;

import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.shard.RunEvent;
import java.util.Arrays;
import java.util.List;

/**
 * What a step says of its training beside the gradient: what incidents need in order to name a
 * cause, and no more.
 *
 * @param loss null if unknown; non-finite if any rank's is
 * @param learningRate the largest of the groups of parameters; null if unknown
 * @param batch tokens or samples of all ranks; null if any rank is missing or none said
 * @param lossScale null if unknown
 * @param clipNorm what the trainer clips to; null if it does not, or does not say
 * @param float16 any layer's gradient is computed in that format
 * @param headroom octaves between the largest magnitude and the end of the format; null if unknown
 * @param risen share of the layers with a baseline that stand over half the thresholds of {@link
 *     FindingKind#EXPLODING_SPIKE}; null in a step that trends do not see
 * @param pull L2 norm of the gradient over that of the weights, of the layers that say both; null
 *     if unknown
 * @param update likewise of what the last update changed
 * @param events of the run that precede this step and follow the previous one
 */
public record Circumstances(
    Double loss,
    Double learningRate,
    Double batch,
    Double lossScale,
    Double clipNorm,
    boolean float16,
    Double headroom,
    Double risen,
    Double pull,
    Double update,
    List<RunEvent> events) {

  static Circumstances of(LayerTable table, Step step, Double risen) {
    StepScalars scalars = step.scalars();
    RunSignals signals = step.signals() == null ? null : step.signals().run();
    double[] rates = scalars.learningRates();
    return new Circumstances(
        scalars.loss(),
        rates == null || rates.length == 0 ? null : Arrays.stream(rates).max().getAsDouble(),
        scalars.weight() > 0 && step.missingRanks().length == 0 ? scalars.weight() : null,
        scalars.lossScale(),
        scalars.clip() == null ? null : scalars.clip().norm(),
        table.isFloat16(),
        signals == null || Double.isNaN(signals.headroom()) ? null : signals.headroom(),
        risen,
        overWeights(step, step.norms().l2()),
        updateOverWeights(step),
        step.events());
  }

  /** L2 norm of the last update over that of the weights; null if unknown. */
  static Double updateOverWeights(Step step) {
    return step.signals() == null ? null : overWeights(step, step.signals().updateNorm());
  }

  private static Double overWeights(Step step, double[] norms) {
    double[] weights = step.signals() == null ? null : step.signals().weightNorm();
    if (weights == null || norms == null) {
      return null;
    }
    double over = 0;
    double under = 0;
    for (int layer = 0; layer < weights.length; layer++) {
      if (Double.isFinite(norms[layer]) && Double.isFinite(weights[layer])) {
        over += norms[layer] * norms[layer];
        under += weights[layer] * weights[layer];
      }
    }
    return under > 0 ? Double.valueOf(Math.sqrt(over / under)) : null;
  }
}
