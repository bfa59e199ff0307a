package io.gradflow.dashboard.live;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * What the topics still hold and memory does not. Every method looks at a bounded number of records
 * and waits a bounded time.
 */
public interface Recorded {
  /** The topics could not be read just now. */
  final class Unavailable extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** Says why, in one line. */
    public Unavailable(String sentence) {
      super(sentence);
    }
  }

  /**
   * The whole of some steps, each of one record or its parts; steps that are gone are left out.
   *
   * @param rows none of several stages: those are {@link StepRow#apart}
   */
  void steps(RunStream of, List<StepRow> rows, Consumer<Step> each);

  /**
   * Rows of older steps than a window holds, ascending; the last ones of the span if there are
   * more.
   *
   * @param stages how their cells are laid out
   * @param attempt the highest that may be among them; -1: the last that the topic has
   * @param before an offset that all their records lie before
   */
  List<StepRow> rows(
      RunStream of, Stages stages, long attempt, long before, long from, long to, int most);

  /** A manifest; empty if it is gone. */
  Optional<Manifest> manifest(ManifestPlace place);
}
