package io.gradflow.core.norm;

/**
 * How much one subtask holds at most, of all its runs together.
 *
 * @param runs that have open or remembered steps, 1 or more
 * @param layers of those runs: each manifest in use counts once in each rank group
 * @param bytes of shards that wait for their step to close or for their manifest, and of layouts
 */
public record Limits(int runs, long layers, long bytes) implements java.io.Serializable {
  public Limits {
    Range.atLeast("runs", runs, 1);
    Range.atLeast("layers", layers, 1);
    Range.atLeast("bytes", bytes, 1);
  }

  /** What can run out. */
  public enum Kind {
    RUNS,
    LAYERS,
    BYTES
  }

  /** The rated limits. */
  public static Limits defaults() {
    return new Limits(1_000, 2_000_000, 256L << 20);
  }
}
