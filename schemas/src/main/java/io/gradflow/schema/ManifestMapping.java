package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.List;

/** {@link Manifest} on the wire. */
final class ManifestMapping implements Codec.Mapping<Manifest> {

  @Override
  public String key(Manifest manifest) {
    return Topic.key(manifest.runId(), manifest.manifestId(), manifest.part());
  }

  @Override
  public Row toRow(Manifest manifest, RowType type) {
    Row row =
        type.row()
            .set("runId", manifest.runId())
            .set("attempt", manifest.attempt())
            .set("stream", manifest.stream())
            .set("manifestId", manifest.manifestId())
            .set("part", manifest.part())
            .set("parts", manifest.parts())
            .set("firstLayer", manifest.firstLayer())
            .set("layerCount", manifest.layerCount())
            .set("worldSize", manifest.worldSize())
            .set("reduceOp", manifest.reduceOp())
            .set("gradientDtype", manifest.gradientDtype())
            .set("reductionDtype", manifest.reductionDtype())
            .set("masterDtype", manifest.masterDtype())
            .set("optimizer", manifest.optimizer())
            .set("adamEps", manifest.adamEps());
    row.set(
        "mesh",
        manifest.mesh().stream()
            .map(a -> row.nested("mesh").set("name", a.name()).set("size", a.size()))
            .toList());
    row.set(
        "reporting",
        manifest.reporting().stream()
            .map(
                r ->
                    row.nested("reporting")
                        .set("stage", r.stage().name())
                        .set("ranks", r.ranks())
                        .set("every", r.every()))
            .toList());
    return row.set(
        "layers", manifest.layers().stream().map(l -> toRow(l, row.nested("layers"))).toList());
  }

  private static Row toRow(Layer layer, Row row) {
    return row.set("name", layer.name())
        .set("block", layer.block())
        .set("depth", layer.depth())
        .set("kind", layer.kind().name())
        .set("elements", layer.elements())
        .set("dtype", layer.dtype())
        .set("trainable", layer.trainable())
        .set("sparse", layer.sparse())
        .set("zeroInit", layer.zeroInit())
        .set("tiedTo", layer.tiedTo())
        .set("placement", layer.placement().stream().map(Placement::name).toList());
  }

  @Override
  public Manifest fromRow(Row row, Origin origin) {
    int parts = Checks.parts(row);
    List<MeshAxis> mesh = new ArrayList<>();
    for (Row axis : row.records("mesh")) {
      int size = Checks.within(axis, "size", 1, Checks.MAX_RANKS);
      mesh.add(new MeshAxis(Checks.name(axis, "name"), size));
    }
    List<Reporting> reporting = new ArrayList<>();
    for (Row entry : row.records("reporting")) {
      int[] ranks = entry.ints("ranks");
      if (ranks != null) {
        Checks.ascending("ranks", ranks);
      }
      int every = Checks.within(entry, "every", 1, Integer.MAX_VALUE);
      reporting.add(new Reporting(entry.constant("stage", Stage.class), ranks, every));
    }
    List<Layer> layers = new ArrayList<>();
    for (Row layer : row.records("layers")) {
      layers.add(layer(layer, mesh.size()));
    }
    int firstLayer = Checks.firstLayer(row, layers.size());
    int layerCount =
        Checks.within(row, "layerCount", firstLayer + layers.size(), Integer.MAX_VALUE);
    return new Manifest(
        Checks.name(row, "runId"),
        Checks.notNegative(row, "attempt"),
        Checks.name(row, "stream"),
        row.number("manifestId"),
        row.integer("part"),
        parts,
        firstLayer,
        layerCount,
        Checks.within(row, "worldSize", 1, Checks.MAX_RANKS),
        mesh,
        reporting,
        row.text("reduceOp"),
        row.text("gradientDtype"),
        row.text("reductionDtype"),
        row.text("masterDtype"),
        row.text("optimizer"),
        Checks.optionalFiniteNotNegative(row, "adamEps"),
        layers);
  }

  private static Layer layer(Row row, int dimensions) {
    List<Placement> placement = new ArrayList<>();
    for (String word : row.texts("placement")) {
      placement.add(placement(word));
    }
    if (placement.size() != dimensions) {
      throw Malformed.header(
          "expected a placement of layer "
              + Excerpt.of(row.text("name"))
              + " for each of the "
              + dimensions
              + " dimensions of the mesh, got "
              + placement.size());
    }
    return new Layer(
        Checks.name(row, "name"),
        row.text("block"),
        row.optionalInteger("depth"),
        row.constant("kind", LayerKind.class),
        Checks.notNegative(row, "elements"),
        row.text("dtype"),
        row.flag("trainable"),
        row.flag("sparse"),
        row.flag("zeroInit"),
        row.text("tiedTo"),
        placement);
  }

  private static Placement placement(String word) {
    return switch (word) {
      case "SHARD" -> Placement.SHARD;
      case "REPLICATE" -> Placement.REPLICATE;
      case "PARTIAL" -> Placement.PARTIAL;
      default ->
          throw Malformed.header(
              "expected a placement of SHARD, REPLICATE or PARTIAL, got " + Excerpt.of(word));
    };
  }

  @Override
  public int layers(Manifest manifest) {
    return manifest.parts() > 1 ? 1 : manifest.layers().size();
  }

  @Override
  public List<Manifest> split(Manifest manifest, int parts) {
    List<Manifest> split = new ArrayList<>(parts);
    int size = manifest.layers().size();
    for (int part = 0; part < parts; part++) {
      int from = Columns.start(size, parts, part);
      int to = Columns.start(size, parts, part + 1);
      List<Layer> layers = List.copyOf(manifest.layers().subList(from, to));
      split.add(part(manifest, part, parts, manifest.firstLayer() + from, layers));
    }
    return split;
  }

  private static Manifest part(
      Manifest of, int part, int parts, int firstLayer, List<Layer> layers) {
    return new Manifest(
        of.runId(),
        of.attempt(),
        of.stream(),
        of.manifestId(),
        part,
        parts,
        firstLayer,
        of.layerCount(),
        of.worldSize(),
        of.mesh(),
        of.reporting(),
        of.reduceOp(),
        of.gradientDtype(),
        of.reductionDtype(),
        of.masterDtype(),
        of.optimizer(),
        of.adamEps(),
        layers);
  }
}
