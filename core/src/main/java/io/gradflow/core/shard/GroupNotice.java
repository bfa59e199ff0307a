package io.gradflow.core.shard;

/**
 * What a rank group is told of its run: a layout or an event; the other is null.
 *
 * @param group told
 */
public record GroupNotice(int group, Layout layout, RunEvent event) {
  /** The run spoken of. */
  public String runId() {
    return layout == null ? event.runId() : layout.runId();
  }

  /** The key of the group told. */
  public RankGroup key() {
    return new RankGroup(runId(), group);
  }
}
