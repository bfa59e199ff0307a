package io.gradflow.core.shard;

/** News of a run for those that look at the whole of it: a whole manifest or an event. */
public record RunNotice(Manifest manifest, RunEvent event) {
  /** The run spoken of. */
  public String runId() {
    return manifest == null ? event.runId() : manifest.runId();
  }
}
