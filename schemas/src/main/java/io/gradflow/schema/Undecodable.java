package io.gradflow.schema;

import java.util.Locale;

/**
 * Why bytes could not be turned into a value.
 *
 * @param reason from a closed set: a metric label and a dead letter's header
 * @param detail one sentence: where it was read, what was expected, what came, what to do
 * @param exception what reading failed with, class and message, if it was not foreseen; else null
 */
public record Undecodable(Reason reason, String detail, String exception) {

  /** The ways in which bytes can be wrong. */
  public enum Reason {
    /** No bytes at all. */
    EMPTY,
    /** More bytes than any record of these topics may have. */
    TOO_LARGE,
    /** Neither of the two framings. */
    UNKNOWN_FRAMING,
    /** The framing names a writer's schema that cannot be found. */
    UNKNOWN_SCHEMA,
    /** The writer's schema is known and is not one of this topic. */
    WRONG_SCHEMA,
    /** The bytes end early, go on too long, or claim lengths they cannot have. */
    MALFORMED,
    /** The identity or another field outside the columns has an impossible value. */
    BAD_HEADER,
    /** Columns that contradict each other, or hold what a column cannot hold. */
    BAD_COLUMNS;

    /** The reason as published, e.g. {@code unknown-schema}. */
    public String word() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }
}
