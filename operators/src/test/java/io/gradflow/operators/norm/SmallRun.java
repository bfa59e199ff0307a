package io.gradflow.operators.norm;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.List;
import java.util.Map;

/** Four data-parallel ranks with a layer of two elements, publishing LOCAL and REDUCED. */
record SmallRun(String runId) {
  static final int RANKS = 4;

  Manifest manifest() {
    return new Manifest(
            runId,
            1,
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            1,
            RANKS,
            List.of(new MeshAxis("dp_replicate", RANKS)),
            List.of(new Reporting(Stage.LOCAL, null, 1), new Reporting(Stage.REDUCED, null, 1)),
            "mean",
            "float32",
            null,
            null,
            null,
            null,
            List.of(
                new Layer(
                    "weight",
                    null,
                    null,
                    LayerKind.WEIGHT,
                    2,
                    "float32",
                    true,
                    false,
                    false,
                    null,
                    List.of(Placement.REPLICATE))))
        .identified();
  }

  GroupNotice layout() {
    return new GroupNotice(0, Layout.of(manifest()), null);
  }

  RunNotice named() {
    return new RunNotice(manifest(), null);
  }

  RunEvent finished(long step) {
    return new RunEvent(runId, 1, StepId.MAIN_STREAM, step, RunEvent.Type.FINISHED, 0, Map.of());
  }

  /** The gradient is (3, 4), and 2^step times that before the reduction. */
  Shard shard(long step, int rank, Stage stage) {
    float scale = stage == Stage.LOCAL ? Math.scalb(1f, (int) step) : 1;
    return new Shard(
        new StepId(runId, 1, StepId.MAIN_STREAM, step),
        rank,
        new int[] {rank},
        0,
        1,
        manifest().manifestId(),
        stage,
        step - 1,
        0,
        1,
        0,
        0,
        0,
        1,
        null,
        false,
        null,
        null,
        0.5,
        null,
        null,
        "host",
        null,
        Measurement.of(new float[] {3 * scale, 4 * scale}),
        null);
  }
}
