package io.gradflow.core.shard;

import io.gradflow.core.Hash64;
import io.gradflow.core.Origin;
import io.gradflow.core.StepId;

/**
 * What one rank knows of its gradients at one step and stage.
 *
 * @param coords the rank's coordinates, aligned with the manifest's mesh
 * @param part of {@code parts}: a shard that does not fit a record is split by layers, raw values
 *     into slices of layers
 * @param previousStep the step published before this one, -1 at the first: sampled publishing is no
 *     loss
 * @param accumIndex which micro-batch of {@code accumSteps}; only the last holds the step's
 *     gradient
 * @param sentAt the trainer's clock, ms since the epoch
 * @param producerSeq counts the records of this producer
 * @param dropped records this producer has dropped so far
 * @param weight tokens or samples this rank contributed to the step
 * @param lossScale what gradients are still multiplied by; null means 1
 * @param stepSkipped the optimiser declared that it skips this step (a loss scaler does on
 *     overflow)
 * @param clip null if the trainer does not clip or does not say
 * @param reportedGlobalNorm the trainer's own global gradient norm; null if unknown
 * @param loss of this rank's batch; may be non-finite; null if unknown
 * @param validationLoss null if unknown
 * @param learningRates one per parameter group; null if unknown
 * @param host where the rank runs, null if unknown
 * @param device e.g. {@code cuda:3}, null if unknown
 * @param origin where it was read; null outside Kafka
 */
public record Shard(
    StepId id,
    int rank,
    int[] coords,
    int part,
    int parts,
    long manifestId,
    Stage stage,
    long previousStep,
    int accumIndex,
    int accumSteps,
    long sentAt,
    long producerSeq,
    long dropped,
    double weight,
    Double lossScale,
    boolean stepSkipped,
    Clip clip,
    Double reportedGlobalNorm,
    Double loss,
    Double validationLoss,
    double[] learningRates,
    String host,
    String device,
    LayerColumns columns,
    Origin origin) {

  /**
   * What the published gradient has to be divided by: the loss scale it still carries, and the
   * coefficient of a global clipping that was applied to it. What remains is the gradient from
   * before clipping.
   */
  public double scale() {
    double scale = lossScale == null ? 1 : lossScale;
    return clip != null && clip.applied() && clip.isInvertible() ? scale * clip.coef() : scale;
  }

  /** This shard as part {@code part} of {@code parts}, with the columns of that part. */
  public Shard part(int part, int parts, LayerColumns columns) {
    return new Shard(
        id,
        rank,
        coords,
        part,
        parts,
        manifestId,
        stage,
        previousStep,
        accumIndex,
        accumSteps,
        sentAt,
        producerSeq,
        dropped,
        weight,
        lossScale,
        stepSkipped,
        clip,
        reportedGlobalNorm,
        loss,
        validationLoss,
        learningRates,
        host,
        device,
        columns,
        origin);
  }

  /**
   * The hash of what this shard says of its step. A record sent twice has one hash, whatever its
   * send time, sequence number or place in the topic.
   */
  public long contentHash() {
    Hash64 hash = new Hash64().add(manifestId).add(coords).add((long) parts).add((long) accumSteps);
    hash.add(weight).add(lossScale == null ? Double.NaN : lossScale).add(stepSkipped ? 1L : 0L);
    hash.add(loss == null ? Double.NEGATIVE_INFINITY : loss);
    hash.add((long) columns.firstLayer()).add(columns.layers()).add(columns.elements());
    hash.add(columns.norm()).add(columns.maxAbs()).add(columns.sumAbs()).add(columns.zeros());
    RawSlices raw = columns.raw();
    if (raw != null) {
      hash.add(raw.offset());
      for (int i = 0; i < columns.size(); i++) {
        hash.add(raw.squares()[i]).add(raw.sumAbs()[i]);
      }
    }
    if (clip != null && clip.applied()) {
      hash.add(clip.coef() == null ? Double.NaN : clip.coef());
    }
    if (columns.signals() != null) {
      columns.signals().addTo(hash);
    }
    NonFinite bad = columns.nonFinite();
    if (bad != null) {
      hash.add(bad.layers()).add(bad.nans()).add(bad.posInfs()).add(bad.negInfs());
    }
    return hash.value();
  }
}
