package io.gradflow.dashboard.live;

/**
 * How much of a stream somebody has been told: offsets in the partitions that hold its run, -1
 * before the first.
 *
 * @param steps, attempt of gradient-steps, and the attempt of the last step told; -1: none was
 * @param alerts of gradient-alerts
 * @param events of gradient-runs
 * @param manifestId of the last manifest told; 0: none was
 */
public record Position(long steps, long attempt, long alerts, long events, long manifestId) {
  /** Nothing was told. */
  public static final Position NOTHING = new Position(-1, -1, -1, -1, 0);

  Position withSteps(long offset) {
    return new Position(offset, attempt, alerts, events, manifestId);
  }

  Position withStep(StepRow row) {
    return new Position(row.offset(), Math.max(attempt, row.attempt()), alerts, events, manifestId);
  }

  Position withAttempt(long higher) {
    return new Position(steps, higher, alerts, events, manifestId);
  }

  Position withAlerts(long offset) {
    return new Position(steps, attempt, offset, events, manifestId);
  }

  Position withEvents(long offset) {
    return new Position(steps, attempt, alerts, offset, manifestId);
  }

  Position withManifest(long id) {
    return new Position(steps, attempt, alerts, events, id);
  }
}
