package io.gradflow.core.norm;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** A training to test with: its manifest, and shards of it. */
public record TestRun(Manifest manifest) {
  public static final String RUN = "run-1";
  public static final long ATTEMPT = 1_000;

  /** Data-parallel ranks that publish REDUCED copies of layers of 4 elements. */
  public static TestRun replicas(int ranks, int layers) {
    return replicas(ranks, layers, new Reporting(Stage.REDUCED, null, 1));
  }

  public static TestRun replicas(int ranks, int layers, Reporting... reporting) {
    List<Layer> all = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      all.add(layer("layer" + i, 4, Placement.REPLICATE));
    }
    return of(List.of(new MeshAxis("dp_replicate", ranks)), List.of(reporting), all);
  }

  public static TestRun of(List<MeshAxis> mesh, List<Reporting> reporting, List<Layer> layers) {
    int world = mesh.stream().mapToInt(MeshAxis::size).reduce(1, (a, b) -> a * b);
    return new TestRun(
        new Manifest(
                RUN,
                ATTEMPT,
                StepId.MAIN_STREAM,
                0,
                0,
                1,
                0,
                layers.size(),
                world,
                mesh,
                reporting,
                "mean",
                "float32",
                null,
                null,
                null,
                null,
                layers)
            .identified());
  }

  public static Layer layer(String name, long elements, Placement... placement) {
    return new Layer(
        name,
        null,
        null,
        LayerKind.WEIGHT,
        elements,
        "float32",
        true,
        false,
        false,
        null,
        List.of(placement));
  }

  public RunEvent event(RunEvent.Type type, long step) {
    return new RunEvent(RUN, ATTEMPT, StepId.MAIN_STREAM, step, type, 0, Map.of());
  }

  /** The coordinates of a rank, the last mesh dimension running fastest. */
  public int[] coords(int rank) {
    int[] coords = new int[manifest.mesh().size()];
    int rest = rank;
    for (int axis = coords.length - 1; axis >= 0; axis--) {
      coords[axis] = rest % manifest.mesh().get(axis).size();
      rest /= manifest.mesh().get(axis).size();
    }
    return coords;
  }

  /** A shard of step 0 of rank 0 that holds ones everywhere, unless said otherwise. */
  public ShardBuilder aShard() {
    return new ShardBuilder(this);
  }

  /** Says what differs from the usual. */
  public static final class ShardBuilder {
    private final TestRun run;
    private String runId = RUN;
    private long attempt = ATTEMPT;
    private long step;
    private long previousStep = Long.MIN_VALUE;
    private int rank;
    private int part;
    private int parts = 1;
    private Stage stage = Stage.REDUCED;
    private int accumIndex;
    private int accumSteps = 1;
    private double weight = 1;
    private Double lossScale;
    private Double loss;
    private Double reportedGlobalNorm;
    private double[] learningRates;
    private Clip clip;
    private LayerColumns columns;
    private long manifestId;
    private Origin origin;
    private String host;
    private String device;

    ShardBuilder(TestRun run) {
      this.run = run;
      manifestId = run.manifest().manifestId();
    }

    public ShardBuilder run(String newRun) {
      runId = newRun;
      return this;
    }

    public ShardBuilder attempt(long newAttempt) {
      attempt = newAttempt;
      return this;
    }

    public ShardBuilder step(long newStep) {
      step = newStep;
      return this;
    }

    public ShardBuilder previousStep(long previous) {
      previousStep = previous;
      return this;
    }

    public ShardBuilder rank(int newRank) {
      rank = newRank;
      return this;
    }

    public ShardBuilder part(int newPart, int of) {
      part = newPart;
      parts = of;
      return this;
    }

    public ShardBuilder stage(Stage newStage) {
      stage = newStage;
      return this;
    }

    public ShardBuilder microBatch(int index, int of) {
      accumIndex = index;
      accumSteps = of;
      return this;
    }

    public ShardBuilder weight(double newWeight) {
      weight = newWeight;
      return this;
    }

    public ShardBuilder lossScale(double scale) {
      lossScale = scale;
      return this;
    }

    public ShardBuilder loss(double newLoss) {
      loss = newLoss;
      return this;
    }

    /** The trainer's own global gradient norm; null if it says none. */
    public ShardBuilder reported(Double norm) {
      reportedGlobalNorm = norm;
      return this;
    }

    public ShardBuilder learningRates(double... rates) {
      learningRates = rates;
      return this;
    }

    public ShardBuilder clip(Clip newClip) {
      clip = newClip;
      return this;
    }

    public ShardBuilder manifestId(long id) {
      manifestId = id;
      return this;
    }

    /** The broker took it then, ms. */
    public ShardBuilder writtenAt(long ms) {
      origin = new Origin("gradient-shards", rank, step, ms);
      return this;
    }

    /** Where the rank runs; null if it does not say. */
    public ShardBuilder at(String newHost, String newDevice) {
      host = newHost;
      device = newDevice;
      return this;
    }

    /** The slices of the layers from 0 on. */
    public ShardBuilder values(float[]... slices) {
      columns = Measurement.of(slices);
      return this;
    }

    /** The same value in all elements of all layers of 4 elements. */
    public ShardBuilder filledWith(float value) {
      float[][] slices = new float[run.manifest().layerCount()][4];
      for (float[] slice : slices) {
        Arrays.fill(slice, value);
      }
      return values(slices);
    }

    public ShardBuilder columns(LayerColumns newColumns) {
      columns = newColumns;
      return this;
    }

    /** The shard of a block of raw values of one layer. */
    public Shard block(int layer, long offset, float... values) {
      ByteBuffer bytes =
          ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asFloatBuffer().put(values);
      return new Block(
              build().part(part, parts, null),
              layer,
              offset,
              null,
              values.length,
              Dtype.FLOAT32,
              bytes.array(),
              Block.Purpose.MEASURE,
              null)
          .measured();
    }

    public Shard build() {
      if (columns == null) {
        filledWith(1);
      }
      return new Shard(
          new StepId(runId, attempt, StepId.MAIN_STREAM, step),
          rank,
          run.coords(rank),
          part,
          parts,
          manifestId,
          stage,
          previousStep == Long.MIN_VALUE ? step - 1 : previousStep,
          accumIndex,
          accumSteps,
          0,
          0,
          0,
          weight,
          lossScale,
          false,
          clip,
          reportedGlobalNorm,
          loss,
          null,
          learningRates,
          host,
          device,
          columns,
          origin);
    }
  }
}
