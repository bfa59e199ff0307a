package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Cause;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RankPlaces;
import io.gradflow.core.norm.Refusal;
import io.gradflow.core.norm.Refusals;
import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Capture;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.Sketches;
import io.gradflow.core.shard.Stage;
import io.gradflow.core.signal.Octaves;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowSignals;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/** Valid values by seed: every optional field now present, now absent. */
final class Samples {
  static final Origin ORIGIN = new Origin("gradient-shards", 3, 42, 1_700_000_000_000L);
  private static final double[] ODD = {
    0, -0.0, Double.MIN_VALUE, Double.MAX_VALUE, Double.POSITIVE_INFINITY, Double.NaN, 1e-30
  };

  private final Random random;

  Samples(long seed) {
    random = new Random(seed);
  }

  Shard shard(int layers) {
    return new Shard(
        stepId(),
        random.nextInt(16_384),
        ints(random.nextInt(4), 8),
        0,
        1,
        random.nextLong(),
        one(Stage.values()),
        -1,
        random.nextInt(4),
        4,
        random.nextLong(1L << 41),
        random.nextLong(1L << 41),
        random.nextInt(100),
        random.nextDouble() * 1e6,
        maybe(() -> 65_536.0),
        random.nextBoolean(),
        maybe(this::clip),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(() -> doubles(2)),
        maybe(this::text),
        maybe(this::text),
        columns(layers),
        ORIGIN);
  }

  Block block(int values) {
    Dtype dtype = one(Dtype.values());
    byte[] bytes = new byte[values * dtype.width()];
    random.nextBytes(bytes);
    Block.Purpose purpose = one(Block.Purpose.values());
    return new Block(
        shard(0).part(0, 1, null),
        random.nextInt(1000),
        random.nextInt(1000),
        maybe(() -> random.nextLong(1L << 40)),
        values,
        dtype,
        bytes,
        purpose,
        purpose == Block.Purpose.CAPTURE ? text() : null);
  }

  LayerColumns columns(int layers) {
    boolean gaps = random.nextBoolean();
    int firstLayer = random.nextInt(100);
    int[] indices = gaps ? IntStream.range(0, layers).map(i -> firstLayer + 2 * i).toArray() : null;
    return new LayerColumns(
        firstLayer,
        indices,
        maybe(() -> counts(layers)),
        magnitudes(layers),
        magnitudes(layers),
        maybe(() -> magnitudes(layers)),
        maybe(() -> counts(layers)),
        layers < 3
            ? null
            : maybe(() -> nonFinite(firstLayer, firstLayer + (layers - 1) * (gaps ? 2 : 1))),
        null,
        maybe(() -> signals(firstLayer, layers, gaps ? 2 : 1)));
  }

  private SignalColumns signals(int firstLayer, int layers, int stride) {
    return new SignalColumns(
        magnitudes(layers),
        maybe(() -> counts(layers)),
        maybe(() -> unknownAmong(magnitudes(layers))),
        maybe(() -> unknownAmong(magnitudes(layers))),
        maybe(() -> magnitudes(layers)),
        maybe(() -> unknownAmong(magnitudes(layers))),
        maybe(() -> magnitudes(layers)),
        maybe(() -> counts(layers)),
        maybe(() -> counts(layers)),
        maybe(() -> counts(layers)),
        maybe(() -> histograms(layers)),
        layers < 3
            ? null
            : maybe(
                () ->
                    new Sketches(
                        new int[] {firstLayer, firstLayer + 2 * stride}, 64, magnitudes(128))));
  }

  private float[] unknownAmong(float[] column) {
    if (column.length > 0) {
      column[random.nextInt(column.length)] = Float.NaN;
    }
    return column;
  }

  private Histograms histograms(int layers) {
    List<Octaves> rows = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      int low = random.nextInt(200) - 150;
      rows.add(maybe(() -> new Octaves(new int[] {low, low + 3}, new long[] {1, 1L << 33})));
    }
    return Histograms.of(rows);
  }

  private StepSignals stepSignals(int first, int layers) {
    return new StepSignals(
        maybe(() -> doubles(layers)),
        maybe(() -> counts(layers)),
        maybe(() -> doubles(layers)),
        maybe(() -> doubles(layers)),
        maybe(() -> doubles(layers)),
        maybe(() -> unknownAmong(magnitudes(layers))),
        maybe(() -> unknownAmong(magnitudes(layers))),
        maybe(() -> doubles(layers)),
        maybe(() -> doubles(layers)),
        maybe(() -> magnitudes(layers)),
        maybe(() -> counts(layers)),
        maybe(() -> counts(layers)),
        maybe(() -> histograms(layers)),
        layers < 3 ? null : maybe(() -> new int[] {first, first + 2}),
        maybe(
            () ->
                new RunSignals(
                    random.nextInt(100) - 1,
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    odd(),
                    random.nextInt(100) - 1,
                    odd(),
                    odd(),
                    odd(),
                    odd())));
  }

  private RankComparison comparison(int ranks, int layers) {
    return new RankComparison(
        doubles(ranks),
        maybe(() -> doubles(ranks)),
        maybe(() -> unknownAmong(magnitudes(ranks))),
        maybe(() -> magnitudes(ranks)),
        maybe(() -> doubles(3)),
        maybe(random::nextDouble),
        4,
        ints(4 * layers, 1024),
        magnitudes(4 * layers),
        maybe(() -> doubles(ranks)),
        maybe(() -> doubles(ranks)),
        maybe(() -> doubles(ranks)));
  }

  Manifest manifest(int layers) {
    List<Layer> list = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      list.add(
          new Layer(
              "decoder." + i + "." + text(),
              maybe(this::text),
              maybe(() -> random.nextInt(1000)),
              one(LayerKind.values()),
              random.nextLong(1L << 33),
              "bfloat16",
              random.nextBoolean(),
              random.nextBoolean(),
              random.nextBoolean(),
              maybe(this::text),
              List.of(one(Placement.values()), one(Placement.values()))));
    }
    return new Manifest(
            "run " + text(),
            random.nextInt(1_000_000),
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            layers,
            1024,
            List.of(new MeshAxis("dp_shard", 256), new MeshAxis("tp", 4)),
            List.of(
                new Reporting(Stage.REDUCED, null, 1),
                new Reporting(Stage.LOCAL, new int[] {0, 5, 1023}, 10)),
            "mean",
            maybe(() -> "bfloat16"),
            maybe(() -> "float32"),
            maybe(this::text),
            maybe(() -> "AdamW"),
            maybe(() -> 1e-8),
            list)
        .identified();
  }

  RunEvent runEvent() {
    return runEvent("run");
  }

  private RunEvent runEvent(String runId) {
    Map<String, String> attributes = new HashMap<>();
    for (int i = random.nextInt(4); i > 0; i--) {
      attributes.put(text(), text());
    }
    return new RunEvent(
        runId,
        random.nextInt(1_000_000),
        "main",
        random.nextInt(1000) - 1,
        one(RunEvent.Type.values()),
        random.nextLong(1L << 41),
        attributes);
  }

  Step step(int layers) {
    int first = random.nextInt(50);
    NonFinite bad = layers < 3 ? null : maybe(() -> nonFinite(first, first + layers - 1));
    int[] incomplete = layers < 3 ? null : maybe(() -> new int[] {first, first + layers - 1});
    StepId id = stepId();
    return new Step(
        id,
        random.nextLong(),
        0,
        1,
        first,
        random.nextLong(1L << 41),
        one(ClosedBy.values()),
        random.nextBoolean(),
        random.nextDouble(),
        1024,
        random.nextBoolean() ? new int[0] : new int[] {0, 7, 8, 1023},
        random.nextBoolean() ? new int[0] : new int[] {3, 1022},
        incomplete,
        incomplete == null ? null : doubles(2),
        odd(),
        new NormColumns(
            maybe(() -> doubles(layers)),
            doubles(layers),
            doubles(layers),
            doubles(layers),
            doubles(layers),
            maybe(() -> counts(layers)),
            bad,
            bad == null ? null : maybe(() -> ints(bad.layers().length, 1024)),
            layers < 3
                ? null
                : maybe(
                    () ->
                        new Refusals(
                            new int[] {first, first + 1},
                            List.of(one(Refusal.values()), one(Refusal.values()))))),
        maybe(() -> evidence(layers)),
        new StepScalars(
            maybe(this::odd),
            maybe(this::odd),
            maybe(() -> doubles(3)),
            maybe(() -> 2.0),
            random.nextBoolean(),
            maybe(this::clip),
            maybe(this::odd),
            random.nextDouble()),
        random.nextBoolean() ? List.of() : List.of(runEvent(id.runId()), runEvent(id.runId())),
        maybe(() -> stepSignals(first, layers)));
  }

  private RankEvidence evidence(int layers) {
    int ranks = random.nextInt(20);
    boolean local = random.nextBoolean();
    int k = local ? 8 : 0;
    int[] offsets = IntStream.rangeClosed(0, layers).map(i -> 2 * i).toArray();
    return new RankEvidence(
        IntStream.range(0, ranks).toArray(),
        doubles(ranks),
        counts(ranks),
        counts(ranks),
        k,
        local ? ints(layers * k, 1024) : null,
        local ? magnitudes(layers * k) : null,
        local ? offsets : null,
        local ? ints(2 * layers, 4000) : null,
        local ? ints(2 * layers, 64) : null,
        local ? doubles(layers) : null,
        local ? ints(layers, 64) : null,
        maybe(() -> magnitudes(layers)),
        maybe(random::nextLong),
        places(ranks),
        maybe(() -> comparison(ranks, layers)));
  }

  private RankPlaces places(int ranks) {
    boolean hosts = random.nextBoolean();
    boolean devices = random.nextBoolean();
    return !hosts && !devices
        ? null
        : new RankPlaces(
            hosts ? new String[] {text(), text()} : null,
            hosts ? IntStream.range(0, ranks).map(i -> i % 3 - 1).toArray() : null,
            devices ? new String[] {text()} : null,
            devices ? new int[ranks] : null);
  }

  LayerWindow window() {
    return new LayerWindow(
        "run|" + text(),
        random.nextInt(1_000_000),
        "main",
        random.nextLong(),
        "decoder.3|" + text(),
        random.nextInt(1000),
        100L * random.nextInt(1000),
        100,
        random.nextBoolean(),
        random.nextInt(100),
        random.nextInt(1000),
        random.nextInt(1000),
        random.nextDouble(),
        maybe(this::spread),
        maybe(this::spread),
        maybe(this::odd),
        random.nextInt(100),
        maybe(() -> random.nextLong(1L << 50)),
        maybe(this::windowSignals));
  }

  private WindowSignals windowSignals() {
    int bins = random.nextInt(30);
    return new WindowSignals(
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(this::odd),
        maybe(
            () ->
                new WindowSignals.Magnitudes(
                    random.nextInt(100),
                    IntStream.range(-bins, 0).toArray(),
                    counts(bins),
                    maybe(() -> random.nextLong(1L << 50)),
                    maybe(this::odd),
                    maybe(this::odd),
                    maybe(this::odd))),
        maybe(this::link),
        maybe(this::link),
        maybe(this::text),
        maybe(this::link));
  }

  private WindowSignals.Link link() {
    return new WindowSignals.Link(odd(), random.nextInt(17) - 8, random.nextInt(100));
  }

  Alert alert() {
    return new Alert(
        text(),
        text(),
        random.nextInt(9),
        "run",
        random.nextInt(1_000_000),
        "main",
        one(Alert.State.values()),
        one(FindingKind.values()),
        one(Severity.values()),
        random.nextInt(1000),
        random.nextInt(1000),
        random.nextInt(1000),
        maybe(() -> random.nextLong(1000)),
        maybe(this::text),
        maybe(() -> random.nextInt(64)),
        maybe(this::text),
        maybe(this::text),
        List.of(
            new Alert.Suspect("a", null, 3, null, null),
            new Alert.Suspect(null, 4, random.nextDouble(), text(), maybe(this::text))),
        List.of(new Alert.Link(7, one(FindingKind.values()), maybe(this::text), null, odd())),
        maybe(() -> new Alert.Evidence(odd(), 2, "octaves", counts(5), doubles(5))),
        text(),
        maybe(this::text),
        List.of("no LOCAL shards"),
        maybe(random::nextDouble),
        random.nextInt(10),
        random.nextBoolean(),
        random.nextLong(1L << 41),
        new Alert.Context(
            maybe(() -> one(Cause.values())),
            text(),
            maybe(this::odd),
            maybe(this::odd),
            List.of("step 4: checkpoint"),
            maybe(() -> random.nextLong(1000)),
            maybe(() -> random.nextLong(1000)),
            maybe(this::text)));
  }

  Rule rule() {
    return new Rule(
        "*",
        one(FindingKind.values()),
        random.nextInt(100),
        one(Rule.Mode.values()),
        Map.of("slope", 0.012));
  }

  Feedback feedback() {
    return new Feedback(
        "run " + text(),
        "incident " + text(),
        one(Feedback.Verdict.values()),
        maybe(this::text),
        random.nextLong(1L << 41),
        maybe(this::text));
  }

  Capture capture() {
    return new Capture(
        "capture " + text(),
        "run " + text(),
        "main",
        List.of("layer " + text(), "layer"),
        maybe(() -> new int[] {0, 1 + random.nextInt(1000)}),
        maybe(() -> random.nextLong(1000)),
        1 + random.nextInt(10),
        random.nextLong(1L << 40),
        random.nextLong(1L << 41),
        maybe(this::text),
        random.nextLong(1L << 41));
  }

  private StepId stepId() {
    return new StepId("run " + text(), random.nextInt(1_000_000), "main", random.nextInt(100_000));
  }

  private Clip clip() {
    return new Clip("norm", maybe(() -> 1.0), maybe(this::odd), random.nextBoolean());
  }

  private LayerWindow.Spread spread() {
    return new LayerWindow.Spread(odd(), odd(), odd(), odd(), odd(), odd());
  }

  private NonFinite nonFinite(int first, int last) {
    return new NonFinite(new int[] {first, last}, counts(2), counts(2), counts(2));
  }

  private double odd() {
    return random.nextInt(3) == 0 ? ODD[random.nextInt(ODD.length)] : random.nextGaussian();
  }

  private double[] doubles(int size) {
    return IntStream.range(0, size).mapToDouble(i -> odd()).toArray();
  }

  private float[] magnitudes(int size) {
    float[] column = new float[size];
    for (int i = 0; i < size; i++) {
      column[i] = (float) Math.exp(20 * random.nextGaussian());
      column[i] = Math.min(column[i], Float.MAX_VALUE);
    }
    return column;
  }

  private long[] counts(int size) {
    return random.longs(size, 0, 1L << 40).toArray();
  }

  private int[] ints(int size, int bound) {
    return random.ints(size, 0, bound).toArray();
  }

  private String text() {
    return "naïve \uD83D\uDE00 " + random.nextInt(1000);
  }

  private <E> E one(E[] values) {
    return values[random.nextInt(values.length)];
  }

  private <V> V maybe(Supplier<V> value) {
    return random.nextInt(3) == 0 ? null : value.get();
  }
}
