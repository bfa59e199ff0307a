package io.gradflow.dashboard.web;

import com.fasterxml.jackson.core.JsonGenerator;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.dashboard.live.StepRow;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;

/** Everything of one step, as the page shows it. */
final class StepJson {
  private static final int MOST_RANKS = 16_384;
  private static final int MOST_OUTLIERS = 200;

  private StepJson() {}

  /** A step, or the record of a stage of it, and where its layers begin among those of the row. */
  record Part(int firstLayer, Step step) {}

  /**
   * @param parts at least one, in the order of their layers
   */
  static byte[] of(StepRow row, List<Part> parts) {
    List<Step> steps = parts.stream().map(Part::step).toList();
    List<RankEvidence> evidence =
        steps.stream().map(Step::evidence).filter(Objects::nonNull).toList();
    return Json.bytes(
        out ->
            Json.object(
                out,
                () -> {
                  LiveJson.scalars(out, row);
                  Json.wholes(out, "missingRanks", ranks(steps, Step::missingRanks));
                  Json.wholes(out, "conflictingRanks", ranks(steps, Step::conflictingRanks));
                  norms(out, parts, row.cells().length);
                  incomplete(out, parts);
                  nonFinite(out, parts);
                  ranks(out, evidence);
                  outliers(out, parts);
                  // Those of one stage say nothing of the whole.
                  signals(out, steps.size() == 1 ? steps.get(0) : null);
                  Json.array(
                      out,
                      "events",
                      steps.stream().flatMap(step -> step.events().stream()).distinct().toList(),
                      event -> Json.object(out, () -> LiveJson.event(out, event)));
                }));
  }

  private static int[] ranks(List<Step> steps, Function<Step, int[]> of) {
    return steps.stream()
        .flatMapToInt(step -> Arrays.stream(of.apply(step)))
        .limit(MOST_RANKS)
        .toArray();
  }

  private static void norms(JsonGenerator out, List<Part> parts, int layers) throws IOException {
    long[] nans = new long[layers];
    long[] posInfs = new long[layers];
    long[] negInfs = new long[layers];
    for (Part part : parts) {
      NonFinite bad = part.step().norms().nonFinite();
      for (int i = 0; bad != null && i < bad.layers().length; i++) {
        int at = part.firstLayer() + bad.layers()[i];
        if (at >= 0 && at < nans.length) {
          nans[at] = bad.nans()[i];
          posInfs[at] = bad.posInfs()[i];
          negInfs[at] = bad.negInfs()[i];
        }
      }
    }
    Json.object(
        out,
        "norms",
        () -> {
          Json.numbers(out, "l2", column(parts, layers, NormColumns::l2));
          Json.numbers(out, "linf", column(parts, layers, NormColumns::linf));
          Json.numbers(out, "rms", column(parts, layers, NormColumns::rms));
          Json.numbers(out, "zeros", column(parts, layers, norms -> zeros(norms.zeros())));
          Json.wholes(out, "nans", nans);
          Json.wholes(out, "posInfs", posInfs);
          Json.wholes(out, "negInfs", negInfs);
        });
  }

  /** A column over all layers, NaN where it is unknown; null if it is of all. */
  private static double[] column(List<Part> parts, int layers, Function<NormColumns, double[]> of) {
    double[] column = new double[layers];
    Arrays.fill(column, Double.NaN);
    boolean known = false;
    for (Part part : parts) {
      double[] values = of.apply(part.step().norms());
      if (values != null) {
        int count = Math.min(values.length, layers - part.firstLayer());
        System.arraycopy(values, 0, column, part.firstLayer(), count);
        known = true;
      }
    }
    return known ? column : null;
  }

  private static double[] zeros(long[] zeros) {
    return zeros == null
        ? null
        : Arrays.stream(zeros).mapToDouble(zero -> zero < 0 ? Double.NaN : (double) zero).toArray();
  }

  private static void incomplete(JsonGenerator out, List<Part> parts) throws IOException {
    out.writeArrayFieldStart("incomplete");
    for (Part part : parts) {
      int[] layers = part.step().incompleteLayers();
      for (int i = 0; layers != null && i < layers.length; i++) {
        int at = i;
        Json.object(
            out,
            () -> {
              out.writeNumberField("layer", part.firstLayer() + layers[at]);
              Json.number(out, "completeness", part.step().incompleteCompleteness()[at]);
            });
      }
    }
    out.writeEndArray();
  }

  private static void nonFinite(JsonGenerator out, List<Part> parts) throws IOException {
    out.writeArrayFieldStart("nonFinite");
    for (Part part : parts) {
      nonFinite(out, part.firstLayer(), part.step().norms());
    }
    out.writeEndArray();
  }

  private static void nonFinite(JsonGenerator out, int firstLayer, NormColumns norms)
      throws IOException {
    NonFinite bad = norms.nonFinite();
    int[] ranks = norms.firstNonFiniteRank();
    for (int i = 0; bad != null && i < bad.layers().length; i++) {
      int at = i;
      Json.object(
          out,
          () -> {
            out.writeNumberField("layer", firstLayer + bad.layers()[at]);
            out.writeNumberField("nans", bad.nans()[at]);
            out.writeNumberField("posInfs", bad.posInfs()[at]);
            out.writeNumberField("negInfs", bad.negInfs()[at]);
            Json.whole(
                out,
                "firstRank",
                ranks == null || ranks[at] < 0 ? null : Integer.valueOf(ranks[at]));
          });
    }
  }

  private static void ranks(JsonGenerator out, List<RankEvidence> all) throws IOException {
    if (all.isEmpty()) {
      out.writeNullField("ranks");
      return;
    }
    Json.object(
        out,
        "ranks",
        () -> {
          perRank(out, "rank", all, one -> whole(out, one.ranks()));
          perRank(out, "localNorm", all, one -> number(out, one.localNorm()));
          perRank(out, "lagMs", all, one -> whole(out, one.arrivalLagMs()));
          perRank(out, "dropped", all, one -> whole(out, one.dropped()));
          perRank(
              out,
              "host",
              all,
              one ->
                  one.places() == null
                      ? null
                      : name(out, one.places().hosts(), one.places().hostOf()));
          perRank(
              out,
              "device",
              all,
              one ->
                  one.places() == null
                      ? null
                      : name(out, one.places().devices(), one.places().deviceOf()));
          perRank(
              out,
              "loss",
              all,
              one -> one.comparison() == null ? null : number(out, one.comparison().loss()));
        });
  }

  /** Writes what is known of the rank of an index. */
  private interface OfRank {
    void write(int index) throws IOException;
  }

  /**
   * A column over the ranks of all.
   *
   * @param column of one; null if it does not have it
   */
  private static void perRank(
      JsonGenerator out,
      String field,
      List<RankEvidence> all,
      Function<RankEvidence, OfRank> column)
      throws IOException {
    out.writeFieldName(field);
    if (all.stream().allMatch(one -> column.apply(one) == null)) {
      out.writeNull();
      return;
    }
    out.writeStartArray();
    for (RankEvidence one : all) {
      OfRank value = column.apply(one);
      for (int i = 0; i < one.ranks().length; i++) {
        if (value == null) {
          out.writeNull();
        } else {
          value.write(i);
        }
      }
    }
    out.writeEndArray();
  }

  private static OfRank whole(JsonGenerator out, int[] values) {
    return values == null ? null : i -> out.writeNumber(values[i]);
  }

  private static OfRank whole(JsonGenerator out, long[] values) {
    return values == null ? null : i -> out.writeNumber(values[i]);
  }

  private static OfRank number(JsonGenerator out, double[] values) {
    return values == null ? null : i -> Json.number(out, values[i]);
  }

  private static OfRank name(JsonGenerator out, String[] names, int[] of) {
    return names == null ? null : i -> out.writeString(of[i] < 0 ? null : names[of[i]]);
  }

  /**
   * A rank that is unlike the others in a layer.
   *
   * @param distance from the median of its layer, octaves
   */
  private record Outlier(int layer, int rank, double log2Rms, double distance) {}

  private static void outliers(JsonGenerator out, List<Part> parts) throws IOException {
    List<Outlier> outliers = new ArrayList<>();
    parts.forEach(part -> outliers(part.step(), part.firstLayer(), outliers));
    outliers.sort(Comparator.comparingDouble(Outlier::distance).reversed());
    Json.array(
        out,
        "outliers",
        outliers.subList(0, Math.min(MOST_OUTLIERS, outliers.size())),
        outlier ->
            Json.object(
                out,
                () -> {
                  out.writeNumberField("layer", outlier.layer());
                  out.writeNumberField("rank", outlier.rank());
                  Json.number(out, "log2Rms", outlier.log2Rms());
                }));
  }

  private static void outliers(Step step, int firstLayer, List<Outlier> outliers) {
    RankEvidence evidence = step.evidence();
    int k = evidence == null || evidence.outlierRanks() == null ? 0 : evidence.outliersPerLayer();
    for (int i = 0; k > 0 && i < step.norms().size(); i++) {
      double median = median(evidence, i);
      for (int j = i * k; j < (i + 1) * k; j++) {
        if (evidence.outlierRanks()[j] >= 0 && Float.isFinite(evidence.outlierLog2Rms()[j])) {
          double log2Rms = evidence.outlierLog2Rms()[j];
          outliers.add(
              new Outlier(
                  firstLayer + i, evidence.outlierRanks()[j], log2Rms, Math.abs(log2Rms - median)));
        }
      }
    }
  }

  /** Of the log2 RMS of the ranks in a layer, from their histogram: to a sixteenth of an octave. */
  private static double median(RankEvidence evidence, int layer) {
    if (evidence.histogramOffsets() == null) {
      return 0;
    }
    int from = evidence.histogramOffsets()[layer];
    int to = evidence.histogramOffsets()[layer + 1];
    long all = 0;
    for (int i = from; i < to; i++) {
      all += evidence.histogramCounts()[i];
    }
    long below = 0;
    for (int i = from; i < to; i++) {
      below += evidence.histogramCounts()[i];
      if (2 * below >= all) {
        return (evidence.histogramBins()[i] + 0.5) / 16;
      }
    }
    return 0;
  }

  private static void signals(JsonGenerator out, Step step) throws IOException {
    if (step == null || step.signals() == null || step.signals().run() == null) {
      out.writeNullField("signals");
      return;
    }
    RunSignals run = step.signals().run();
    Json.object(
        out,
        "signals",
        () -> {
          Json.number(out, "depthSlope", run.depthSlope());
          Json.number(out, "depthT", run.depthT());
          Json.number(out, "depthDrop", run.depthDrop());
          Json.number(out, "noiseScale", run.noiseScale());
          Json.number(out, "headroom", run.headroom());
          Json.number(out, "underflow", run.underflow());
          Json.number(out, "advisedClip", run.advisedClip());
          Json.number(out, "advisedLossScale", run.advisedLossScale());
          Json.number(out, "cosine", run.cosine());
        });
  }
}
