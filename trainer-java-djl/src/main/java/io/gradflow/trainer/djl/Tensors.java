package io.gradflow.trainer.djl;

import ai.djl.ndarray.types.DataType;
import ai.djl.nn.Block;
import ai.djl.nn.Parameter;
import ai.djl.nn.core.Embedding;
import ai.djl.util.Pair;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;

/** The parameters of a model of DJL, in the order and under the names of its blocks. */
final class Tensors {
  private final List<Tensor> parameters = new ArrayList<>();
  private final IdentityHashMap<Parameter, String> owners = new IdentityHashMap<>();
  private int depth;

  /** A parameter, and how it is published. */
  record Tensor(Layer described, Parameter parameter) {
    boolean isTied() {
      return described.tiedTo() != null;
    }

    boolean hasGradient() {
      return described.trainable() && !isTied();
    }
  }

  private Tensors() {}

  static Tensors of(Block model) {
    Tensors tensors = new Tensors();
    tensors.add(model, "");
    return tensors;
  }

  List<Tensor> parameters() {
    return parameters;
  }

  List<Layer> described() {
    return parameters.stream().map(Tensor::described).toList();
  }

  private void add(Block block, String name) {
    boolean any = false;
    String prefix = name.isEmpty() ? "" : name + "_";
    for (Pair<String, Parameter> direct : block.getDirectParameters()) {
      add(block, name.isEmpty() ? null : name, prefix + direct.getKey(), direct.getValue());
      any = true;
    }
    depth += any ? 1 : 0;
    for (Pair<String, Block> child : block.getChildren()) {
      add(child.getValue(), prefix + child.getKey());
    }
  }

  private void add(Block block, String blockName, String name, Parameter parameter) {
    boolean embedding =
        block instanceof Embedding<?> && parameter.getType() == Parameter.Type.WEIGHT;
    parameters.add(
        new Tensor(
            new Layer(
                name,
                blockName,
                depth,
                embedding ? LayerKind.EMBEDDING : kind(parameter.getType()),
                parameter.getShape().size(),
                dtype(parameter),
                parameter.requiresGradient(),
                embedding,
                false,
                owners.putIfAbsent(parameter, name),
                List.of()),
            parameter));
  }

  private static LayerKind kind(Parameter.Type type) {
    return switch (type) {
      case WEIGHT -> LayerKind.WEIGHT;
      case BIAS -> LayerKind.BIAS;
      case GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR -> LayerKind.NORM;
      default -> LayerKind.OTHER;
    };
  }

  private static String dtype(Parameter parameter) {
    DataType type = parameter.getArray().getDataType();
    return type.name().toLowerCase(Locale.ROOT);
  }
}
