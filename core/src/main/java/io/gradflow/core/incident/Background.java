package io.gradflow.core.incident;

import io.gradflow.core.detect.Circumstances;
import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.StepFindings;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * What is known of an incident beside its findings. Immutable, of bounded size.
 *
 * @param cause as last published; null before
 * @param firstSick the step that changes, loss and checkpoint were looked up for
 * @param changes shortly before, oldest first
 * @param lastCheckpoint the last one before; null if none is known
 * @param lossBefore smoothed; null if unknown
 * @param lossAfter the worst since, smoothed likewise, NaN once a loss was not finite; null if
 *     unknown
 * @param narrow gradients are in float16, or less than an octave is left to the end of their format
 * @param pull how large the gradient was beside the weights when it was found; NaN: unknown
 * @param updateRise octaves of the update before that above what was usual; NaN: unknown
 * @param surge how spikes came
 * @param tallies who was found, by kind
 */
public record Background(
    Cause cause,
    long firstSick,
    List<Change> changes,
    Long lastCheckpoint,
    Double lossBefore,
    Double lossAfter,
    boolean narrow,
    double pull,
    double updateRise,
    Surge surge,
    List<Tally> tallies) {
  /** What changed longer ago than this explains nothing. */
  private static final int CHANGE_STEPS = 50;

  /** Gradients larger than the weights by as much belong to no training that goes well. */
  private static final double TORN = 10;

  /** Octaves above what is usual that an update may have. */
  private static final double USUAL = 2;

  /**
   * How the layers rose together.
   *
   * @param widest largest share of the layers that rose in one step
   * @param row steps in a row, up to now, in which a quarter of the layers or more stood high
   * @param longest such row
   * @param step the last step that counted, -1 if none did
   */
  public record Surge(double widest, int row, int longest, long step) {
    static final Surge NONE = new Surge(0, 0, 0, -1);

    private static final double SOME = 0.25;
    private static final double MOST = 0.5;
    private static final double NEARLY_ALL = 0.75;

    private Surge after(long number, Double risen) {
      if (risen == null) {
        return this;
      }
      boolean isHigh = risen >= SOME;
      boolean isAnotherManifests = number == step;
      int next = isAnotherManifests ? Math.max(row, isHigh ? 1 : 0) : isHigh ? row + 1 : 0;
      return new Surge(Math.max(widest, risen), next, Math.max(longest, next), number);
    }

    /** Whether nearly all layers rose in one step and were down again in the next. */
    boolean wasOneBatch() {
      return widest >= NEARLY_ALL && longest == 1 && row == 0;
    }
  }

  /**
   * Who was named in findings of a kind.
   *
   * @param named hashes of the layers and ranks
   * @param lastOnset latest onset among them
   * @param more whether there may have been others
   */
  public record Tally(FindingKind kind, int[] named, long lastOnset, boolean more) {
    private static final int MOST = 64;

    private Tally and(Finding finding) {
      int hash = Objects.hash(finding.layer(), finding.rank());
      for (int before : named) {
        if (before == hash) {
          return this;
        }
      }
      if (named.length == MOST) {
        return new Tally(kind, named, lastOnset, true);
      }
      int[] all = Arrays.copyOf(named, named.length + 1);
      all[named.length] = hash;
      return new Tally(kind, all, Math.max(lastOnset, finding.onsetStep()), more);
    }
  }

  static final Background NONE =
      new Background(
          null,
          -1,
          List.of(),
          null,
          null,
          null,
          false,
          Double.NaN,
          Double.NaN,
          Surge.NONE,
          List.of());

  /**
   * The background after a step.
   *
   * @param first first sick step, by what is known now
   * @param until last step at which a change may have led to it
   * @param own findings of the step that belong to the incident
   * @param course with the step
   * @param isOpen whether the incident was open before
   */
  Background after(
      long first, long until, List<Finding> own, StepFindings step, Course course, boolean isOpen) {
    boolean isFresh = first != firstSick;
    Double since = course.worstLossSince(isFresh ? first : course.lastStep());
    // Events come by another way than steps, some of them later.
    boolean isYoung = isFresh || course.lastStep() - first <= CHANGE_STEPS;
    boolean counts = isOpen || !own.isEmpty();
    return new Background(
        cause,
        first,
        isYoung ? course.changesWithin(first - CHANGE_STEPS, until) : changes,
        isYoung ? course.checkpointUntil(first - 1) : lastCheckpoint,
        isFresh ? course.lossBefore(first) : lossBefore,
        isFresh ? since : counts ? worse(lossAfter, since) : lossAfter,
        narrow || isNarrow(step.circumstances()),
        firstSick < 0 ? course.pull() : pull,
        firstSick < 0 ? course.updateRise() : updateRise,
        counts && step.circumstances() != null
            ? surge.after(step.id().step(), step.circumstances().risen())
            : surge,
        tallied(own));
  }

  /** The same, published under a cause. */
  Background published(Cause published) {
    return new Background(
        published,
        firstSick,
        changes,
        lastCheckpoint,
        lossBefore,
        lossAfter,
        narrow,
        pull,
        updateRise,
        surge,
        tallies);
  }

  /**
   * Whether gradients were so large that any step would have thrown the weights off their place.
   */
  boolean isTorn() {
    return pull > TORN;
  }

  /** Whether nearly all layers rose at once after an update like any other: by what was fed. */
  boolean isOfInputs() {
    return surge.widest() >= Surge.MOST && updateRise < USUAL;
  }

  /** Who was named in findings of that kind; null if nobody was. */
  Tally tally(FindingKind kind) {
    return tallies.stream().filter(tally -> tally.kind() == kind).findFirst().orElse(null);
  }

  /** The last of the changes of a value; null if it did not change. */
  Change change(String what) {
    return changes.stream()
        .filter(change -> change.what().equals(what))
        .reduce((first, second) -> second)
        .orElse(null);
  }

  private static Double worse(Double one, Double other) {
    return one == null ? other : other == null ? one : Double.valueOf(Math.max(one, other));
  }

  private static boolean isNarrow(Circumstances now) {
    return now != null && (now.float16() || (now.headroom() != null && now.headroom() < 1));
  }

  private List<Tally> tallied(List<Finding> own) {
    var all = new ArrayList<>(tallies);
    for (Finding finding : own) {
      long ofKind = own.stream().filter(other -> other.kind() == finding.kind()).count();
      Tally before = tally(all, finding.kind());
      Tally after =
          before == null
              ? new Tally(finding.kind(), new int[0], finding.onsetStep(), false).and(finding)
              : before.and(finding);
      boolean more = after.more() || ofKind >= StepFindings.MOST_OF_A_KIND;
      all.remove(before);
      all.add(new Tally(after.kind(), after.named(), after.lastOnset(), more));
    }
    return List.copyOf(all);
  }

  private static Tally tally(List<Tally> tallies, FindingKind kind) {
    return tallies.stream().filter(tally -> tally.kind() == kind).findFirst().orElse(null);
  }
}
