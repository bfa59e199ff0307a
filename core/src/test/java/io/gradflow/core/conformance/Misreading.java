package io.gradflow.core.conformance;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * Ways to put shards together wrongly. Each gives the machines what makes them do as code with that
 * mistake would: to treat copies as slices is to be told that they are slices.
 */
enum Misreading {
  NONE,
  /** Copies are added up like slices. */
  REPLICAS_ADDED {
    @Override
    Manifest manifest(Manifest manifest) {
      return placed(manifest, Placement.REPLICATE, Placement.SHARD);
    }
  },
  /** One slice stands for the layer. */
  SLICES_TAKEN_FOR_COPIES {
    @Override
    Manifest manifest(Manifest manifest) {
      return placed(manifest, Placement.SHARD, Placement.REPLICATE);
    }

    @Override
    Shard shard(Shard shard) {
      return withoutElements(shard);
    }
  },
  /** One summand of several stands for their sum. */
  SUMMANDS_TAKEN_FOR_COPIES {
    @Override
    Manifest manifest(Manifest manifest) {
      return placed(manifest, Placement.PARTIAL, Placement.REPLICATE);
    }
  },
  /** The norm of a sum is taken for the root of the sum of squares. */
  SUMMANDS_ADDED {
    @Override
    Manifest manifest(Manifest manifest) {
      return placed(manifest, Placement.PARTIAL, Placement.SHARD);
    }
  },
  /** Gradients before the reduction become norms. */
  LOCAL_TAKEN_FOR_REDUCED {
    @Override
    Manifest manifest(Manifest manifest) {
      boolean both = manifest.reporting().size() > 1;
      return both
          ? manifest
          : changed(
              manifest,
              manifest.layers(),
              List.of(new Reporting(Stage.REDUCED, manifest.reporting().get(0).ranks(), 1)));
    }

    @Override
    Shard shard(Shard shard) {
      return changed(shard, Stage.REDUCED, shard.accumIndex(), shard.lossScale(), shard.columns());
    }
  },
  /** What has accumulated after the first micro-batch stands for the step. */
  FIRST_MICRO_BATCH_COUNTED {
    @Override
    Shard shard(Shard shard) {
      int index = shard.accumSteps() - 1 - shard.accumIndex();
      return changed(shard, shard.stage(), index, shard.lossScale(), shard.columns());
    }
  },
  /** The loss scale stays in the norms. */
  LOSS_SCALE_KEPT {
    @Override
    Shard shard(Shard shard) {
      return changed(shard, shard.stage(), shard.accumIndex(), null, shard.columns());
    }
  },
  /** A tensor with two names counts twice. */
  TIED_LAYER_COUNTED {
    @Override
    Manifest manifest(Manifest manifest) {
      return layers(manifest, l -> copy(l, l.trainable(), null, l.placement()));
    }
  },
  /** What nothing trains counts. */
  FROZEN_LAYER_COUNTED {
    @Override
    Manifest manifest(Manifest manifest) {
      return layers(manifest, l -> copy(l, true, l.tiedTo(), l.placement()));
    }
  },
  /** Slices have the size the placement implies, whatever their ranks say. */
  UNEVEN_SLICES_TAKEN_FOR_EVEN {
    @Override
    Shard shard(Shard shard) {
      return withoutElements(shard);
    }
  };

  /** The manifest as it is read. */
  Manifest manifest(Manifest manifest) {
    return manifest;
  }

  /** The shard as it is read. */
  Shard shard(Shard shard) {
    return shard;
  }

  private static Manifest placed(Manifest manifest, Placement from, Placement to) {
    return layers(
        manifest,
        layer ->
            copy(
                layer,
                layer.trainable(),
                layer.tiedTo(),
                layer.placement().stream().map(p -> p == from ? to : p).toList()));
  }

  private static Manifest layers(Manifest manifest, UnaryOperator<Layer> change) {
    return changed(manifest, manifest.layers().stream().map(change).toList(), manifest.reporting());
  }

  /** Under the id of the manifest it is made from: shards refer to that. */
  private static Manifest changed(
      Manifest manifest, List<Layer> layers, List<Reporting> reporting) {
    return new Manifest(
        manifest.runId(),
        manifest.attempt(),
        manifest.stream(),
        manifest.manifestId(),
        0,
        1,
        0,
        layers.size(),
        manifest.worldSize(),
        manifest.mesh(),
        reporting,
        manifest.reduceOp(),
        manifest.gradientDtype(),
        manifest.reductionDtype(),
        manifest.masterDtype(),
        manifest.optimizer(),
        manifest.adamEps(),
        layers);
  }

  private static Layer copy(
      Layer layer, boolean trainable, String tiedTo, List<Placement> placement) {
    return new Layer(
        layer.name(),
        layer.block(),
        layer.depth(),
        layer.kind(),
        layer.elements(),
        layer.dtype(),
        trainable,
        layer.sparse(),
        layer.zeroInit(),
        tiedTo,
        placement);
  }

  private static Shard withoutElements(Shard shard) {
    LayerColumns of = shard.columns();
    return of.raw() != null
        ? shard
        : changed(
            shard,
            shard.stage(),
            shard.accumIndex(),
            shard.lossScale(),
            new LayerColumns(
                of.firstLayer(),
                of.layers(),
                null,
                of.norm(),
                of.maxAbs(),
                of.sumAbs(),
                of.zeros(),
                of.nonFinite(),
                null,
                of.signals()));
  }

  private static Shard changed(
      Shard shard, Stage stage, int accumIndex, Double lossScale, LayerColumns columns) {
    return new Shard(
        shard.id(),
        shard.rank(),
        shard.coords(),
        shard.part(),
        shard.parts(),
        shard.manifestId(),
        stage,
        shard.previousStep(),
        accumIndex,
        shard.accumSteps(),
        shard.sentAt(),
        shard.producerSeq(),
        shard.dropped(),
        shard.weight(),
        lossScale,
        shard.stepSkipped(),
        shard.clip(),
        shard.reportedGlobalNorm(),
        shard.loss(),
        shard.validationLoss(),
        shard.learningRates(),
        shard.host(),
        shard.device(),
        columns,
        shard.origin());
  }
}
