package io.gradflow.dashboard.live;

import io.gradflow.core.incident.Feedback;
import io.gradflow.core.shard.RunEvent;

/** Something that a client of a stream is told. Told twice, it changes nothing more. */
public sealed interface Change {
  /** A step, in place of what was told of it before. */
  record Stepped(StepRow row) implements Change {}

  /** A new attempt goes on from there: steps from {@code from} on are void. */
  record Rewound(long from) implements Change {}

  /** An incident, in place of what was told of it before. */
  record Alerted(IncidentRow incident) implements Change {}

  /** A verdict. */
  record Judged(Feedback feedback) implements Change {}

  /** Something happened to the run. */
  record Happened(RunEvent event) implements Change {}

  /** Another manifest. */
  record Described(long manifestId) implements Change {}

  /** What came between cannot be told. */
  record Reset() implements Change {}

  /** A change and how much its client has been told with it. */
  record Told(Change change, Position after) {}
}
