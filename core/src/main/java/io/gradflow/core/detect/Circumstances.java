package io.gradflow.core.detect;

import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.shard.RunEvent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

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
 * @param events of the run that precede this step and follow the previous one
 * @param places of the ranks that findings name, as far as they are known; null where none is
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
    List<RunEvent> events,
    List<Place> places) {

  /**
   * Where a rank runs.
   *
   * @param host null if unknown
   * @param device null if unknown
   */
  public record Place(int rank, String host, String device) {}

  static Circumstances of(LayerTable table, Step step, List<Finding> findings, Double risen) {
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
        step.events(),
        places(step.evidence(), findings));
  }

  private static List<Place> places(RankEvidence evidence, List<Finding> findings) {
    if (evidence.places() == null) {
      return null;
    }
    var places = new ArrayList<Place>();
    findings.stream()
        .map(Finding::rank)
        .filter(Objects::nonNull)
        .distinct()
        .forEach(
            rank -> {
              int at = Arrays.binarySearch(evidence.ranks(), rank);
              if (at >= 0) {
                String host = evidence.places().host(at);
                places.add(new Place(rank, host, evidence.places().device(at)));
              }
            });
    return places.isEmpty() ? null : List.copyOf(places);
  }
}
