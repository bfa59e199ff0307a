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

  /** The whole of some steps, the first in the topic first; steps that are gone are left out. */
  void steps(RunStream of, List<StepRow> rows, Consumer<Step> each);

  /**
   * Rows of older steps than a window holds, ascending; the last ones of the span if there are
   * more.
   *
   * @param attempt the highest that may be among them
   * @param before where the window begins: the offset of its first record
   */
  List<StepRow> rows(RunStream of, long attempt, long before, long from, long to, int most);

  /** A manifest; empty if it is gone. */
  Optional<Manifest> manifest(ManifestPlace place);
}
