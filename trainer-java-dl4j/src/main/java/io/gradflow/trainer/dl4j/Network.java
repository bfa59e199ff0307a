package io.gradflow.trainer.dl4j;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.ParamInitializer;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingSequenceLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.layers.FrozenLayer;
import org.deeplearning4j.nn.layers.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.AMSGrad;
import org.nd4j.linalg.learning.config.AdaMax;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.config.Nadam;

/** What a model of DL4J is made of, at one iteration. */
final class Network {
  private final int iteration;
  private final int epoch;
  private final List<Tensor> tensors = new ArrayList<>();
  private final Set<IUpdater> updaters = new LinkedHashSet<>();
  private Clip clip;

  /** A parameter: how it is published, and its present values. */
  record Tensor(Layer described, INDArray weights) {}

  private Network(int iteration, int epoch) {
    this.iteration = iteration;
    this.epoch = epoch;
  }

  /** Null if the model is neither kind of network. */
  static Network of(Model model) {
    if (model instanceof MultiLayerNetwork layered) {
      Network network = new Network(layered.getIterationCount(), layered.getEpochCount());
      network.add(layered.getLayers(), false);
      return network;
    }
    if (model instanceof ComputationGraph graph) {
      Network network = new Network(graph.getIterationCount(), graph.getEpochCount());
      network.add(graph.getLayers(), true);
      return network;
    }
    return null;
  }

  int iteration() {
    return iteration;
  }

  /** In the order of the forward pass; DL4J's gradients come the other way round. */
  List<Tensor> tensors() {
    return tensors;
  }

  /** One per updater that differs from the others, as of this iteration. */
  double[] learningRates() {
    return updaters.stream()
        .filter(IUpdater::hasLearningRate)
        .mapToDouble(updater -> updater.getLearningRate(iteration, epoch))
        .toArray();
  }

  /** The first updater's name, e.g. {@code adam}; null if nothing is trained. */
  String optimizer() {
    return updaters.isEmpty()
        ? null
        : updaters.iterator().next().getClass().getSimpleName().toLowerCase(Locale.ROOT);
  }

  /** Of the first updater that is of Adam's kind; null if none is. */
  Double adamEpsilon() {
    for (IUpdater updater : updaters) {
      if (updater instanceof Adam adam) {
        return adam.getEpsilon();
      } else if (updater instanceof Nadam nadam) {
        return nadam.getEpsilon();
      } else if (updater instanceof AMSGrad amsGrad) {
        return amsGrad.getEpsilon();
      } else if (updater instanceof AdaMax adaMax) {
        return adaMax.getEpsilon();
      }
    }
    return null;
  }

  /** How the first layer that clips does; null if none does. */
  Clip clip() {
    return clip;
  }

  private void add(org.deeplearning4j.nn.api.Layer[] layers, boolean named) {
    for (int depth = 0; depth < layers.length; depth++) {
      org.deeplearning4j.nn.api.Layer layer = layers[depth];
      String block = named ? layer.conf().getLayer().getLayerName() : Integer.toString(depth);
      int at = depth;
      layer
          .paramTable(false)
          .forEach((parameter, weights) -> add(layer, block, at, parameter, weights));
    }
  }

  private void add(
      org.deeplearning4j.nn.api.Layer layer,
      String block,
      int depth,
      String parameter,
      INDArray weights) {
    var conf = layer.conf().getLayer();
    boolean frozen = layer instanceof FrozenLayer || layer instanceof FrozenLayerWithBackprop;
    // What is not divided is no gradient: batch normalisation keeps its running statistics there.
    boolean trainable = !frozen && layer.updaterDivideByMinibatch(parameter);
    boolean embedding =
        (conf instanceof EmbeddingLayer || conf instanceof EmbeddingSequenceLayer)
            && parameter.equals(DefaultParamInitializer.WEIGHT_KEY);
    tensors.add(
        new Tensor(
            new Layer(
                block + "_" + parameter,
                block,
                depth,
                embedding ? LayerKind.EMBEDDING : kind(conf, parameter),
                weights.length(),
                dtype(weights),
                trainable,
                embedding,
                false,
                null,
                List.of()),
            weights));
    if (trainable) {
      TrainingConfig config = layer.getConfig();
      updaters.add(config.getUpdaterByParam(parameter));
      clip = clip == null ? clip(config) : clip;
    }
  }

  private static LayerKind kind(org.deeplearning4j.nn.conf.layers.Layer conf, String parameter) {
    if (conf instanceof BatchNormalization || parameter.equals(DefaultParamInitializer.GAIN_KEY)) {
      return LayerKind.NORM;
    }
    ParamInitializer initializer = conf.initializer();
    if (initializer.isBiasParam(conf, parameter)) {
      return LayerKind.BIAS;
    }
    return initializer.isWeightParam(conf, parameter) ? LayerKind.WEIGHT : LayerKind.OTHER;
  }

  private static String dtype(INDArray weights) {
    return switch (weights.dataType()) {
      case FLOAT -> "float32";
      case DOUBLE -> "float64";
      case HALF -> "float16";
      case BFLOAT16 -> "bfloat16";
      default -> weights.dataType().name().toLowerCase(Locale.ROOT);
    };
  }

  private static Clip clip(TrainingConfig config) {
    GradientNormalization normalization = config.getGradientNormalization();
    if (normalization == null || normalization == GradientNormalization.None) {
      return null;
    }
    return switch (normalization) {
      case ClipElementWiseAbsoluteValue ->
          new Clip("value", config.getGradientNormalizationThreshold(), null);
      case ClipL2PerLayer, ClipL2PerParamType ->
          new Clip(normalization.name(), config.getGradientNormalizationThreshold(), null);
      default -> new Clip(normalization.name(), null, null);
    };
  }
}
