package io.gradflow.cli;

/** How a command prints its result: for people, or for scripts. */
enum Format {
  TEXT,
  JSON
}
