package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.core.compare.Change;
import io.gradflow.core.compare.Comparison;
import io.gradflow.core.compare.Estimate;
import io.gradflow.core.compare.LayerChange;
import io.gradflow.core.compare.LeftOut;
import io.gradflow.core.compare.Scale;
import io.gradflow.core.signal.DepthProfile;
import java.util.Arrays;
import java.util.Locale;

/** A comparison as scripts read it: one object with everything. */
final class ComparisonJson {
  private static final ObjectMapper JSON = new ObjectMapper();

  private ComparisonJson() {}

  static ObjectNode of(ComparedSpan before, ComparedSpan after, Comparison comparison) {
    ObjectNode node = JSON.createObjectNode();
    node.put("sentence", comparison.sentence());
    node.set("before", span(before));
    node.set("after", span(after));
    node.put("significantBelow", Change.LEVEL);
    node.put("layersCompared", comparison.layers().size());
    node.put("layersChanged", comparison.changed().size());
    ObjectNode run = node.putObject("run");
    comparison
        .run()
        .forEach((measure, change) -> run.set(name(measure), change(change, measure.scale())));
    node.set("depthBefore", depth(comparison.depthBefore(), comparison));
    node.set("depthAfter", depth(comparison.depthAfter(), comparison));
    var layers = node.putArray("layers");
    comparison.layers().forEach(layer -> layers.add(layer(layer)));
    node.set("onlyBefore", JSON.valueToTree(comparison.onlyBefore()));
    node.set("onlyAfter", JSON.valueToTree(comparison.onlyAfter()));
    return node;
  }

  private static ObjectNode span(ComparedSpan span) {
    var steps = span.statistics().span();
    ObjectNode node = JSON.createObjectNode();
    node.put("run", span.run()).put("stream", span.stream());
    node.set("attempts", JSON.valueToTree(Arrays.stream(steps.attempts()).boxed().toList()));
    return node.put("firstStep", steps.first())
        .put("lastStep", steps.last())
        .put("steps", span.statistics().stepsRead());
  }

  private static ObjectNode depth(DepthProfile profile, Comparison comparison) {
    if (profile == null) {
      return null;
    }
    ObjectNode node =
        JSON.createObjectNode()
            .put("octavesPerLayer", finite(profile.slope()))
            .put("t", finite(profile.t()))
            .put("drop", finite(profile.drop()));
    DepthProfile.Boundary boundary = profile.steepest();
    ObjectNode steepest = boundary == null ? null : node.putObject("steepest");
    if (steepest != null) {
      var weights = comparison.weightsByDepth();
      steepest
          .put("inputSide", weights.get(boundary.inputSide()).layer().name())
          .put("lossSide", weights.get(boundary.lossSide()).layer().name())
          .put("fall", finite(boundary.fall()))
          .put("isBreak", boundary.isBreak());
    }
    return node;
  }

  private static ObjectNode layer(LayerChange layer) {
    ObjectNode node =
        JSON.createObjectNode()
            .put("name", layer.layer().name())
            .put("block", layer.layer().block())
            .put("depth", layer.layer().depth())
            .put("kind", layer.layer().kind().name())
            .put("changed", layer.rms().isSignificant());
    ObjectNode measures = node.putObject("measures");
    layer
        .changes()
        .forEach((measure, change) -> measures.set(name(measure), change(change, measure.scale())));
    node.set("leftOutBefore", leftOut(layer.leftOutBefore()));
    node.set("leftOutAfter", leftOut(layer.leftOutAfter()));
    return node;
  }

  private static ObjectNode leftOut(LeftOut steps) {
    return JSON.createObjectNode()
        .put("incomplete", steps.incomplete())
        .put("nonFinite", steps.nonFinite())
        .put("zero", steps.zero())
        .put("absent", steps.absent());
  }

  private static ObjectNode change(Change change, Scale scale) {
    ObjectNode node = JSON.createObjectNode().put("unit", scale == Scale.OCTAVES ? "log2" : "1");
    node.set("before", estimate(change.before()));
    node.set("after", estimate(change.after()));
    node.put("difference", finite(change.difference()));
    node.put("standardError", finite(change.standardError()));
    node.put("p", finite(change.p())).put("familyP", finite(change.familyP()));
    return node.put("significant", change.isSignificant()).put("unsettled", change.isUnsettled());
  }

  private static ObjectNode estimate(Estimate estimate) {
    return JSON.createObjectNode()
        .put("mean", finite(estimate.mean()))
        .put("scatter", finite(estimate.scatter()))
        .put("standardError", finite(estimate.standardError()))
        .put("steps", estimate.steps());
  }

  /** JSON has no NaN: what is no number is null. */
  private static Double finite(double value) {
    return Double.isFinite(value) ? value : null;
  }

  /** {@code ZERO_FRACTION} as {@code zeroFraction}. */
  private static String name(Enum<?> measure) {
    String[] words = measure.name().toLowerCase(Locale.ROOT).split("_", -1);
    StringBuilder name = new StringBuilder(words[0]);
    for (int i = 1; i < words.length; i++) {
      name.append(words[i].substring(0, 1).toUpperCase(Locale.ROOT)).append(words[i].substring(1));
    }
    return name.toString();
  }
}
