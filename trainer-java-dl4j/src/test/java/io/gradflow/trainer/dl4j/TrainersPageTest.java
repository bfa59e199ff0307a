package io.gradflow.trainer.dl4j;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.example.Dl4jExample;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.trainer.PublisherStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.deeplearning4j.datasets.iterator.utilty.ListDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

/** What the page for people who write trainers says of DL4J is true. */
@Timeout(60)
class TrainersPageTest {
  private static final Path PAGE = Path.of("..", "docs", "trainers.md");
  private static final Path EXAMPLE =
      Path.of("src", "test", "java", "io", "gradflow", "example", "Dl4jExample.java");

  @Test
  void thePageQuotesTheExample() throws IOException {
    String source = Files.readString(EXAMPLE);
    assertThat(Files.readString(PAGE))
        .contains("```java\n" + source.substring(source.indexOf("import")) + "```\n");
  }

  @Test
  void theExamplePublishesEachIteration() {
    MultiLayerNetwork network =
        new MultiLayerNetwork(
            new NeuralNetConfiguration.Builder()
                .list()
                .layer(
                    new OutputLayer.Builder(LossFunction.MSE)
                        .nIn(2)
                        .nOut(1)
                        .activation(Activation.IDENTITY)
                        .build())
                .build());
    network.init();
    DataSet set = new DataSet(Nd4j.rand(8, 2), Nd4j.rand(8, 1));
    PublisherOptions options = PublisherOptions.of("unused:9092", "dl4j", 1, 0);
    GradflowListener gradflow =
        GradflowListener.of(
            options,
            () ->
                new MockProducer<>(
                    true, null, new ByteArraySerializer(), new ByteArraySerializer()));
    Dl4jExample.train(network, new ListDataSetIterator<>(List.of(set, set), 1), 3, gradflow);
    // Six steps, the manifest, and the run's start and end.
    assertThat(gradflow.stats()).isEqualTo(new PublisherStats(9, 0, 0, 0));
  }
}
