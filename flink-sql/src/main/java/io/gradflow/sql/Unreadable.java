package io.gradflow.sql;

/** What becomes of a query when a value cannot be read. */
enum Unreadable {
  /** The query fails and says why. */
  FAILS,
  /** The value gives no row, and is counted. */
  PASSED_OVER
}
