package io.gradflow.trainer.dl4j;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.SignalGroup;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.trainer.PublisherStats;
import io.gradflow.trainer.StepReport;
import io.gradflow.trainer.WatchedTraining;
import java.util.List;
import java.util.function.Supplier;
import org.apache.kafka.clients.producer.Producer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

/**
 * Publishes the gradients of a {@code MultiLayerNetwork} or {@code ComputationGraph}, one step an
 * iteration:
 *
 * <pre>{@code
 * var gradflow = GradflowListener.fromEnvironment();
 * network.addListeners(gradflow);
 * network.fit(examples, epochs);
 * gradflow.finished();
 * }</pre>
 *
 * <p>Published is the gradient of the loss as it comes from the backward pass: before
 * regularisation, clipping and the updater, and divided by the size of the minibatch, over which
 * DL4J sums. Beside it go the norms of the weights, the loss with its regularisation, the rates and
 * the size of the minibatch. Layers are named as in {@code paramTable()}, in its order.
 *
 * <p>Works on the training's thread, and copies each gradient out of ND4J once. Nothing throws into
 * the training, and nothing but {@link #finished} and {@link #close} waits.
 */
public final class GradflowListener extends BaseTrainingListener implements AutoCloseable {
  private static final float[] NONE = {};

  private final WatchedTraining training;

  private GradflowListener(WatchedTraining training) {
    this.training = training;
  }

  /** Publishes with the options that the environment sets. */
  public static GradflowListener fromEnvironment() {
    return of(PublisherOptions.fromEnvironment(System.getenv()));
  }

  /** Publishes with these options. */
  public static GradflowListener of(PublisherOptions options) {
    return new GradflowListener(WatchedTraining.start(options));
  }

  /** The same through producers of the caller's own making. */
  public static GradflowListener of(
      PublisherOptions options, Supplier<Producer<byte[], byte[]>> producers) {
    return new GradflowListener(WatchedTraining.start(options, producers));
  }

  /** Says that the training came to its end, and closes. Without it, it has died. */
  public void finished() {
    training.finished();
  }

  /** Sends what waits and ends, within two seconds. */
  @Override
  public void close() {
    training.close();
  }

  /** What became of everything published so far. */
  public PublisherStats stats() {
    return training.stats();
  }

  @Override
  public void onGradientCalculation(Model model) {
    Network network = Network.of(model);
    if (network == null || !training.isDue(network.iteration())) {
      return;
    }
    training.step(
        network.iteration(),
        () ->
            training.manifest(
                network.tensors().stream().map(Network.Tensor::described).toList(),
                network.optimizer(),
                network.adamEpsilon()),
        report -> gradient(model, network, report));
  }

  private static float[][] gradient(Model model, Network network, StepReport report) {
    int batch = Math.max(1, model.batchSize());
    report.weight(batch).loss(model.score()).learningRates(network.learningRates());
    Clip clip = network.clip();
    if (clip != null) {
      report.clip(clip);
    }
    List<Network.Tensor> tensors = network.tensors();
    if (report.wants(SignalGroup.WEIGHTS)) {
      report.weights(
          tensors.stream().map(tensor -> values(tensor.weights(), 1)).toArray(float[][]::new));
    }
    Gradient gradient = model.gradient();
    double divisor = model.conf().isMiniBatch() ? batch : 1;
    return tensors.stream()
        .map(
            tensor -> {
              INDArray values = gradient.getGradientFor(tensor.described().name());
              return values == null || !tensor.described().trainable()
                  ? NONE
                  : values(values, divisor);
            })
        .toArray(float[][]::new);
  }

  /** The elements in the order of their indices, divided. */
  private static float[] values(INDArray array, double divisor) {
    if (array.dataType() != DataType.FLOAT) {
      try (INDArray floats = array.castTo(DataType.FLOAT)) {
        return values(floats, divisor);
      }
    }
    float[] values = new float[Math.toIntExact(array.length())];
    // ND4J keeps weights column by column, and gradients as views of one long array.
    try (INDArray copy = array.dup('c')) {
      copy.data().asNioFloat().get(values);
    }
    if (divisor != 1) {
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (values[i] / divisor);
      }
    }
    return values;
  }
}
