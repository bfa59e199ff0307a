package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RankPlaces;
import io.gradflow.core.norm.Refusal;
import io.gradflow.core.norm.Refusals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.RunEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** {@link Step} on the wire. */
final class StepMapping implements Codec.Mapping<Step> {

  @Override
  public String key(Step step) {
    return Topic.key(step.id().runId());
  }

  @Override
  public Row toRow(Step step, RowType type) {
    StepId id = step.id();
    NormColumns norms = step.norms();
    StepScalars scalars = step.scalars();
    Row row =
        type.row()
            .set("runId", id.runId())
            .set("attempt", id.attempt())
            .set("stream", id.stream())
            .set("step", id.step())
            .set("manifestId", step.manifestId())
            .set("part", step.part())
            .set("parts", step.parts())
            .set("firstLayer", step.firstLayer())
            .set("revision", step.revision())
            .set("closedBy", step.closedBy().name())
            .set("late", step.late())
            .set("completeness", step.completeness())
            .set("worldSize", step.worldSize())
            .set("missingRanks", RankBitmap.of(step.missingRanks()))
            .set("conflictingRanks", RankBitmap.of(step.conflictingRanks()))
            .set("incompleteLayers", step.incompleteLayers())
            .set("incompleteCompleteness", step.incompleteCompleteness())
            .set("globalNorm", Double.isNaN(step.globalNorm()) ? null : step.globalNorm())
            .set("l1", norms.l1())
            .set("l2", norms.l2())
            .set("linf", norms.linf())
            .set("rms", norms.rms())
            .set("finiteL2", norms.finiteL2())
            .set("zeros", norms.zeros())
            .set("firstNonFiniteRank", norms.firstNonFiniteRank())
            .set("loss", scalars.loss())
            .set("validationLoss", scalars.validationLoss())
            .set("learningRates", scalars.learningRates())
            .set("lossScale", scalars.lossScale())
            .set("stepSkipped", scalars.stepSkipped())
            .set("reportedGlobalNorm", scalars.reportedGlobalNorm())
            .set("weight", scalars.weight());
    Checks.setNonFinite(row, norms.nonFinite());
    ShardMapping.setClip(row, scalars.clip());
    if (step.evidence() != null) {
      row.set("evidence", toRow(step.evidence(), row.nested("evidence")));
    }
    if (step.signals() != null) {
      row.set("signals", SignalMapping.toRow(step.signals(), row.nested("signals")));
    }
    Refusals refusals = norms.refusals();
    if (refusals != null) {
      row.set("noNormLayers", refusals.layers())
          .set("noNormReasons", refusals.reasons().stream().map(Refusal::name).toList());
    }
    return row.set(
        "events",
        step.events().stream()
            .map(event -> RunEventMapping.set(row.nested("events"), event))
            .toList());
  }

  private static Row toRow(RankEvidence evidence, Row row) {
    RankComparison comparison = evidence.comparison();
    if (comparison != null) {
      row.set("reducedNorm", comparison.reducedNorm())
          .set("reportedNorm", comparison.reportedNorm())
          .set("coherence", comparison.coherence())
          .set("sketchCoherence", comparison.sketchCoherence())
          .set("spectrum", comparison.spectrum())
          .set("effectiveRanks", comparison.effectiveRanks())
          .set("coherencePerLayer", comparison.perLayer())
          .set("leastCoherentRanks", comparison.leastCoherentRanks())
          .set("leastCoherence", comparison.leastCoherence())
          .set("rankWeight", comparison.weight())
          .set("rankClipCoef", comparison.clipCoef())
          .set("rankLoss", comparison.loss());
    }
    RankPlaces places = evidence.places();
    if (places != null) {
      row.set("hosts", places.hosts() == null ? null : List.of(places.hosts()))
          .set("hostOf", places.hostOf())
          .set("devices", places.devices() == null ? null : List.of(places.devices()))
          .set("deviceOf", places.deviceOf());
    }
    return row.set("ranks", evidence.ranks())
        .set("localNorm", evidence.localNorm())
        .set("arrivalLagMs", evidence.arrivalLagMs())
        .set("dropped", evidence.dropped())
        .set("outliersPerLayer", evidence.outliersPerLayer())
        .set("outlierRanks", evidence.outlierRanks())
        .set("outlierLog2Rms", evidence.outlierLog2Rms())
        .set("histogramOffsets", evidence.histogramOffsets())
        .set("histogramBins", evidence.histogramBins())
        .set("histogramCounts", evidence.histogramCounts())
        .set("localSquares", evidence.localSquares())
        .set("localRanks", evidence.localRanks())
        .set("replicaSpread", evidence.replicaSpread())
        .set("writtenAt", evidence.writtenAt());
  }

  @Override
  public Step fromRow(Row row, Origin origin) {
    StepId id = Checks.stepId(row);
    int parts = Checks.parts(row);
    int worldSize = Checks.within(row, "worldSize", 1, Checks.MAX_RANKS);
    NormColumns norms = norms(row);
    int[] incompleteLayers = row.ints("incompleteLayers");
    if (incompleteLayers != null) {
      Checks.ascending("incompleteLayers", incompleteLayers);
      requirePresent("incompleteCompleteness", row.doubles("incompleteCompleteness"));
      Checks.aligned(
          "incompleteCompleteness", row.doubles("incompleteCompleteness"), incompleteLayers.length);
    }
    List<RunEvent> events = new ArrayList<>();
    for (Row event : row.records("events")) {
      events.add(RunEventMapping.event(event, id.runId()));
    }
    Double globalNorm = row.optionalReal("globalNorm");
    return new Step(
        id,
        row.number("manifestId"),
        row.integer("part"),
        parts,
        Checks.firstLayer(row, norms.size()),
        row.number("revision"),
        row.constant("closedBy", ClosedBy.class),
        row.flag("late"),
        Checks.share(row, "completeness"),
        worldSize,
        RankBitmap.ranks("missingRanks", row.bytes("missingRanks"), worldSize),
        RankBitmap.ranks("conflictingRanks", row.bytes("conflictingRanks"), worldSize),
        incompleteLayers,
        row.doubles("incompleteCompleteness"),
        globalNorm == null ? Double.NaN : globalNorm,
        norms,
        evidence(row.record("evidence"), norms.size()),
        new StepScalars(
            row.optionalReal("loss"),
            row.optionalReal("validationLoss"),
            row.doubles("learningRates"),
            row.optionalReal("lossScale"),
            row.flag("stepSkipped"),
            ShardMapping.clip(row),
            row.optionalReal("reportedGlobalNorm"),
            row.real("weight")),
        events,
        SignalMapping.signals(row.record("signals"), norms.size()));
  }

  private static NormColumns norms(Row row) {
    int size = row.doubles("l2").length;
    Checks.aligned("l1", row.doubles("l1"), size);
    Checks.aligned("linf", row.doubles("linf"), size);
    Checks.aligned("rms", row.doubles("rms"), size);
    Checks.aligned("finiteL2", row.doubles("finiteL2"), size);
    Checks.aligned("zeros", row.longs("zeros"), size);
    Checks.notNegative("zeros", row.longs("zeros"), -1);
    NonFinite nonFinite = Checks.nonFinite(row);
    int[] firstNonFiniteRank = row.ints("firstNonFiniteRank");
    if (firstNonFiniteRank != null) {
      requirePresent("nonFiniteLayers", nonFinite);
      Checks.aligned("firstNonFiniteRank", firstNonFiniteRank, nonFinite.layers().length);
    }
    return new NormColumns(
        row.doubles("l1"),
        row.doubles("l2"),
        row.doubles("linf"),
        row.doubles("rms"),
        row.doubles("finiteL2"),
        row.longs("zeros"),
        nonFinite,
        firstNonFiniteRank,
        refusals(row));
  }

  private static Refusals refusals(Row row) {
    int[] layers = row.ints("noNormLayers");
    List<String> reasons = row.texts("noNormReasons");
    if (layers == null) {
      return null;
    }
    requirePresent("noNormReasons", reasons);
    Checks.ascending("noNormLayers", layers);
    Checks.aligned("noNormReasons", reasons, reasons.size(), layers.length);
    return new Refusals(
        layers,
        reasons.stream()
            .map(reason -> Row.constant("noNormReasons", reason, Refusal.class))
            .toList());
  }

  private static RankEvidence evidence(Row row, int layers) {
    if (row == null) {
      return null;
    }
    int ranks = row.ints("ranks").length;
    Checks.aligned("localNorm", row.doubles("localNorm"), ranks);
    Checks.aligned("arrivalLagMs", row.longs("arrivalLagMs"), ranks);
    Checks.aligned("dropped", row.longs("dropped"), ranks);
    int outliers = Checks.within(row, "outliersPerLayer", 0, Checks.MAX_RANKS);
    int cells = Checks.cells("outlierRanks", layers, outliers);
    Checks.aligned("outlierRanks", row.ints("outlierRanks"), cells);
    Checks.aligned("outlierLog2Rms", row.floats("outlierLog2Rms"), cells);
    requireRows(
        row.ints("histogramOffsets"),
        row.ints("histogramBins"),
        row.ints("histogramCounts"),
        layers);
    Checks.aligned("localSquares", row.doubles("localSquares"), layers);
    Checks.aligned("localRanks", row.ints("localRanks"), layers);
    Checks.aligned("replicaSpread", row.floats("replicaSpread"), layers);
    return new RankEvidence(
        row.ints("ranks"),
        row.doubles("localNorm"),
        row.longs("arrivalLagMs"),
        row.longs("dropped"),
        outliers,
        row.ints("outlierRanks"),
        row.floats("outlierLog2Rms"),
        row.ints("histogramOffsets"),
        row.ints("histogramBins"),
        row.ints("histogramCounts"),
        row.doubles("localSquares"),
        row.ints("localRanks"),
        row.floats("replicaSpread"),
        row.optionalNumber("writtenAt"),
        places(row, ranks),
        comparison(row, ranks, layers));
  }

  private static RankPlaces places(Row row, int ranks) {
    String[] hosts = names(row, "hosts", "hostOf", ranks);
    String[] devices = names(row, "devices", "deviceOf", ranks);
    return hosts == null && devices == null
        ? null
        : new RankPlaces(
            hosts,
            hosts == null ? null : row.ints("hostOf"),
            devices,
            devices == null ? null : row.ints("deviceOf"));
  }

  private static String[] names(Row row, String field, String indexField, int ranks) {
    List<String> names = row.texts(field);
    if (names == null) {
      return null;
    }
    int[] indices = row.ints(indexField);
    requirePresent(indexField, indices);
    Checks.aligned(indexField, indices, ranks);
    for (int index : indices) {
      if (index < -1 || index >= names.size()) {
        throw Malformed.columns(
            "expected "
                + indexField
                + " to be from -1 to "
                + (names.size() - 1)
                + ", got "
                + index);
      }
    }
    return names.toArray(String[]::new);
  }

  private static RankComparison comparison(Row row, int ranks, int layers) {
    Checks.aligned("reducedNorm", row.doubles("reducedNorm"), ranks);
    Checks.aligned("reportedNorm", row.doubles("reportedNorm"), ranks);
    Checks.aligned("coherence", row.floats("coherence"), ranks);
    Checks.aligned("sketchCoherence", row.floats("sketchCoherence"), ranks);
    Checks.aligned("rankWeight", row.doubles("rankWeight"), ranks);
    Checks.aligned("rankClipCoef", row.doubles("rankClipCoef"), ranks);
    Checks.aligned("rankLoss", row.doubles("rankLoss"), ranks);
    int perLayer = Checks.within(row, "coherencePerLayer", 0, Checks.MAX_RANKS);
    int cells = Checks.cells("leastCoherentRanks", layers, perLayer);
    Checks.aligned("leastCoherentRanks", row.ints("leastCoherentRanks"), cells);
    Checks.aligned("leastCoherence", row.floats("leastCoherence"), cells);
    return new RankComparison(
            row.doubles("reducedNorm"),
            row.doubles("reportedNorm"),
            row.floats("coherence"),
            row.floats("sketchCoherence"),
            row.doubles("spectrum"),
            row.optionalReal("effectiveRanks"),
            perLayer,
            row.ints("leastCoherentRanks"),
            row.floats("leastCoherence"),
            row.doubles("rankWeight"),
            row.doubles("rankClipCoef"),
            row.doubles("rankLoss"))
        .orNull();
  }

  private static void requireRows(int[] offsets, int[] bins, int[] counts, int layers) {
    if (offsets == null) {
      return;
    }
    requirePresent("histogramBins", bins);
    requirePresent("histogramCounts", counts);
    Checks.aligned("histogramCounts", counts, bins.length);
    Checks.offsets("histogramOffsets", offsets, layers, bins.length);
  }

  private static void requirePresent(String field, Object column) {
    if (column == null) {
      throw Malformed.columns("expected " + field + " beside its partners, got none");
    }
  }

  @Override
  public int layers(Step step) {
    return step.parts() > 1 ? 1 : step.norms().size();
  }

  @Override
  public List<Step> split(Step step, int parts) {
    List<Step> split = new ArrayList<>(parts);
    int size = step.norms().size();
    for (int part = 0; part < parts; part++) {
      int from = Columns.start(size, parts, part);
      int to = Columns.start(size, parts, part + 1);
      int firstLayer = step.firstLayer() + from;
      int endLayer = step.firstLayer() + to;
      int[] incomplete = step.incompleteLayers();
      int incompleteFrom = incomplete == null ? 0 : Checks.lowerBound(incomplete, firstLayer);
      int incompleteTo = incomplete == null ? 0 : Checks.lowerBound(incomplete, endLayer);
      boolean none = incompleteFrom == incompleteTo;
      split.add(
          new Step(
              step.id(),
              step.manifestId(),
              part,
              parts,
              firstLayer,
              step.revision(),
              step.closedBy(),
              step.late(),
              step.completeness(),
              step.worldSize(),
              step.missingRanks(),
              step.conflictingRanks(),
              none ? null : Columns.slice(incomplete, incompleteFrom, incompleteTo),
              none
                  ? null
                  : Columns.slice(step.incompleteCompleteness(), incompleteFrom, incompleteTo),
              step.globalNorm(),
              slice(step.norms(), from, to, firstLayer, endLayer),
              step.evidence() == null ? null : slice(step.evidence(), from, to, part == 0),
              step.scalars(),
              part == 0 ? step.events() : List.of(),
              SignalMapping.slice(step.signals(), from, to, firstLayer, endLayer, part == 0)));
    }
    return split;
  }

  private static NormColumns slice(NormColumns norms, int from, int to, int first, int end) {
    int[] bad = norms.nonFinite() == null ? new int[0] : norms.nonFinite().layers();
    int badFrom = Checks.lowerBound(bad, first);
    int badTo = Checks.lowerBound(bad, end);
    return new NormColumns(
        Columns.slice(norms.l1(), from, to),
        Columns.slice(norms.l2(), from, to),
        Columns.slice(norms.linf(), from, to),
        Columns.slice(norms.rms(), from, to),
        Columns.slice(norms.finiteL2(), from, to),
        Columns.slice(norms.zeros(), from, to),
        Checks.slice(norms.nonFinite(), first, end),
        badFrom == badTo ? null : Columns.slice(norms.firstNonFiniteRank(), badFrom, badTo),
        slice(norms.refusals(), first, end));
  }

  private static Refusals slice(Refusals all, int first, int end) {
    int from = all == null ? 0 : Checks.lowerBound(all.layers(), first);
    int to = all == null ? 0 : Checks.lowerBound(all.layers(), end);
    return from == to
        ? null
        : new Refusals(
            Columns.slice(all.layers(), from, to), List.copyOf(all.reasons().subList(from, to)));
  }

  /** Columns of ranks are as long as the run is wide: they go with one part only. */
  private static RankEvidence slice(RankEvidence all, int from, int to, boolean withRanks) {
    int k = all.outliersPerLayer();
    int[] offsets = Columns.slice(all.histogramOffsets(), from, to + 1);
    int binsFrom = offsets == null ? 0 : offsets[0];
    int binsTo = offsets == null ? 0 : offsets[offsets.length - 1];
    if (offsets != null) {
      for (int i = 0; i < offsets.length; i++) {
        offsets[i] -= binsFrom;
      }
    }
    return new RankEvidence(
        withRanks ? all.ranks() : new int[0],
        withRanks ? all.localNorm() : new double[0],
        withRanks ? all.arrivalLagMs() : new long[0],
        withRanks ? all.dropped() : new long[0],
        k,
        Columns.slice(all.outlierRanks(), from * k, to * k),
        Columns.slice(all.outlierLog2Rms(), from * k, to * k),
        offsets,
        Columns.slice(all.histogramBins(), binsFrom, binsTo),
        Columns.slice(all.histogramCounts(), binsFrom, binsTo),
        Columns.slice(all.localSquares(), from, to),
        Columns.slice(all.localRanks(), from, to),
        Columns.slice(all.replicaSpread(), from, to),
        all.writtenAt(),
        withRanks ? all.places() : null,
        slice(all.comparison(), from, to, withRanks));
  }

  private static RankComparison slice(RankComparison all, int from, int to, boolean withRanks) {
    if (all == null) {
      return null;
    }
    int k = all.perLayer();
    return new RankComparison(
        withRanks ? all.reducedNorm() : null,
        withRanks ? all.reportedNorm() : null,
        withRanks ? all.coherence() : null,
        withRanks ? all.sketchCoherence() : null,
        withRanks ? all.spectrum() : null,
        withRanks ? all.effectiveRanks() : null,
        k,
        Columns.slice(all.leastCoherentRanks(), from * k, to * k),
        Columns.slice(all.leastCoherence(), from * k, to * k),
        withRanks ? all.weight() : null,
        withRanks ? all.clipCoef() : null,
        withRanks ? all.loss() : null);
  }

  @Override
  public Step join(List<Step> parts) {
    Step first = parts.get(0);
    return new Step(
        first.id(),
        first.manifestId(),
        0,
        1,
        first.firstLayer(),
        first.revision(),
        first.closedBy(),
        first.late(),
        first.completeness(),
        first.worldSize(),
        first.missingRanks(),
        first.conflictingRanks(),
        Columns.join(parts, Step::incompleteLayers),
        Columns.join(parts, Step::incompleteCompleteness),
        first.globalNorm(),
        joinNorms(parts.stream().map(Step::norms).toList()),
        first.evidence() == null ? null : joinEvidence(parts.stream().map(Step::evidence).toList()),
        first.scalars(),
        first.events(),
        SignalMapping.join(parts.stream().map(Step::signals).toList()));
  }

  private static NormColumns joinNorms(List<NormColumns> parts) {
    List<NonFinite> bad =
        parts.stream().map(NormColumns::nonFinite).filter(Objects::nonNull).toList();
    return new NormColumns(
        Columns.join(parts, NormColumns::l1),
        Columns.join(parts, NormColumns::l2),
        Columns.join(parts, NormColumns::linf),
        Columns.join(parts, NormColumns::rms),
        Columns.join(parts, NormColumns::finiteL2),
        Columns.join(parts, NormColumns::zeros),
        bad.isEmpty()
            ? null
            : new NonFinite(
                Columns.join(bad, NonFinite::layers),
                Columns.join(bad, NonFinite::nans),
                Columns.join(bad, NonFinite::posInfs),
                Columns.join(bad, NonFinite::negInfs)),
        Columns.join(parts, NormColumns::firstNonFiniteRank),
        joinRefusals(parts.stream().map(NormColumns::refusals).filter(Objects::nonNull).toList()));
  }

  private static Refusals joinRefusals(List<Refusals> parts) {
    return parts.isEmpty()
        ? null
        : new Refusals(
            Columns.join(parts, Refusals::layers),
            parts.stream().flatMap(part -> part.reasons().stream()).toList());
  }

  private static RankEvidence joinEvidence(List<RankEvidence> parts) {
    RankEvidence first = parts.get(0);
    return new RankEvidence(
        first.ranks(),
        first.localNorm(),
        first.arrivalLagMs(),
        first.dropped(),
        first.outliersPerLayer(),
        Columns.join(parts, RankEvidence::outlierRanks),
        Columns.join(parts, RankEvidence::outlierLog2Rms),
        first.histogramOffsets() == null
            ? null
            : Columns.joinOffsets(parts.stream().map(RankEvidence::histogramOffsets).toList()),
        Columns.join(parts, RankEvidence::histogramBins),
        Columns.join(parts, RankEvidence::histogramCounts),
        Columns.join(parts, RankEvidence::localSquares),
        Columns.join(parts, RankEvidence::localRanks),
        Columns.join(parts, RankEvidence::replicaSpread),
        first.writtenAt(),
        first.places(),
        joinComparison(parts.stream().map(RankEvidence::comparison).toList()));
  }

  private static RankComparison joinComparison(List<RankComparison> parts) {
    RankComparison first = parts.get(0);
    return first == null
        ? null
        : new RankComparison(
            first.reducedNorm(),
            first.reportedNorm(),
            first.coherence(),
            first.sketchCoherence(),
            first.spectrum(),
            first.effectiveRanks(),
            first.perLayer(),
            Columns.join(parts, RankComparison::leastCoherentRanks),
            Columns.join(parts, RankComparison::leastCoherence),
            first.weight(),
            first.clipCoef(),
            first.loss());
  }
}
