package io.gradflow.core.shard;

import io.gradflow.core.Hash64;
import java.util.List;

/**
 * What a training, or a part of a large one, is made of. Shards refer to it by {@link #manifestId}
 * and to its layers by index, so that names stay out of the hot topic.
 *
 * @param attempt the attempt that published it; not part of its content
 * @param manifestId {@link #contentId} of the whole manifest, the same in all its parts
 * @param part of {@code parts}: a manifest that does not fit a record is split by layers
 * @param firstLayer index of this part's first layer
 * @param layerCount number of layers of the whole manifest
 * @param worldSize number of ranks
 * @param mesh dimensions of the device mesh, slowest first; a rank's coordinates have this order
 * @param reporting who publishes what, how often
 * @param reduceOp {@code mean} or {@code sum}
 * @param gradientDtype, reductionDtype, masterDtype framework names; null if unknown
 * @param optimizer, adamEps null if unknown
 * @param layers of this part, in index order
 */
public record Manifest(
    String runId,
    long attempt,
    String stream,
    long manifestId,
    int part,
    int parts,
    int firstLayer,
    int layerCount,
    int worldSize,
    List<MeshAxis> mesh,
    List<Reporting> reporting,
    String reduceOp,
    String gradientDtype,
    String reductionDtype,
    String masterDtype,
    String optimizer,
    Double adamEps,
    List<Layer> layers) {

  /**
   * The 64-bit hash of the content of a whole manifest; {@code attempt}, the id itself and the
   * split are no content.
   */
  public long contentId() {
    if (parts != 1) {
      throw new IllegalStateException(
          "manifest of run "
              + runId
              + ": expected the whole manifest, got part "
              + part
              + " of "
              + parts);
    }
    Hash64 hash = new Hash64().add(runId).add(stream).add((long) worldSize);
    mesh.forEach(axis -> hash.add(axis.name()).add((long) axis.size()));
    reporting.forEach(r -> hash.add(r.stage().name()).add(r.ranks()).add((long) r.every()));
    hash.add(reduceOp).add(gradientDtype).add(reductionDtype).add(masterDtype).add(optimizer);
    hash.add(adamEps == null ? Double.NaN : adamEps);
    for (Layer layer : layers) {
      hash.add(layer.name()).add(layer.block()).add(layer.depth() == null ? -1L : layer.depth());
      hash.add(layer.kind().name()).add(layer.elements()).add(layer.dtype());
      hash.add(
          (layer.trainable() ? 1L : 0L)
              | (layer.sparse() ? 2L : 0L)
              | (layer.zeroInit() ? 4L : 0L));
      hash.add(layer.tiedTo());
      layer.placement().forEach(p -> hash.add(p.name()));
    }
    return hash.value();
  }

  /** The same manifest under its {@link #contentId}. */
  public Manifest identified() {
    return with(contentId(), reporting);
  }

  /** The same, reported otherwise; its id is then that of other content. */
  public Manifest with(List<Reporting> otherReporting) {
    return with(manifestId, otherReporting);
  }

  /**
   * A manifest in one part that is declared as this one is.
   *
   * @param otherLayers all that it has
   * @param declared how many it is said to have
   */
  public Manifest whole(long id, long otherAttempt, int declared, List<Layer> otherLayers) {
    return new Manifest(
        runId,
        otherAttempt,
        stream,
        id,
        0,
        1,
        0,
        declared,
        worldSize,
        mesh,
        reporting,
        reduceOp,
        gradientDtype,
        reductionDtype,
        masterDtype,
        optimizer,
        adamEps,
        otherLayers);
  }

  private Manifest with(long id, List<Reporting> otherReporting) {
    return new Manifest(
        runId,
        attempt,
        stream,
        id,
        part,
        parts,
        firstLayer,
        layerCount,
        worldSize,
        mesh,
        otherReporting,
        reduceOp,
        gradientDtype,
        reductionDtype,
        masterDtype,
        optimizer,
        adamEps,
        layers);
  }
}
