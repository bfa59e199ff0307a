package io.gradflow.trainer.djl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.Device;
import ai.djl.Model;
import ai.djl.modality.nlp.DefaultVocabulary;
import ai.djl.modality.nlp.embedding.TrainableWordEmbedding;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import ai.djl.nn.Block;
import ai.djl.nn.Blocks;
import ai.djl.nn.Parameter;
import ai.djl.nn.SequentialBlock;
import ai.djl.nn.convolutional.Conv2d;
import ai.djl.nn.core.Linear;
import ai.djl.nn.norm.BatchNorm;
import ai.djl.training.DefaultTrainingConfig;
import ai.djl.training.EasyTrain;
import ai.djl.training.Trainer;
import ai.djl.training.dataset.Batch;
import ai.djl.training.listener.TrainingListenerAdapter;
import ai.djl.training.loss.Loss;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;
import ai.djl.translate.StackBatchifier;
import ai.djl.util.Pair;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.trainer.PublisherStats;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Real trainings, each step of which is worked out once more. */
@Timeout(180)
class GradflowListenerTest {
  private static final int STEPS = 30;
  private static final int INPUTS = 4;
  private static final int HIDDEN = 7;
  private static final int OUTPUTS = 3;
  private static final PublisherOptions OPTIONS =
      PublisherOptions.of("unused:9092", "djl", 1_700_000_000_000L, 0);

  private final Random random = new Random(7);
  private final MockProducer<byte[], byte[]> kafka =
      new MockProducer<>(true, null, new ByteArraySerializer(), new ByteArraySerializer());

  private GradflowListener listener(PublisherOptions options) {
    return GradflowListener.of(options, () -> kafka);
  }

  @Test
  void everyStepsNormsAreThoseOfTheSlopesOfTheLoss() {
    Tracker rates = Tracker.factor().setBaseValue(0.2f).setFactor(0.9f).build();
    GradflowListener listener = listener(OPTIONS).optimizer("sgd", rates);
    List<double[]> norms = new ArrayList<>();
    List<double[]> maxima = new ArrayList<>();
    List<double[]> weightNorms = new ArrayList<>();
    List<Double> losses = new ArrayList<>();
    try (Model model = Model.newInstance("perceptron")) {
      model.setBlock(perceptron());
      try (Trainer trainer = trainer(model, rates, listener)) {
        trainer.initialize(new Shape(1, INPUTS));
        for (int step = 0; step < STEPS; step++) {
          Examples examples = Examples.draw(random, step % 5 == 4 ? 3 : 8);
          double[][] parameters = parameters(model.getBlock());
          double[][] slopes = examples.slopes(parameters);
          norms.add(each(slopes, GradflowListenerTest::norm));
          maxima.add(each(slopes, GradflowListenerTest::max));
          weightNorms.add(each(parameters, GradflowListenerTest::norm));
          losses.add(examples.loss(parameters));
          train(trainer, examples);
        }
      }
    }
    listener.finished();

    Manifest manifest = read(Codecs.MANIFESTS).get(0);
    List<Shard> shards = read(Codecs.SHARDS);
    assertThat(shards).hasSize(STEPS);
    for (int step = 0; step < STEPS; step++) {
      Shard shard = shards.get(step);
      assertThat(shard.id().step()).isEqualTo(step);
      assertThat(shard.previousStep()).isEqualTo(step - 1);
      assertThat(shard.stage()).isEqualTo(Stage.REDUCED);
      assertThat(Layout.of(manifest).fault(shard)).isNull();
      assertClose(shard.columns().norm(), norms.get(step), step);
      assertClose(shard.columns().maxAbs(), maxima.get(step), step);
      assertClose(shard.columns().signals().weightNorm(), weightNorms.get(step), step);
      assertThat(shard.loss()).isCloseTo(losses.get(step), within(1e-5));
      assertThat(shard.weight()).isEqualTo(step % 5 == 4 ? 3 : 8);
      assertThat(shard.learningRates()).containsExactly(rates.getNewValue(step + 1));
    }
    assertThat(losses.get(STEPS - 1)).isLessThan(losses.get(0));
    assertThat(listener.stats()).isEqualTo(new PublisherStats(STEPS + 3, 0, 0, 0));
    assertThat(read(Codecs.RUNS))
        .extracting(RunEvent::type)
        .containsExactly(RunEvent.Type.STARTED, RunEvent.Type.FINISHED);
    assertThat(read(Codecs.RUNS).get(0).attributes()).containsEntry("batch", "8");

    assertThat(read(Codecs.MANIFESTS)).hasSize(1);
    assertThat(manifest.layers())
        .extracting(Layer::name)
        .containsExactly("01Linear_weight", "01Linear_bias", "03Linear_weight", "03Linear_bias");
    assertThat(manifest.layers())
        .extracting(Layer::elements)
        .containsExactly(
            (long) INPUTS * HIDDEN, (long) HIDDEN, (long) HIDDEN * OUTPUTS, (long) OUTPUTS);
    assertThat(manifest.layers()).extracting(Layer::depth).containsExactly(0, 0, 1, 1);
    assertThat(manifest.layers())
        .extracting(Layer::block)
        .containsExactly("01Linear", "01Linear", "03Linear", "03Linear");
    assertThat(manifest.layers())
        .extracting(Layer::kind)
        .containsExactly(LayerKind.WEIGHT, LayerKind.BIAS, LayerKind.WEIGHT, LayerKind.BIAS);
    assertThat(manifest.gradientDtype()).isEqualTo("float32");
    assertThat(manifest.optimizer()).isEqualTo("sgd");
  }

  @Test
  void convolutionsNormalisationAndFrozenLayers() {
    SequentialBlock block =
        new SequentialBlock()
            .add(Conv2d.builder().setKernelShape(new Shape(2, 2)).setFilters(3).build())
            .add(BatchNorm.builder().build())
            .add(
                new SequentialBlock()
                    .add(Blocks.batchFlattenBlock())
                    .add(Linear.builder().setUnits(HIDDEN).build()))
            .add(Linear.builder().setUnits(OUTPUTS).build());
    GradflowListener listener = listener(OPTIONS);
    Arrays arrays = new Arrays();
    try (Model model = Model.newInstance("convolving")) {
      model.setBlock(block);
      try (Trainer trainer = trainer(model, Tracker.fixed(0.05f), listener, arrays)) {
        trainer.initialize(new Shape(1, 1, 4, 4));
        for (int step = 0; step < STEPS; step++) {
          if (step == 10) {
            // A training that freezes what it had trained is another model from then on.
            block.getChildren().get("04Linear").freezeParameters(true);
          }
          NDManager manager = trainer.getManager().newSubManager();
          NDArray images = manager.create(floats(5 * 16), new Shape(5, 1, 4, 4));
          NDArray labels = manager.create(floats(5 * OUTPUTS), new Shape(5, OUTPUTS));
          train(trainer, manager, images, labels);
        }
      }
    }
    listener.finished();

    List<Manifest> manifests = read(Codecs.MANIFESTS);
    assertThat(manifests).hasSize(2);
    assertThat(manifests.get(0).layers())
        .extracting(Layer::name)
        .isEqualTo(List.copyOf(block.getParameters().keys()));
    assertPublished(manifests, arrays);
    Map<String, Layer> layers = new HashMap<>();
    manifests.get(1).layers().forEach(layer -> layers.put(layer.name(), layer));
    assertThat(layers.get("02BatchNorm_gamma").kind()).isEqualTo(LayerKind.NORM);
    assertThat(layers.get("02BatchNorm_gamma").trainable()).isTrue();
    assertThat(layers.get("02BatchNorm_runningMean").trainable()).isFalse();
    assertThat(layers.get("03SequentialBlock_02Linear_weight").block())
        .isEqualTo("03SequentialBlock_02Linear");
    assertThat(layers.get("03SequentialBlock_02Linear_weight").depth()).isEqualTo(2);
    assertThat(layers.get("04Linear_weight").trainable()).isFalse();
    assertThat(manifests.get(0).layers())
        .filteredOn(layer -> layer.name().equals("04Linear_weight"))
        .allMatch(Layer::trainable);
  }

  @Test
  void embeddingsAndParametersThatTwoBlocksShare() {
    TrainableWordEmbedding words =
        new TrainableWordEmbedding(
            DefaultVocabulary.builder()
                .add(List.of("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"))
                .build(),
            OUTPUTS);
    Linear shared = Linear.builder().setUnits(OUTPUTS).build();
    SequentialBlock block = new SequentialBlock().add(words).add(shared).add(shared);
    GradflowListener listener = listener(OPTIONS);
    Arrays arrays = new Arrays();
    try (Model model = Model.newInstance("words")) {
      model.setBlock(block);
      try (Trainer trainer = trainer(model, Tracker.fixed(0.05f), listener, arrays)) {
        trainer.initialize(new Shape(1));
        for (int step = 0; step < 5; step++) {
          NDManager manager = trainer.getManager().newSubManager();
          NDArray some = manager.create(new long[] {step, 3, 3, 11});
          NDArray labels = manager.create(floats(4 * OUTPUTS), new Shape(4, OUTPUTS));
          train(trainer, manager, some, labels);
        }
      }
    }
    listener.finished();

    List<Manifest> manifests = read(Codecs.MANIFESTS);
    assertPublished(manifests, arrays);
    Layer embedding = manifests.get(0).layers().get(0);
    assertThat(embedding.kind()).isEqualTo(LayerKind.EMBEDDING);
    assertThat(embedding.sparse()).isTrue();
    assertThat(manifests.get(0).layers())
        .extracting(Layer::tiedTo)
        .containsExactly(null, null, null, "02Linear_weight", "02Linear_bias");
  }

  @Test
  void aGradientInDoubleIsMeasured() {
    GradflowListener listener = listener(OPTIONS);
    Arrays arrays = new Arrays();
    try (Model model = Model.newInstance("double")) {
      model.setDataType(DataType.FLOAT64);
      model.setBlock(perceptron());
      try (Trainer trainer = trainer(model, Tracker.fixed(0.05f), listener, arrays)) {
        trainer.initialize(new Shape(1, INPUTS));
        NDManager manager = trainer.getManager().newSubManager();
        NDArray inputs = manager.create(floats(8 * INPUTS), new Shape(8, INPUTS));
        NDArray labels = manager.create(floats(8 * OUTPUTS), new Shape(8, OUTPUTS));
        // Its own step takes float32 alone: who trains in double updates the weights himself.
        try (Batch batch =
            batch(
                manager,
                inputs.toType(DataType.FLOAT64, false),
                labels.toType(DataType.FLOAT64, false))) {
          EasyTrain.trainBatch(trainer, batch);
        }
      }
    }
    listener.finished();
    assertPublished(read(Codecs.MANIFESTS), arrays);
    assertThat(read(Codecs.MANIFESTS).get(0).gradientDtype()).isEqualTo("float64");
  }

  @Test
  void onlySampledStepsAreMeasuredFromTheStepItIsStartedAt() {
    GradflowListener listener = listener(OPTIONS.withEvery(4)).startingAt(103);
    fit(listener, 10);
    listener.close();
    assertThat(read(Codecs.SHARDS))
        .extracting(shard -> shard.id().step())
        .containsExactly(104L, 108L, 112L);
    assertThat(read(Codecs.SHARDS))
        .extracting(Shard::previousStep)
        .containsExactly(-1L, 104L, 108L);
    assertThat(read(Codecs.MANIFESTS).get(0).reporting().get(0).every()).isEqualTo(4);
    assertThat(read(Codecs.SHARDS)).extracting(Shard::learningRates).containsOnlyNulls();
  }

  @Test
  void switchedOffItChangesNothing() {
    GradflowListener listener =
        GradflowListener.of(
            OPTIONS.off(),
            () -> {
              throw new AssertionError("connects");
            });
    fit(listener, 2);
    listener.finished();
    assertThat(listener.stats()).isEqualTo(new PublisherStats(0, 0, 0, 0));
  }

  @Test
  void nothingReachesTheTrainingThatGoesWrongInTheListener() {
    GradflowListener listener = listener(OPTIONS);
    listener.onTrainingBatch(null, null);
    fit(listener, 2);
    listener.close();
    assertThat(read(Codecs.SHARDS)).extracting(shard -> shard.id().step()).containsExactly(1L, 2L);
  }

  /** What DJL has in its own arrays, element by element. */
  private static final class Arrays extends TrainingListenerAdapter {
    private final List<Map<String, Double>> norms = new ArrayList<>();

    @Override
    public void onTrainingBatch(Trainer trainer, BatchData batch) {
      Map<String, Double> byName = new HashMap<>();
      for (Pair<String, Parameter> each : trainer.getModel().getBlock().getParameters()) {
        if (each.getValue().requiresGradient()) {
          try (NDArray gradient = each.getValue().getArray().getGradient()) {
            double squares = 0;
            for (Number value : gradient.toArray()) {
              squares += value.doubleValue() * value.doubleValue();
            }
            byName.put(each.getKey(), Math.sqrt(squares));
          }
        }
      }
      norms.add(byName);
    }
  }

  private void assertPublished(List<Manifest> manifests, Arrays arrays) {
    Map<Long, Manifest> byId = new HashMap<>();
    manifests.forEach(manifest -> byId.put(manifest.manifestId(), manifest));
    List<Shard> shards = read(Codecs.SHARDS);
    assertThat(shards).hasSameSizeAs(arrays.norms);
    for (int step = 0; step < shards.size(); step++) {
      Shard shard = shards.get(step);
      List<Layer> layers = byId.get(shard.manifestId()).layers();
      for (int i = 0; i < layers.size(); i++) {
        Layer layer = layers.get(i);
        boolean measured = layer.trainable() && layer.tiedTo() == null;
        assertThat(shard.columns().elements()[i]).isEqualTo(measured ? layer.elements() : 0);
        if (measured) {
          double norm = arrays.norms.get(step).get(layer.name());
          assertThat(norm).as(layer.name()).isPositive();
          assertThat((double) shard.columns().norm()[i])
              .as("%s at step %d", layer.name(), step)
              .isCloseTo(norm, within(1e-6 * norm));
        }
      }
    }
  }

  private void fit(GradflowListener listener, int steps) {
    try (Model model = Model.newInstance("perceptron")) {
      model.setBlock(perceptron());
      try (Trainer trainer = trainer(model, Tracker.fixed(0.1f), listener)) {
        trainer.initialize(new Shape(1, INPUTS));
        for (int step = 0; step < steps; step++) {
          train(trainer, Examples.draw(random, 8));
        }
      }
    }
  }

  private static Block perceptron() {
    return new SequentialBlock()
        .add(Linear.builder().setUnits(HIDDEN).build())
        .add(Activation.tanhBlock())
        .add(Linear.builder().setUnits(OUTPUTS).build());
  }

  private static Trainer trainer(Model model, Tracker rates, TrainingListenerAdapter... listeners) {
    return model.newTrainer(
        new DefaultTrainingConfig(Loss.l2Loss())
            .optDevices(new Device[] {Device.cpu()})
            .optOptimizer(Optimizer.sgd().setLearningRateTracker(rates).build())
            .addTrainingListeners(listeners));
  }

  private static void train(Trainer trainer, Examples examples) {
    NDManager manager = trainer.getManager().newSubManager();
    train(trainer, manager, manager.create(examples.inputs()), manager.create(examples.labels()));
  }

  private static void train(Trainer trainer, NDManager manager, NDArray inputs, NDArray labels) {
    try (Batch batch = batch(manager, inputs, labels)) {
      EasyTrain.trainBatch(trainer, batch);
      trainer.step();
    }
  }

  private static Batch batch(NDManager manager, NDArray inputs, NDArray labels) {
    return new Batch(
        manager,
        new NDList(inputs),
        new NDList(labels),
        Math.toIntExact(labels.getShape().get(0)),
        new StackBatchifier(),
        new StackBatchifier(),
        0,
        0);
  }

  private static double[][] parameters(Block block) {
    List<double[]> values = new ArrayList<>();
    for (Pair<String, Parameter> each : block.getParameters()) {
      float[] floats = each.getValue().getArray().toFloatArray();
      double[] doubles = new double[floats.length];
      for (int i = 0; i < floats.length; i++) {
        doubles[i] = floats[i];
      }
      values.add(doubles);
    }
    return values.toArray(double[][]::new);
  }

  /** A minibatch, and what a network makes of it: in double, by plain loops. */
  private record Examples(float[][] inputs, float[][] labels) {
    private static final double STEP = 1e-5;

    static Examples draw(Random random, int count) {
      float[][] inputs = new float[count][INPUTS];
      float[][] labels = new float[count][OUTPUTS];
      for (int example = 0; example < count; example++) {
        for (int i = 0; i < INPUTS; i++) {
          inputs[example][i] = (float) random.nextGaussian();
        }
        for (int i = 0; i < OUTPUTS; i++) {
          labels[example][i] = inputs[example][i] * inputs[example][i + 1];
        }
      }
      return new Examples(inputs, labels);
    }

    /** How the loss changes with each parameter: by trying, without knowing of derivatives. */
    double[][] slopes(double[]... parameters) {
      double[][] slopes = new double[parameters.length][];
      for (int tensor = 0; tensor < parameters.length; tensor++) {
        slopes[tensor] = new double[parameters[tensor].length];
        for (int i = 0; i < slopes[tensor].length; i++) {
          double value = parameters[tensor][i];
          parameters[tensor][i] = value + STEP;
          double above = loss(parameters);
          parameters[tensor][i] = value - STEP;
          slopes[tensor][i] = (above - loss(parameters)) / (2 * STEP);
          parameters[tensor][i] = value;
        }
      }
      return slopes;
    }

    /** Half the mean square of what the outputs are off by. */
    double loss(double[]... parameters) {
      double squares = 0;
      for (int example = 0; example < inputs.length; example++) {
        double[] input = new double[INPUTS];
        for (int i = 0; i < INPUTS; i++) {
          input[i] = inputs[example][i];
        }
        double[] hidden = linear(input, parameters[0], parameters[1]);
        for (int i = 0; i < hidden.length; i++) {
          hidden[i] = Math.tanh(hidden[i]);
        }
        double[] output = linear(hidden, parameters[2], parameters[3]);
        for (int i = 0; i < OUTPUTS; i++) {
          squares += Math.pow(output[i] - labels[example][i], 2);
        }
      }
      return squares / 2 / inputs.length / OUTPUTS;
    }

    /** Weights by output and input. */
    private static double[] linear(double[] input, double[] weights, double[] biases) {
      double[] output = biases.clone();
      for (int out = 0; out < output.length; out++) {
        for (int in = 0; in < input.length; in++) {
          output[out] += weights[out * input.length + in] * input[in];
        }
      }
      return output;
    }
  }

  private float[] floats(int count) {
    float[] drawn = new float[count];
    for (int i = 0; i < count; i++) {
      drawn[i] = (float) random.nextGaussian();
    }
    return drawn;
  }

  private interface Measure {
    double of(double... values);
  }

  private static double[] each(double[][] tensors, Measure measure) {
    double[] measured = new double[tensors.length];
    for (int i = 0; i < measured.length; i++) {
      measured[i] = measure.of(tensors[i]);
    }
    return measured;
  }

  private static double norm(double... values) {
    double squares = 0;
    for (double value : values) {
      squares += value * value;
    }
    return Math.sqrt(squares);
  }

  private static double max(double... values) {
    double max = 0;
    for (double value : values) {
      max = Math.max(max, Math.abs(value));
    }
    return max;
  }

  private static void assertClose(float[] published, double[] expected, int step) {
    assertThat(published).hasSize(expected.length);
    for (int i = 0; i < expected.length; i++) {
      // The network computes in float.
      assertThat((double) published[i])
          .as("layer %d at step %d", i, step)
          .isCloseTo(expected[i], within(2e-5 * expected[i] + 1e-7));
    }
  }

  private <T> List<T> read(Codec<T> codec) {
    List<T> values = new ArrayList<>();
    for (ProducerRecord<byte[], byte[]> record : kafka.history()) {
      if (record.topic().equals(codec.topic().topicName())) {
        values.add(codec.decoder(WriterSchemas.known()).decode(record.value(), null).value());
      }
    }
    return values;
  }
}
