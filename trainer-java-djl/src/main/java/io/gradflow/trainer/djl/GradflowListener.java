package io.gradflow.trainer.djl;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.DataType;
import ai.djl.training.Trainer;
import ai.djl.training.listener.TrainingListenerAdapter;
import ai.djl.training.tracker.Tracker;
import io.gradflow.core.shard.SignalGroup;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.trainer.PublisherStats;
import io.gradflow.trainer.StepReport;
import io.gradflow.trainer.WatchedTraining;
import java.util.List;
import java.util.function.Supplier;
import org.apache.kafka.clients.producer.Producer;

/**
 * Publishes the gradients of a training on one device, one step a batch:
 *
 * <pre>{@code
 * var gradflow = GradflowListener.fromEnvironment();
 * config.addTrainingListeners(gradflow);
 * ... EasyTrain.fit(trainer, epochs, training, validation);
 * gradflow.finished();
 * }</pre>
 *
 * <p>Published is what {@link Trainer#step} is about to use: the gradient after the backward pass,
 * before the optimiser clips or decays anything. Beside it go the norms of the weights, the loss of
 * the batch, its size and, if said, the learning rate. Layers are named as in the block's {@code
 * getParameters()}, in its order.
 *
 * <p>Works on the training's thread, copies each gradient out of the engine once, and has the loss
 * evaluated once more. Nothing throws into the training, and nothing but {@link #finished} and
 * {@link #close} waits. A loop of one's own must tell listeners of a batch before it calls {@code
 * step}, as {@code EasyTrain} does.
 */
public final class GradflowListener extends TrainingListenerAdapter implements AutoCloseable {
  private static final float[] NONE = {};

  private final WatchedTraining training;
  private String optimizer;
  private Tracker rates;
  private long nextStep;

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

  /**
   * Says what DJL does not tell its listeners.
   *
   * @param name e.g. {@code adam}
   * @param learningRates what the optimiser was given
   */
  public GradflowListener optimizer(String name, Tracker learningRates) {
    this.optimizer = name;
    this.rates = learningRates;
    return this;
  }

  /**
   * Says which step comes next, 0 unless said: one that goes on from a checkpoint is at another.
   */
  public GradflowListener startingAt(long step) {
    this.nextStep = step;
    return this;
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
  public void onTrainingBatch(Trainer trainer, BatchData batch) {
    long step = nextStep++;
    if (!training.isDue(step)) {
      return;
    }
    // Read when it is asked for: then nothing that is wrong with it reaches the training.
    Tensors[] model = new Tensors[1];
    training.step(
        step,
        () -> {
          model[0] = Tensors.of(trainer.getModel().getBlock());
          return training.manifest(model[0].described(), optimizer, null);
        },
        report -> gradient(trainer, batch, model[0].parameters(), report));
  }

  private float[][] gradient(
      Trainer trainer, BatchData batch, List<Tensors.Tensor> tensors, StepReport report) {
    Device[] devices = trainer.getDevices();
    if (devices.length != 1) {
      throw new IllegalStateException(
          "expected a training on one device, got "
              + devices.length
              + ": the gradients of the others are out of a listener's reach; give each a process");
    }
    report.weight(batch.getBatch().getSize()).loss(loss(trainer, batch, devices[0]));
    if (rates != null) {
      // The optimiser counts its updates from 1.
      report.learningRates(rates.getNewValue(Math.toIntExact(report.step() + 1)));
    }
    if (report.wants(SignalGroup.WEIGHTS)) {
      report.weights(
          tensors.stream()
              .map(tensor -> tensor.isTied() ? NONE : values(tensor.parameter().getArray()))
              .toArray(float[][]::new));
    }
    return tensors.stream()
        .map(tensor -> tensor.hasGradient() ? gradient(tensor) : NONE)
        .toArray(float[][]::new);
  }

  private static float[] gradient(Tensors.Tensor tensor) {
    try (NDArray gradient = tensor.parameter().getArray().getGradient()) {
      return values(gradient);
    }
  }

  private static double loss(Trainer trainer, BatchData batch, Device device) {
    NDList labels = batch.getLabels().get(device);
    NDList predictions = batch.getPredictions().get(device);
    try (NDArray loss = trainer.getLoss().evaluate(labels, predictions)) {
      return values(loss)[0];
    }
  }

  private static float[] values(NDArray array) {
    if (array.getDataType() == DataType.FLOAT32) {
      return array.toFloatArray();
    }
    try (NDArray floats = array.toType(DataType.FLOAT32, true)) {
      return floats.toFloatArray();
    }
  }
}
