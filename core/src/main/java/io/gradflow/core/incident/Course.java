package io.gradflow.core.incident;

import io.gradflow.core.detect.Circumstances;
import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.signal.Octaves;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * How a stream's training went until now, as far as an incident's background needs it: the smoothed
 * loss, and what changed. Immutable, of bounded size.
 *
 * @param lastStep highest step taken in; -1 before the first
 * @param losses finite losses taken in
 * @param smoothedLoss exponentially weighted mean of the finite losses with gain 0.1, at first
 *     their plain mean; NaN before the first
 * @param lossSteps steps of the points kept, ascending: each of the last 32 steps, before that one
 *     in 16 or more
 * @param lossPoints aligned: the smoothed loss; NaN where the step's own was not finite
 * @param pull how large the last finite gradient was beside the weights; NaN before the first
 * @param update how large the last update was beside the weights; NaN before the first
 * @param usualUpdate the mean of its logarithm in octaves, with gain 0.1; NaN before the first
 * @param gauges by name of what they measure
 * @param changes the last ones, oldest first
 * @param checkpoints steps of the last checkpoints, ascending
 */
public record Course(
    String stream,
    long lastStep,
    int losses,
    double smoothedLoss,
    long[] lossSteps,
    double[] lossPoints,
    double pull,
    double update,
    double usualUpdate,
    Map<String, Gauge> gauges,
    List<Change> changes,
    long[] checkpoints) {
  private static final double LOSS_GAIN = 0.1;
  private static final double USUAL_GAIN = 0.1;
  private static final int DENSE_STEPS = 32;
  private static final int SPARSE_STEPS = 16;

  /** A declared value shows in the next step published. */
  private static final int ECHO_STEPS = 50;

  private static final int MOST_POINTS = 64;
  private static final int MOST_CHANGES = 32;
  private static final int MOST_CHECKPOINTS = 16;

  /**
   * A value that is set rather than measured, and where it lay lately: the ends of the range follow
   * the value by a fiftieth of the way a step, so that what varies by design does not count as
   * changed over and over.
   */
  public record Gauge(double value, double low, double high) {
    /** A change by less is none. */
    private static final double FACTOR = 1.2;

    private static final double FORGETTING = 0.02;

    private static Gauge of(double value) {
      return new Gauge(value, value, value);
    }

    private boolean isLeftBy(double next) {
      return next > high * FACTOR || next < low / FACTOR;
    }

    private Gauge then(double next) {
      return new Gauge(
          next,
          Math.min(next, low + FORGETTING * (next - low)),
          Math.max(next, high + FORGETTING * (next - high)));
    }
  }

  static Course of(String stream) {
    return new Course(
        stream,
        -1,
        0,
        Double.NaN,
        new long[0],
        new double[0],
        Double.NaN,
        Double.NaN,
        Double.NaN,
        Map.of(),
        List.of(),
        new long[0]);
  }

  /** What a later attempt that begins with that step has of this one: checkpoints to start from. */
  Course restarted(long firstStep) {
    Course fresh = of(stream);
    return new Course(
        stream,
        fresh.lastStep,
        fresh.losses,
        fresh.smoothedLoss,
        fresh.lossSteps,
        fresh.lossPoints,
        fresh.pull,
        fresh.update,
        fresh.usualUpdate,
        fresh.gauges,
        fresh.changes,
        Arrays.stream(checkpoints).filter(step -> step < firstStep).toArray());
  }

  /** The course with a further step; the same if the step came late, or says nothing. */
  Course after(StepFindings step) {
    Circumstances now = step.circumstances();
    long number = step.id().step();
    if (now == null || number < lastStep) {
      return this;
    }
    boolean isLoss = now.loss() != null && Double.isFinite(now.loss());
    int count = losses + (isLoss ? 1 : 0);
    double smoothed =
        !isLoss
            ? smoothedLoss
            : count == 1
                ? now.loss()
                : smoothedLoss + Math.max(LOSS_GAIN, 1.0 / count) * (now.loss() - smoothedLoss);
    var points = new TreeMap<Long, Double>();
    for (int i = 0; i < lossSteps.length; i++) {
      points.put(lossSteps[i], lossPoints[i]);
    }
    if (now.loss() != null) {
      points.put(number, isLoss ? smoothed : Double.NaN);
      thin(points, number);
    }
    var named = new HashMap<>(gauges);
    var noted = new ArrayList<>(changes);
    note(number, Change.LEARNING_RATE, now.learningRate(), named, noted);
    note(number, Change.BATCH, now.batch(), named, noted);
    note(number, Change.LOSS_SCALE, now.lossScale(), named, noted);
    note(number, Change.CLIP_NORM, now.clipNorm(), named, noted);
    now.events().forEach(event -> note(event, noted));
    noted.sort(Comparator.comparingLong(Change::step).thenComparing(Change::what));
    return new Course(
        stream,
        number,
        count,
        smoothed,
        points.keySet().stream().mapToLong(Long::longValue).toArray(),
        points.values().stream().mapToDouble(Double::doubleValue).toArray(),
        now.pull() == null || now.pull() == 0 ? pull : now.pull(),
        now.update() == null ? update : now.update(),
        learntUpdate(),
        Map.copyOf(named),
        List.copyOf(noted.subList(Math.max(0, noted.size() - MOST_CHANGES), noted.size())),
        checkpoints(now.events()));
  }

  /** With the update before the last: what is usual must not know what came next. */
  private double learntUpdate() {
    if (!(update > 0)) {
      return usualUpdate;
    }
    double octaves = Octaves.log2(update);
    return Double.isNaN(usualUpdate) ? octaves : usualUpdate + USUAL_GAIN * (octaves - usualUpdate);
  }

  /** How many octaves the last update stands above what is usual; NaN if unknown. */
  double updateRise() {
    return update > 0 ? Octaves.log2(update) - usualUpdate : Double.NaN;
  }

  private static void thin(TreeMap<Long, Double> points, long now) {
    long kept = Long.MIN_VALUE;
    for (long step : List.copyOf(points.keySet())) {
      if (now - step < DENSE_STEPS || kept == Long.MIN_VALUE || step - kept >= SPARSE_STEPS) {
        kept = step;
      } else {
        points.remove(step);
      }
    }
    if (points.size() > MOST_POINTS) {
      points.pollFirstEntry();
    }
  }

  private static void note(
      long step, String what, Double value, Map<String, Gauge> gauges, List<Change> changes) {
    if (value == null || !Double.isFinite(value)) {
      return;
    }
    Gauge before = gauges.get(what);
    if (before != null && before.isLeftBy(value)) {
      changes.add(Change.ofValue(step, what, before.value(), value));
    }
    gauges.put(what, before == null ? Gauge.of(value) : before.then(value));
  }

  /** An event may come with any of the steps after it: its own number says when it was. */
  private static void note(RunEvent event, List<Change> changes) {
    switch (event.type()) {
      case STARTED ->
          note(Change.ofEvent(Math.max(0, event.step()), Change.STARTED, null), changes);
      case RESUMED -> note(Change.ofEvent(event.step(), Change.RESUMED, null), changes);
      case CHANGED ->
          event
              .attributes()
              .forEach(
                  (name, text) -> note(Change.ofEvent(event.step(), named(name), text), changes));
      case EVAL, CHECKPOINT, PAUSED, FINISHED -> {}
    }
  }

  private static void note(Change change, List<Change> changes) {
    if (!changes.contains(change)) {
      changes.add(change);
    }
  }

  private static String named(String attribute) {
    return switch (attribute) {
      case "learningRate" -> Change.LEARNING_RATE;
      case "lossScale" -> Change.LOSS_SCALE;
      case "clipNorm" -> Change.CLIP_NORM;
      default -> attribute;
    };
  }

  private long[] checkpoints(List<RunEvent> events) {
    long[] added =
        events.stream()
            .filter(event -> event.type() == RunEvent.Type.CHECKPOINT)
            .mapToLong(RunEvent::step)
            .toArray();
    if (added.length == 0) {
      return checkpoints;
    }
    long[] all = Arrays.copyOf(checkpoints, checkpoints.length + added.length);
    System.arraycopy(added, 0, all, checkpoints.length, added.length);
    long[] distinct = Arrays.stream(all).sorted().distinct().toArray();
    return Arrays.copyOfRange(
        distinct, Math.max(0, distinct.length - MOST_CHECKPOINTS), distinct.length);
  }

  /** The smoothed loss at the last step before that one with a finite one; null if unknown. */
  Double lossBefore(long step) {
    for (int i = lossSteps.length - 1; i >= 0; i--) {
      if (lossSteps[i] < step && !Double.isNaN(lossPoints[i])) {
        return lossPoints[i];
      }
    }
    return null;
  }

  /** The worst of the points since that step: NaN if any is; null if there is none. */
  Double worstLossSince(long step) {
    Double worst = null;
    for (int i = 0; i < lossSteps.length; i++) {
      if (lossSteps[i] >= step) {
        worst = worst == null ? lossPoints[i] : Math.max(worst, lossPoints[i]);
      }
    }
    return worst;
  }

  /**
   * What changed in a span of steps, both ends included. A value that was declared, and shows in
   * the next steps, changed once.
   */
  List<Change> changesWithin(long first, long last) {
    var within =
        changes.stream()
            .filter(change -> change.step() >= first && change.step() <= last)
            .collect(Collectors.toCollection(ArrayList::new));
    for (Change declared : List.copyOf(within)) {
      for (int i = 0; declared.declared() && i < within.size(); i++) {
        Change shown = within.get(i);
        long after = shown.step() - declared.step();
        boolean isSame = !shown.declared() && shown.what().equals(declared.what());
        if (isSame && after > 0 && after <= ECHO_STEPS) {
          within.set(i, shown.asDeclared());
          within.remove(declared);
          break;
        }
      }
    }
    return List.copyOf(within);
  }

  /** The last checkpoint at that step or before; null if none is known. */
  Long checkpointUntil(long step) {
    for (int i = checkpoints.length - 1; i >= 0; i--) {
      if (checkpoints[i] <= step) {
        return checkpoints[i];
      }
    }
    return null;
  }
}
