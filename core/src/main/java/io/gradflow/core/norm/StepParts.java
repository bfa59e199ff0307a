package io.gradflow.core.norm;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Parts of steps that were split to fit a record, kept until their step is whole. Immutable.
 *
 * @param parts at most {@link #MOST}, in the order they came
 */
public record StepParts(List<Step> parts) {
  /** Parts a run may keep: of a step that never becomes whole the oldest are forgotten. */
  public static final int MOST = 256;

  /** Nothing kept. */
  public static final StepParts NONE = new StepParts(List.of());

  /**
   * What became of a part.
   *
   * @param whole all parts of its step by their index, if this was the last; else empty
   * @param forgotten parts that had to make room
   */
  public record Addition(StepParts state, List<Step> whole, List<Step> forgotten) {}

  /** Adds a part. Parts of one step belong together when their revisions are equal. */
  public Addition add(Step part) {
    if (part.parts() == 1) {
      return new Addition(this, List.of(part), List.of());
    }
    var others = new ArrayList<Step>();
    var own = new ArrayList<Step>();
    for (Step kept : parts) {
      if (!isSameStep(kept, part)) {
        others.add(kept);
      } else if (kept.part() != part.part()) {
        own.add(kept);
      }
    }
    own.add(part);
    if (own.size() == part.parts()) {
      own.sort(Comparator.comparingInt(Step::part));
      return new Addition(new StepParts(List.copyOf(others)), List.copyOf(own), List.of());
    }
    var all = new ArrayList<>(others);
    all.addAll(own);
    int excess = Math.max(0, all.size() - MOST);
    return new Addition(
        new StepParts(List.copyOf(all.subList(excess, all.size()))),
        List.of(),
        List.copyOf(all.subList(0, excess)));
  }

  private static boolean isSameStep(Step one, Step other) {
    return one.id().equals(other.id())
        && one.manifestId() == other.manifestId()
        && one.revision() == other.revision()
        && one.parts() == other.parts();
  }
}
