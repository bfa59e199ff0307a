package io.gradflow.core.norm;

import java.time.Duration;

/**
 * How a rank group closes its part of a step.
 *
 * @param timeout after a step's first shard; also the wait after a run's end. Held in outages
 * @param quorum share of the due ranks, above 0 to 1, that must be ahead
 * @param quorumLead how many published steps they must be ahead, 1 or more
 * @param quorumWait how long a step stays open for the others all the same: a backlog is read
 *     partition by partition, so that within moments some ranks seem far ahead
 * @param patienceSteps a rank absent from so many closed steps in a row is no longer awaited
 * @param openSteps open steps a lane may have in a group; beyond, the oldest closes as TIMEOUT once
 *     it has been open for {@code quorumWait}. At once if there are 16 times as many
 * @param rememberedSteps closed steps whose contributions are still recognised
 * @param manifestWait how long shards wait for their manifest
 * @param waitingShards shards of one group that may wait for a manifest
 * @param waitingBytes likewise, of their columns
 * @param finishedRetention state of a finished run is dropped after so long without input
 * @param idleRetention state of any other run likewise
 * @param limits of what a subtask holds
 */
public record CombiningPolicy(
    Duration timeout,
    double quorum,
    int quorumLead,
    Duration quorumWait,
    int patienceSteps,
    int openSteps,
    int rememberedSteps,
    Duration manifestWait,
    int waitingShards,
    long waitingBytes,
    Duration finishedRetention,
    Duration idleRetention,
    Limits limits)
    implements java.io.Serializable {

  public CombiningPolicy {
    Range.positive("timeout", timeout);
    Range.share("quorum", quorum);
    Range.atLeast("quorumLead", quorumLead, 1);
    Range.positive("quorumWait", quorumWait);
    Range.atLeast("patienceSteps", patienceSteps, 1);
    Range.atLeast("openSteps", openSteps, 1);
    Range.atLeast("rememberedSteps", rememberedSteps, 1);
    Range.positive("manifestWait", manifestWait);
    Range.atLeast("waitingShards", waitingShards, 0);
    Range.atLeast("waitingBytes", waitingBytes, 0);
    Range.positive("finishedRetention", finishedRetention);
    Range.positive("idleRetention", idleRetention);
  }

  /** The rated settings. */
  public static CombiningPolicy defaults() {
    return new CombiningPolicy(
        Duration.ofSeconds(10),
        0.9,
        8,
        Duration.ofSeconds(2),
        5,
        256,
        64,
        Duration.ofSeconds(30),
        10_000,
        64 << 20,
        Duration.ofHours(1),
        Duration.ofHours(24),
        Limits.defaults());
  }

  /** The same under other limits. */
  public CombiningPolicy within(Limits others) {
    return new CombiningPolicy(
        timeout,
        quorum,
        quorumLead,
        quorumWait,
        patienceSteps,
        openSteps,
        rememberedSteps,
        manifestWait,
        waitingShards,
        waitingBytes,
        finishedRetention,
        idleRetention,
        others);
  }
}
