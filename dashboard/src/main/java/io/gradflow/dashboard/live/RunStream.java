package io.gradflow.dashboard.live;

import io.gradflow.core.Hash64;

/** One stream of a run: what has one sequence of steps. Both are hostile text. */
public record RunStream(String run, String stream) {
  /** A short name for ids of events, which may hold no text of users. */
  int tag() {
    return (int) new Hash64().add(run).add(stream).value();
  }
}
