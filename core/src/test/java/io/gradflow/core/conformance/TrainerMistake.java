package io.gradflow.core.conformance;

import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Stage;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Mistakes in the global gradient norm that a trainer reports, each met in public frameworks or in
 * what is built on them.
 */
enum TrainerMistake {
  NONE("") {
    @Override
    double value(Trainer trainer, int rank) {
      return trainer.norm();
    }
  },
  /** Clipping or logging before the all-reduce: PyTorch DDP within {@code no_sync}. */
  RANK_NORM_LOGGED("from before the reduction") {
    @Override
    double value(Trainer trainer, int rank) {
      return trainer.norm(Stage.LOCAL, rank);
    }

    @Override
    boolean isTold(Composition composition) {
      return composition.local() && composition.workers() > 1 && !publishesUncounted(composition);
    }
  },
  /**
   * The norm of what the rank holds after reduce-scatter: DeepSpeed ZeRO's accessors of partitions,
   * and PyTorch's {@code clip_grad_norm_} in place of the one of FSDP.
   */
  SHARD_NORM_LOGGED("its own slices|one pipeline stage alone") {
    @Override
    double value(Trainer trainer, int rank) {
      return trainer.norm(Stage.REDUCED, rank);
    }

    @Override
    boolean isTold(Composition composition) {
      return !publishesUncounted(composition);
    }
  },
  /** PyTorch's GradScaler without {@code unscale_} before clipping. */
  SCALED_NORM_LOGGED("multiplied by the loss scale") {
    @Override
    double value(Trainer trainer, int rank) {
      return trainer.norm() * trainer.lossScale();
    }
  },
  /** Squares reduced over one process group where slices lie over two: Megatron-style meshes. */
  WRONG_GROUP("its squares are added up over|its own slices") {
    @Override
    double value(Trainer trainer, int rank) {
      Composition composition = trainer.composition();
      Set<String> sharded =
          IntStream.range(0, composition.mesh().size())
              .filter(
                  axis ->
                      composition.models().stream()
                          .flatMap(m -> m.tensors().stream())
                          .anyMatch(t -> t.layer().placement().get(axis) == Placement.SHARD))
              .mapToObj(axis -> composition.mesh().get(axis).name())
              .limit(1)
              .collect(Collectors.toSet());
      return trainer.norm(Stage.REDUCED, rank, sharded);
    }

    @Override
    boolean isTold(Composition composition) {
      return composition.everyRankReduces()
          && composition.models().size() == 1
          && !publishesUncounted(composition);
    }
  },
  /** Every rank's squares added up: Megatron's parameters that are tensor-parallel duplicates. */
  COPIES_COUNTED("have copies") {
    @Override
    double value(Trainer trainer, int rank) {
      return trainer.norm(
          Stage.REDUCED, rank, Set.of("dp_replicate", "dp_shard", "cp", "ep", "tp", "pp"));
    }

    @Override
    boolean isTold(Composition composition) {
      return composition.everyRankReduces()
          && composition.models().size() == 1
          && !publishesUncounted(composition);
    }
  },
  /** The norm of a bfloat16 gradient comes back as bfloat16: torchtitan#4135. */
  BFLOAT16_NORM("bfloat16") {
    @Override
    double value(Trainer trainer, int rank) {
      int bits = Float.floatToIntBits((float) trainer.norm());
      return Float.intBitsToFloat((bits + 0x7FFF + (bits >>> 16 & 1)) & 0xFFFF0000);
    }
  },
  /** Micro-batches added up, not averaged: gradient accumulation in Hugging Face's Trainer. */
  ACCUMULATION_SUMMED("micro-batches were added up|where layers have copies") {
    @Override
    double value(Trainer trainer, int rank) {
      return trainer.norm() * trainer.composition().accumSteps();
    }

    @Override
    boolean isTold(Composition composition) {
      return composition.accumSteps() != composition.workers();
    }
  },
  /** Sum instead of mean over data-parallel workers: a hand-written all-reduce. */
  WORKERS_SUMMED("sum over the") {
    @Override
    double value(Trainer trainer, int rank) {
      return trainer.norm() * trainer.composition().workers();
    }
  },
  /** The norm taken again after clipping: callbacks that run before the optimiser. */
  CLIPPED_NORM_LOGGED("after clipping") {
    @Override
    double value(Trainer trainer, int rank) {
      Double coef = trainer.composition().clipCoef();
      return trainer.norm() * (coef == null ? 1 : coef);
    }
  },
  /** The root of the sum of the workers' squared norms: metrics reduced by sum. */
  LOCAL_SQUARES_ADDED("from before the reduction") {
    @Override
    double value(Trainer trainer, int rank) {
      return trainer.norm(Stage.LOCAL, rank, Set.of("dp_replicate", "dp_shard", "cp"));
    }

    @Override
    boolean isTold(Composition composition) {
      return composition.local() && composition.workers() > 1 && !publishesUncounted(composition);
    }
  },
  /** An embedding shared with the head counted as two: pipelines that keep both copies. */
  TIED_COUNTED_TWICE("counts tied layers twice") {
    @Override
    double value(Trainer trainer, int rank) {
      return trainer.norm(tensor -> !tensor.isOptional() || tensor.layer().tiedTo() != null);
    }

    @Override
    boolean isTold(Composition composition) {
      return composition.models().size() == 1
          && composition.models().get(0).tensors().get(0).layer().trainable();
    }
  },
  /** No reduction over the pipeline: each stage has the norm of its own layers. */
  STAGE_NORM_LOGGED("one pipeline stage alone") {
    @Override
    double value(Trainer trainer, int rank) {
      Set<Tensor> own = Set.copyOf(trainer.composition().modelsOf(rank).get(0).tensors());
      return trainer.norm(tensor -> own.contains(tensor) && !tensor.isOptional());
    }
  };

  private final String words;

  TrainerMistake(String words) {
    this.words = words;
  }

  /** Whether what single ranks hold is more than what the global norm is of. */
  private static boolean publishesUncounted(Composition composition) {
    return composition.models().stream()
        .flatMap(model -> model.tensors().stream())
        .anyMatch(tensor -> tensor.isOptional() && tensor.reported());
  }

  /** Whether a finding names the mistake, or another that gives the same value. */
  boolean isNamedIn(String message) {
    return Pattern.compile(words).matcher(message).find();
  }

  /** Whether what the composition's ranks publish can tell the mistake from every other. */
  boolean isTold(Composition composition) {
    return true;
  }

  abstract double value(Trainer trainer, int rank);

  /** The norm that a rank reports: a float, as frameworks have it. */
  Double norm(Trainer trainer, int rank) {
    return (double) (float) value(trainer, rank);
  }
}
