package io.gradflow.trainer.dl4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.shard.Clip;
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
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.BackpropType;
import org.deeplearning4j.nn.conf.GradientNormalization;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.schedule.ExponentialSchedule;
import org.nd4j.linalg.schedule.ScheduleType;

/** Real trainings, each step of which is worked out once more. */
@Timeout(120)
class GradflowListenerTest {
  private static final int STEPS = 30;
  private static final int[] SIZES = {4, 7, 6, 3};
  private static final PublisherOptions OPTIONS =
      PublisherOptions.of("unused:9092", "dl4j", 1_700_000_000_000L, 0);

  private final Random random = new Random(7);
  private final MockProducer<byte[], byte[]> kafka =
      new MockProducer<>(true, null, new ByteArraySerializer(), new ByteArraySerializer());

  private GradflowListener listener(PublisherOptions options) {
    return GradflowListener.of(options, () -> kafka);
  }

  @Test
  void everyStepsNormsAreThoseOfTheMeanGradient() {
    MultiLayerNetwork network = perceptron(DataType.FLOAT, true);
    GradflowListener listener = listener(OPTIONS);
    network.addListeners(listener);
    List<double[]> norms = new ArrayList<>();
    List<double[]> maxima = new ArrayList<>();
    List<double[]> weightNorms = new ArrayList<>();
    List<Double> losses = new ArrayList<>();
    List<Integer> batches = new ArrayList<>();
    for (int step = 0; step < STEPS; step++) {
      // The last minibatch of an epoch is smaller: a sum over it would be, too.
      Examples examples = examples(step % 5 == 4 ? 3 : 8);
      double[][][] weights = new double[3][][];
      double[][] biases = new double[3][];
      double[] ofWeights = new double[6];
      for (int layer = 0; layer < 3; layer++) {
        weights[layer] = network.getParam(layer + "_W").toDoubleMatrix();
        biases[layer] = network.getParam(layer + "_b").toDoubleVector();
        ofWeights[2 * layer] = norm(weights[layer]);
        ofWeights[2 * layer + 1] = norm(biases[layer]);
      }
      Perceptron.Gradients gradients =
          new Perceptron(weights, biases).gradients(examples.inputs(), examples.labels());
      norms.add(new double[6]);
      maxima.add(new double[6]);
      for (int layer = 0; layer < 3; layer++) {
        norms.get(step)[2 * layer] = norm(gradients.weights()[layer]);
        norms.get(step)[2 * layer + 1] = norm(gradients.biases()[layer]);
        maxima.get(step)[2 * layer] = max(gradients.weights()[layer]);
        maxima.get(step)[2 * layer + 1] = max(gradients.biases()[layer]);
      }
      weightNorms.add(ofWeights);
      double penalty = 0;
      for (int layer = 0; layer < 3; layer++) {
        penalty += 0.5 * 0.01 * Math.pow(ofWeights[2 * layer], 2);
      }
      losses.add(gradients.loss() + penalty);
      batches.add(examples.labels().length);
      network.fit(examples.dataSet(DataType.FLOAT));
    }
    listener.finished();

    List<Shard> shards = read(Codecs.SHARDS);
    assertThat(shards).hasSize(STEPS);
    Layout layout = Layout.of(read(Codecs.MANIFESTS).get(0));
    for (int step = 0; step < STEPS; step++) {
      Shard shard = shards.get(step);
      assertThat(shard.id().step()).isEqualTo(step);
      assertThat(shard.previousStep()).isEqualTo(step - 1);
      assertThat(shard.stage()).isEqualTo(Stage.REDUCED);
      assertThat(layout.fault(shard)).isNull();
      assertClose(shard.columns().norm(), norms.get(step), step);
      assertClose(shard.columns().maxAbs(), maxima.get(step), step);
      assertClose(shard.columns().signals().weightNorm(), weightNorms.get(step), step);
      assertThat(shard.loss()).isCloseTo(losses.get(step), within(1e-5));
      assertThat(shard.weight()).isEqualTo(batches.get(step).doubleValue());
      assertThat(shard.learningRates()).hasSize(1);
      assertThat(shard.learningRates()[0]).isCloseTo(0.05 * Math.pow(0.9, step), within(1e-12));
      assertThat(shard.clip()).isEqualTo(new Clip("value", 0.01, null));
    }
    // It was clipped after this, or there would have been nothing to tell the two apart.
    assertThat(maxima.get(0)[4]).isGreaterThan(0.01);
    assertThat(listener.stats()).isEqualTo(new PublisherStats(STEPS + 3, 0, 0, 0));
  }

  @Test
  void theManifestIsTheNetworkInTheOrderOfItsForwardPass() {
    MultiLayerNetwork network = perceptron(DataType.FLOAT, true);
    GradflowListener listener = listener(OPTIONS);
    network.addListeners(listener);
    fit(network, DataType.FLOAT, 2);
    listener.finished();

    assertThat(read(Codecs.MANIFESTS)).hasSize(1);
    Manifest manifest = read(Codecs.MANIFESTS).get(0);
    assertThat(manifest.layers())
        .extracting(Layer::name)
        .containsExactly("0_W", "0_b", "1_W", "1_b", "2_W", "2_b");
    assertThat(manifest.layers())
        .extracting(Layer::elements)
        .containsExactly(28L, 7L, 42L, 6L, 18L, 3L);
    assertThat(manifest.layers()).extracting(Layer::depth).containsExactly(0, 0, 1, 1, 2, 2);
    assertThat(manifest.layers())
        .extracting(Layer::block)
        .containsExactly("0", "0", "1", "1", "2", "2");
    assertThat(manifest.layers())
        .extracting(Layer::kind)
        .containsExactly(
            LayerKind.WEIGHT,
            LayerKind.BIAS,
            LayerKind.WEIGHT,
            LayerKind.BIAS,
            LayerKind.WEIGHT,
            LayerKind.BIAS);
    assertThat(manifest.layers()).allMatch(Layer::trainable);
    assertThat(manifest.gradientDtype()).isEqualTo("float32");
    assertThat(manifest.optimizer()).isEqualTo("adam");
    assertThat(manifest.adamEps()).isEqualTo(1e-7);
    assertThat(manifest.worldSize()).isEqualTo(1);
    assertThat(read(Codecs.RUNS))
        .extracting(RunEvent::type)
        .containsExactly(RunEvent.Type.STARTED, RunEvent.Type.FINISHED);
    assertThat(read(Codecs.RUNS).get(0).attributes())
        .isEqualTo(Map.of("batch", "8", "learningRate", "0.05"));
    assertThat(read(Codecs.RUNS).get(1).step()).isEqualTo(1);
  }

  @Test
  void withoutDivisionByTheMinibatchItIsTheSum() {
    MultiLayerNetwork network = perceptron(DataType.FLOAT, false);
    Arrays arrays = new Arrays(false);
    assertPublishes(network, arrays, () -> fit(network, DataType.FLOAT, 5), 5);
  }

  @Test
  void aNetworkInDoubleIsMeasured() {
    MultiLayerNetwork network = perceptron(DataType.DOUBLE, true);
    assertPublishes(network, new Arrays(true), () -> fit(network, DataType.DOUBLE, 5), 5);
    assertThat(read(Codecs.MANIFESTS).get(0).gradientDtype()).isEqualTo("float64");
  }

  @Test
  void aGraphWithFrozenNormalisedAndEmbeddingLayers() {
    ComputationGraph graph =
        new ComputationGraph(
            new NeuralNetConfiguration.Builder()
                .seed(3)
                .updater(new Sgd(0.1))
                .graphBuilder()
                .addInputs("word", "features")
                .addLayer("words", new EmbeddingLayer.Builder().nIn(12).nOut(4).build(), "word")
                .addLayer(
                    "frozen",
                    new FrozenLayer(
                        new DenseLayer.Builder()
                            .nIn(4)
                            .nOut(5)
                            .activation(Activation.TANH)
                            .updater(new Sgd(0.1))
                            .build()),
                    "features")
                .addVertex("both", new MergeVertex(), "words", "frozen")
                .addLayer(
                    "hidden",
                    new DenseLayer.Builder().nIn(9).nOut(6).activation(Activation.TANH).build(),
                    "both")
                .addLayer("scaled", new BatchNormalization.Builder().nOut(6).build(), "hidden")
                .addLayer("out", output(6), "scaled")
                .setOutputs("out")
                .build());
    graph.init();
    assertPublishes(
        graph,
        new Arrays(true),
        () -> {
          for (int step = 0; step < STEPS; step++) {
            Examples examples = examples(6);
            INDArray words = Nd4j.create(6, 1);
            for (int i = 0; i < 6; i++) {
              words.putScalar(i, random.nextInt(12));
            }
            DataSet set = examples.dataSet(DataType.FLOAT);
            graph.fit(new INDArray[] {words, set.getFeatures()}, new INDArray[] {set.getLabels()});
          }
        },
        STEPS);
    Map<String, Layer> layers = new HashMap<>();
    read(Codecs.MANIFESTS).get(0).layers().forEach(layer -> layers.put(layer.name(), layer));
    assertThat(layers.keySet()).isEqualTo(graph.paramTable().keySet());
    assertThat(layers.get("words_W").kind()).isEqualTo(LayerKind.EMBEDDING);
    assertThat(layers.get("words_W").sparse()).isTrue();
    assertThat(layers.get("frozen_W").trainable()).isFalse();
    assertThat(layers.get("hidden_W").trainable()).isTrue();
    assertThat(layers.get("hidden_W").block()).isEqualTo("hidden");
    assertThat(layers.get("scaled_gamma").kind()).isEqualTo(LayerKind.NORM);
    assertThat(layers.get("scaled_gamma").trainable()).isTrue();
    // Running statistics: DL4J keeps their changes among the gradients.
    assertThat(layers.get("scaled_mean").trainable()).isFalse();
    assertThat(layers.get("scaled_log10stdev").trainable()).isFalse();
    assertThat(layers.get("hidden_W").depth()).isLessThan(layers.get("out_W").depth());
  }

  @Test
  void aConvolutionIsMeasured() {
    MultiLayerNetwork convolving =
        new MultiLayerNetwork(
            new NeuralNetConfiguration.Builder()
                .seed(3)
                .updater(new Sgd(0.1))
                .list()
                .layer(new ConvolutionLayer.Builder(2, 2).nOut(3).build())
                .layer(output(0))
                .setInputType(InputType.convolutional(4, 4, 1))
                .build());
    convolving.init();
    assertPublishes(
        convolving,
        new Arrays(true),
        () -> {
          for (int step = 0; step < 5; step++) {
            DataSet set = examples(5).dataSet(DataType.FLOAT);
            convolving.fit(Nd4j.rand(5, 1, 4, 4), set.getLabels());
          }
        },
        5);
  }

  @Test
  void eachPartOfASequenceIsAStep() {
    MultiLayerNetwork recurrent =
        new MultiLayerNetwork(
            new NeuralNetConfiguration.Builder()
                .seed(3)
                .updater(new Sgd(0.1))
                .list()
                .layer(new LSTM.Builder().nIn(2).nOut(3).build())
                .layer(
                    new RnnOutputLayer.Builder(LossFunction.MSE)
                        .nIn(3)
                        .nOut(1)
                        .activation(Activation.IDENTITY)
                        .build())
                .backpropType(BackpropType.TruncatedBPTT)
                .tBPTTLength(4)
                .build());
    recurrent.init();
    assertPublishes(
        recurrent,
        new Arrays(true),
        () -> recurrent.fit(Nd4j.rand(6, 2, 12), Nd4j.rand(6, 1, 12)),
        3);
    assertThat(read(Codecs.MANIFESTS).get(0).layers())
        .extracting(Layer::name)
        .containsExactly("0_W", "0_RW", "0_b", "1_W", "1_b");
  }

  @Test
  void onlySampledStepsAreMeasured() {
    MultiLayerNetwork network = perceptron(DataType.FLOAT, true);
    GradflowListener listener = listener(OPTIONS.withEvery(4));
    network.addListeners(listener);
    fit(network, DataType.FLOAT, 10);
    listener.close();
    assertThat(read(Codecs.SHARDS))
        .extracting(shard -> shard.id().step())
        .containsExactly(0L, 4L, 8L);
    assertThat(read(Codecs.SHARDS)).extracting(Shard::previousStep).containsExactly(-1L, 0L, 4L);
    assertThat(read(Codecs.MANIFESTS).get(0).reporting().get(0).every()).isEqualTo(4);
  }

  @Test
  void oneOfSeveralRanksPublishesItsLocalGradientAndLeavesTheRestToTheFirst() {
    PublisherOptions second =
        PublisherOptions.fromEnvironment(
            Map.of(
                "GRADFLOW_BOOTSTRAP_SERVERS", "unused:9092",
                "GRADFLOW_RUN", "dl4j",
                "GRADFLOW_ATTEMPT", "1",
                "RANK", "1",
                "WORLD_SIZE", "2"));
    MultiLayerNetwork network = perceptron(DataType.FLOAT, true);
    GradflowListener listener = listener(second);
    network.addListeners(listener);
    fit(network, DataType.FLOAT, 2);
    listener.finished();
    assertThat(read(Codecs.MANIFESTS)).isEmpty();
    assertThat(read(Codecs.RUNS)).isEmpty();
    assertThat(read(Codecs.SHARDS)).extracting(Shard::stage).containsOnly(Stage.LOCAL);
  }

  @Test
  void switchedOffItChangesNothing() {
    MultiLayerNetwork network = perceptron(DataType.FLOAT, true);
    GradflowListener listener =
        GradflowListener.of(
            OPTIONS.off(),
            () -> {
              throw new AssertionError("connects");
            });
    network.addListeners(listener);
    fit(network, DataType.FLOAT, 2);
    listener.finished();
    assertThat(network.getIterationCount()).isEqualTo(2);
    assertThat(listener.stats()).isEqualTo(new PublisherStats(0, 0, 0, 0));
  }

  @Test
  void whatIsNoNetworkIsPassedOver() {
    MultiLayerNetwork network = perceptron(DataType.FLOAT, true);
    GradflowListener listener = listener(OPTIONS);
    listener.onGradientCalculation(network.getLayer(0));
    listener.onGradientCalculation(null);
    // A network that has not been trained yet has no gradient to read.
    listener.onGradientCalculation(network);
    network.addListeners(listener);
    fit(network, DataType.FLOAT, 2);
    listener.close();
    assertThat(read(Codecs.SHARDS)).isNotEmpty();
    assertThat(network.getIterationCount()).isEqualTo(2);
  }

  /** What DL4J has in its own arrays, element by element. */
  private static final class Arrays extends BaseTrainingListener {
    private final boolean divided;
    private final List<Map<String, Double>> norms = new ArrayList<>();

    Arrays(boolean divided) {
      this.divided = divided;
    }

    @Override
    public void onGradientCalculation(Model model) {
      Map<String, Double> byName = new HashMap<>();
      model
          .gradient()
          .gradientForVariable()
          .forEach(
              (name, array) -> {
                double squares = 0;
                for (long i = 0; i < array.length(); i++) {
                  double value = array.getDouble(i) / (divided ? model.batchSize() : 1);
                  squares += value * value;
                }
                byName.put(name, Math.sqrt(squares));
              });
      norms.add(byName);
    }
  }

  private void assertPublishes(Model model, Arrays arrays, Runnable training, int steps) {
    GradflowListener listener = listener(OPTIONS);
    model.addListeners(listener, arrays);
    training.run();
    listener.finished();

    Manifest manifest = read(Codecs.MANIFESTS).get(0);
    List<Shard> shards = read(Codecs.SHARDS);
    assertThat(shards).hasSize(steps);
    assertThat(arrays.norms).hasSize(steps);
    for (int step = 0; step < steps; step++) {
      Shard shard = shards.get(step);
      assertThat(shard.id().step()).isEqualTo(step);
      for (int i = 0; i < manifest.layers().size(); i++) {
        Layer layer = manifest.layers().get(i);
        assertThat(shard.columns().elements()[i])
            .isEqualTo(layer.trainable() ? layer.elements() : 0);
        if (layer.trainable()) {
          double norm = arrays.norms.get(step).get(layer.name());
          assertThat((double) shard.columns().norm()[i])
              .as("%s at step %d", layer.name(), step)
              .isCloseTo(norm, within(1e-6 * norm));
        }
      }
    }
    assertThat(listener.stats().dropped() + listener.stats().failed()).isZero();
  }

  private MultiLayerNetwork perceptron(DataType dataType, boolean miniBatch) {
    MultiLayerNetwork network =
        new MultiLayerNetwork(
            new NeuralNetConfiguration.Builder()
                .seed(3)
                .dataType(dataType)
                .miniBatch(miniBatch)
                .l2(0.01)
                .gradientNormalization(GradientNormalization.ClipElementWiseAbsoluteValue)
                .gradientNormalizationThreshold(0.01)
                .updater(
                    Adam.builder()
                        .learningRateSchedule(
                            new ExponentialSchedule(ScheduleType.ITERATION, 0.05, 0.9))
                        .epsilon(1e-7)
                        .build())
                .list()
                .layer(dense(SIZES[0], SIZES[1]))
                .layer(dense(SIZES[1], SIZES[2]))
                .layer(output(SIZES[2]))
                .build());
    network.init();
    return network;
  }

  private static DenseLayer dense(int inputs, int outputs) {
    return new DenseLayer.Builder().nIn(inputs).nOut(outputs).activation(Activation.TANH).build();
  }

  private static OutputLayer output(int inputs) {
    return new OutputLayer.Builder(LossFunction.MCXENT)
        .nIn(inputs)
        .nOut(SIZES[3])
        .activation(Activation.SOFTMAX)
        .build();
  }

  private void fit(MultiLayerNetwork network, DataType dataType, int steps) {
    for (int step = 0; step < steps; step++) {
      network.fit(examples(8).dataSet(dataType));
    }
  }

  private Examples examples(int count) {
    double[][] inputs = new double[count][SIZES[0]];
    int[] labels = new int[count];
    for (int example = 0; example < count; example++) {
      labels[example] = random.nextInt(SIZES[3]);
      for (int i = 0; i < SIZES[0]; i++) {
        inputs[example][i] = (float) (random.nextGaussian() + labels[example]);
      }
    }
    return new Examples(inputs, labels);
  }

  private record Examples(double[][] inputs, int[] labels) {
    DataSet dataSet(DataType dataType) {
      double[][] oneHot = new double[labels.length][SIZES[3]];
      for (int i = 0; i < labels.length; i++) {
        oneHot[i][labels[i]] = 1;
      }
      return new DataSet(
          Nd4j.create(inputs).castTo(dataType), Nd4j.create(oneHot).castTo(dataType));
    }
  }

  private static double norm(double[]... rows) {
    double squares = 0;
    for (double[] row : rows) {
      for (double value : row) {
        squares += value * value;
      }
    }
    return Math.sqrt(squares);
  }

  private static double max(double[]... rows) {
    double max = 0;
    for (double[] row : rows) {
      for (double value : row) {
        max = Math.max(max, Math.abs(value));
      }
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
