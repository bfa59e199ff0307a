package io.gradflow.cli;

import io.gradflow.core.compare.SpanStatistics;

/** One side of a comparison: whose steps, and what they come to. */
record ComparedSpan(String run, String stream, SpanStatistics statistics) {

  /** The steps there are, in words. */
  String steps() {
    return "steps %d to %d (%d)"
        .formatted(statistics.span().first(), statistics.span().last(), statistics.stepsRead());
  }
}
