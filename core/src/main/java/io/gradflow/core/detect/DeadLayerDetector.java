package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.DEAD_LAYER;

/**
 * {@link FindingKind#DEAD_LAYER}: a layer's gradient is zero.
 *
 * <p>It fires when the share of exact zeros is at least {@code zeros} for {@code steps} published
 * steps in a row. Of an incomplete layer the missing slices count as they were when the layer was
 * last whole, at any completeness. "Half the threshold" is twice the share of living elements. If
 * several layers die in one step, the one nearest the loss is named: where nothing comes back, no
 * layer before it can live.
 *
 * <p>Not judged: frozen and sparse layers, embeddings, single experts (see {@link
 * RouterCollapseDetector}), and layers with zero initialisation before their first nonzero
 * gradient.
 *
 * <p>Cannot see: units that died within a layer that lives; layers of runs that count no zeros,
 * unless their norm is 0; a gradient that is tiny, not zero.
 */
public final class DeadLayerDetector {
  private DeadLayerDetector() {}

  /**
   * Thresholds.
   *
   * @param zeros share of exact zeros
   * @param steps published steps in a row
   * @param experts share of a router's experts
   * @param expertSteps published steps in a row for which they have no gradient
   */
  public record Settings(double zeros, int steps, double experts, int expertSteps) {
    static final Settings DEFAULT = new Settings(0.999, 3, 0.5, 20);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(DEAD_LAYER, "zeros", zeros, 0.5, 1);
      Thresholds.require(DEAD_LAYER, "steps", steps, 1, 10_000);
      Thresholds.require(DEAD_LAYER, "experts", experts, 0.01, 1);
      Thresholds.require(DEAD_LAYER, "expertSteps", expertSteps, 1, 10_000);
    }
  }

  /**
   * State by layer, changed in place.
   *
   * @param run dead steps in a row
   * @param onset the first of them
   * @param awake 1 once a layer with zero initialisation has had a nonzero gradient
   * @param hold quiet steps until the episode is over
   */
  public record State(int[] run, long[] onset, int[] awake, int[] hold) {
    static State of(int layers) {
      return new State(new int[layers], new long[layers], new int[layers], new int[layers]);
    }
  }

  static void observe(Reading reading, State state, Settings settings, Verdicts out) {
    LayerTable table = reading.table();
    double[] zeros = reading.zeroFraction();
    var ranking = new Ranking();
    for (int i = 0; i < zeros.length; i++) {
      if (Double.isNaN(zeros[i]) || !table.mayDie(i)) {
        continue;
      }
      if (zeros[i] < 1) {
        state.awake()[i] = 1;
      }
      boolean dead = zeros[i] >= settings.zeros() && (state.awake()[i] == 1 || !table.zeroInit(i));
      state.run()[i] = dead ? state.run()[i] + 1 : 0;
      if (state.run()[i] == 1) {
        state.onset()[i] = reading.stepNumber();
      }
      boolean fires = state.run()[i] >= settings.steps();
      if (fires) {
        ranking.add(i, state.onset()[i], table.depth(i));
      }
      state.hold()[i] =
          out.hold(state.hold()[i], fires, 1 - zeros[i] <= 2 * (1 - settings.zeros()));
    }
    for (int place = 0; place < ranking.size(); place++) {
      int i = ranking.at(place);
      out.layer(
          DEAD_LAYER,
          Severity.WARNING,
          reading,
          i,
          ranking.onset(place),
          ranking.score(place),
          zeros[i],
          settings.zeros(),
          "share of zeros",
          "The gradient of %s is zero since step %d: the layer no longer learns."
              .formatted(table.label(i), ranking.onset(place)));
    }
    out.activeIfAny(DEAD_LAYER, state.hold());
  }
}
