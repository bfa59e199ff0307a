package io.gradflow.dashboard.web;

import com.fasterxml.jackson.core.JsonGenerator;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RankPlaces;
import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.dashboard.live.StepRow;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/** Everything of one step, as the page shows it. */
final class StepJson {
  private static final int MOST_RANKS = 16_384;
  private static final int MOST_OUTLIERS = 200;

  private StepJson() {}

  static byte[] of(StepRow row, Step step) {
    return Json.bytes(
        out ->
            Json.object(
                out,
                () -> {
                  LiveJson.scalars(out, row);
                  Json.wholes(out, "missingRanks", first(step.missingRanks()));
                  Json.wholes(out, "conflictingRanks", first(step.conflictingRanks()));
                  norms(out, step);
                  incomplete(out, step);
                  nonFinite(out, step.norms());
                  ranks(out, step.evidence());
                  outliers(out, step);
                  signals(out, step);
                  Json.array(
                      out,
                      "events",
                      step.events(),
                      event -> Json.object(out, () -> LiveJson.event(out, event)));
                }));
  }

  private static int[] first(int[] ranks) {
    return ranks.length <= MOST_RANKS ? ranks : Arrays.copyOf(ranks, MOST_RANKS);
  }

  private static void norms(JsonGenerator out, Step step) throws IOException {
    NormColumns norms = step.norms();
    long[] nans = new long[norms.size()];
    long[] posInfs = new long[norms.size()];
    long[] negInfs = new long[norms.size()];
    NonFinite bad = norms.nonFinite();
    if (bad != null) {
      for (int i = 0; i < bad.layers().length; i++) {
        int at = bad.layers()[i] - step.firstLayer();
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
          Json.numbers(out, "l2", norms.l2());
          Json.numbers(out, "linf", norms.linf());
          Json.numbers(out, "rms", norms.rms());
          zeros(out, norms.zeros());
          Json.wholes(out, "nans", nans);
          Json.wholes(out, "posInfs", posInfs);
          Json.wholes(out, "negInfs", negInfs);
        });
  }

  private static void zeros(JsonGenerator out, long[] zeros) throws IOException {
    Json.numbers(
        out,
        "zeros",
        zeros == null
            ? null
            : Arrays.stream(zeros)
                .mapToDouble(zero -> zero < 0 ? Double.NaN : (double) zero)
                .toArray());
  }

  private static void incomplete(JsonGenerator out, Step step) throws IOException {
    int[] layers = step.incompleteLayers() == null ? new int[0] : step.incompleteLayers();
    out.writeArrayFieldStart("incomplete");
    for (int i = 0; i < layers.length; i++) {
      int at = i;
      Json.object(
          out,
          () -> {
            out.writeNumberField("layer", layers[at]);
            Json.number(out, "completeness", step.incompleteCompleteness()[at]);
          });
    }
    out.writeEndArray();
  }

  private static void nonFinite(JsonGenerator out, NormColumns norms) throws IOException {
    NonFinite bad = norms.nonFinite();
    int count = bad == null ? 0 : bad.layers().length;
    out.writeArrayFieldStart("nonFinite");
    for (int i = 0; i < count; i++) {
      int at = i;
      int[] ranks = norms.firstNonFiniteRank();
      Json.object(
          out,
          () -> {
            out.writeNumberField("layer", bad.layers()[at]);
            out.writeNumberField("nans", bad.nans()[at]);
            out.writeNumberField("posInfs", bad.posInfs()[at]);
            out.writeNumberField("negInfs", bad.negInfs()[at]);
            Json.whole(
                out,
                "firstRank",
                ranks == null || ranks[at] < 0 ? null : Integer.valueOf(ranks[at]));
          });
    }
    out.writeEndArray();
  }

  private static void ranks(JsonGenerator out, RankEvidence evidence) throws IOException {
    if (evidence == null) {
      out.writeNullField("ranks");
      return;
    }
    RankComparison comparison = evidence.comparison();
    RankPlaces places = evidence.places();
    Json.object(
        out,
        "ranks",
        () -> {
          Json.wholes(out, "rank", evidence.ranks());
          Json.numbers(out, "localNorm", evidence.localNorm());
          Json.wholes(out, "lagMs", evidence.arrivalLagMs());
          Json.wholes(out, "dropped", evidence.dropped());
          names(
              out,
              "host",
              places == null ? null : places.hosts(),
              places == null ? null : places.hostOf());
          names(
              out,
              "device",
              places == null ? null : places.devices(),
              places == null ? null : places.deviceOf());
          Json.numbers(out, "loss", comparison == null ? null : comparison.loss());
        });
  }

  private static void names(JsonGenerator out, String field, String[] names, int[] of)
      throws IOException {
    out.writeFieldName(field);
    if (names == null) {
      out.writeNull();
      return;
    }
    out.writeStartArray();
    for (int index : of) {
      out.writeString(index < 0 ? null : names[index]);
    }
    out.writeEndArray();
  }

  /**
   * A rank that is unlike the others in a layer.
   *
   * @param distance from the median of its layer, octaves
   */
  private record Outlier(int layer, int rank, double log2Rms, double distance) {}

  private static void outliers(JsonGenerator out, Step step) throws IOException {
    RankEvidence evidence = step.evidence();
    List<Outlier> outliers = new ArrayList<>();
    int k = evidence == null || evidence.outlierRanks() == null ? 0 : evidence.outliersPerLayer();
    for (int i = 0; k > 0 && i < step.norms().size(); i++) {
      double median = median(evidence, i);
      for (int j = i * k; j < (i + 1) * k; j++) {
        if (evidence.outlierRanks()[j] >= 0 && Float.isFinite(evidence.outlierLog2Rms()[j])) {
          double log2Rms = evidence.outlierLog2Rms()[j];
          outliers.add(
              new Outlier(
                  step.firstLayer() + i,
                  evidence.outlierRanks()[j],
                  log2Rms,
                  Math.abs(log2Rms - median)));
        }
      }
    }
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
    if (step.signals() == null || step.signals().run() == null) {
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
