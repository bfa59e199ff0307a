package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.DEAD_LAYER;

/**
 * {@link FindingKind#DEAD_LAYER} of experts: a router that has stopped sending anything to many of
 * them.
 *
 * <p>A single expert without a gradient may have had no tokens. So experts are judged by router
 * ({@link Routers}): it fires when of the expert layers that used to have gradients at least {@code
 * DEAD_LAYER.experts}, and two, have had none for {@code DEAD_LAYER.expertSteps} published steps in
 * a row. An expert layer used to have gradients if it had one in more than half of its steps, by a
 * mean over 100 steps (at first a plain mean) that learns nothing once it has had none for five.
 * The router is named, with the step at which the last of these lost its gradient as the onset.
 * Source: Shazeer et al. (2017), "Outrageously large neural networks", on routers that favour ever
 * the same experts.
 *
 * <p>Cannot see: a router that has used few experts from the start on; experts in one tensor;
 * experts whose router is not in the manifest.
 */
public final class RouterCollapseDetector {
  private static final double MEMORY = 100;
  private static final double USED = 0.5;
  private static final int PAUSE = 5;
  private static final int LEAST_LOST = 2;

  /** Unit of findings of collapsed routers. */
  static final String EXPERTS = "share of experts";

  private RouterCollapseDetector() {}

  /**
   * State by layer, of experts but for {@code hold} and {@code onset}, which are of routers;
   * changed in place.
   *
   * @param seen steps with a known share of zeros
   * @param usage share of them with a gradient
   * @param idle steps in a row without one
   * @param since the first of these
   * @param hold quiet steps until the episode is over
   * @param onset when it began
   */
  public record State(
      int[] seen, double[] usage, int[] idle, long[] since, int[] hold, long[] onset) {
    static State of(int layers) {
      return new State(
          new int[layers],
          new double[layers],
          new int[layers],
          new long[layers],
          new int[layers],
          new long[layers]);
    }
  }

  static void observe(
      Reading reading, State state, DeadLayerDetector.Settings settings, Verdicts out) {
    LayerTable table = reading.table();
    if (!table.hasRoutedExperts()) {
      return;
    }
    int[] used = new int[table.size()];
    int[] lost = new int[table.size()];
    long[] lostSince = new long[table.size()];
    double gain = 1 - Math.pow(1 - 1 / MEMORY, reading.deltaSteps());
    for (int i = 0; i < table.size(); i++) {
      int router = table.routerOf(i);
      double zeros = reading.zeroFraction()[i];
      if (router < 0 || Double.isNaN(zeros)) {
        continue;
      }
      learn(state, i, zeros >= settings.zeros(), gain, reading.stepNumber());
      if (state.seen()[i] >= out.policy().warmUpSteps() && state.usage()[i] > USED) {
        used[router]++;
        if (state.idle()[i] >= settings.expertSteps()) {
          lost[router]++;
          lostSince[router] = Math.max(lostSince[router], state.since()[i]);
        }
      }
    }
    var ranking = new Ranking();
    for (int router = 0; router < used.length; router++) {
      if (used[router] == 0) {
        continue;
      }
      double share = (double) lost[router] / used[router];
      boolean fires = lost[router] >= LEAST_LOST && share >= settings.experts();
      if (fires) {
        if (state.hold()[router] == 0) {
          state.onset()[router] = lostSince[router];
        }
        ranking.add(router, state.onset()[router], share);
      }
      state.hold()[router] = out.hold(state.hold()[router], fires, share >= settings.experts() / 2);
    }
    for (int place = 0; place < ranking.size(); place++) {
      int router = ranking.at(place);
      if (out.hasRoomFor(DEAD_LAYER, table.name(router))) {
        report(reading, router, used[router], lost[router], ranking, place, settings, out);
      }
    }
  }

  private static void learn(State state, int i, boolean zero, double gain, long step) {
    state.seen()[i]++;
    state.idle()[i] = zero ? state.idle()[i] + 1 : 0;
    state.since()[i] = state.idle()[i] == 1 ? step : state.since()[i];
    if (state.idle()[i] <= PAUSE) {
      double share = Math.max(gain, 1.0 / state.seen()[i]);
      state.usage()[i] += share * ((zero ? 0 : 1) - state.usage()[i]);
    }
  }

  private static void report(
      Reading reading,
      int router,
      int used,
      int lost,
      Ranking ranking,
      int place,
      DeadLayerDetector.Settings settings,
      Verdicts out) {
    out.layer(
        DEAD_LAYER,
        Severity.WARNING,
        reading,
        router,
        ranking.onset(place),
        ranking.score(place),
        ranking.score(place),
        settings.experts(),
        EXPERTS,
        ("%d of %d expert layers behind the router %s have had no gradient since step %d or before:"
                + " the router has collapsed onto the others.")
            .formatted(lost, used, reading.table().label(router), ranking.onset(place)));
  }
}
