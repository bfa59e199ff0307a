package io.gradflow.trainer.djl;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.Model;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.core.Linear;
import ai.djl.training.dataset.ArrayDataset;
import io.gradflow.example.DjlExample;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.trainer.PublisherStats;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What the page for people who write trainers says of DJL is true. */
@Timeout(60)
class TrainersPageTest {
  private static final Path PAGE = Path.of("..", "docs", "trainers.md");
  private static final Path EXAMPLE =
      Path.of("src", "test", "java", "io", "gradflow", "example", "DjlExample.java");

  @Test
  void thePageQuotesTheExample() throws IOException {
    String source = Files.readString(EXAMPLE);
    assertThat(Files.readString(PAGE))
        .contains("```java\n" + source.substring(source.indexOf("import")) + "```\n");
  }

  @Test
  void theExamplePublishesEachBatch() throws Exception {
    PublisherOptions options = PublisherOptions.of("unused:9092", "djl", 1, 0);
    GradflowListener gradflow =
        GradflowListener.of(
            options,
            () ->
                new MockProducer<>(
                    true, null, new ByteArraySerializer(), new ByteArraySerializer()));
    try (Model model = Model.newInstance("linear");
        NDManager manager = NDManager.newBaseManager()) {
      model.setBlock(Linear.builder().setUnits(1).build());
      ArrayDataset examples =
          new ArrayDataset.Builder()
              .setData(manager.randomNormal(new Shape(16, 2)))
              .optLabels(manager.randomNormal(new Shape(16, 1)))
              .setSampling(8, false)
              .build();
      DjlExample.train(model, new Shape(1, 2), examples, 3, gradflow);
    }
    // Six steps, the manifest, and the run's start and end.
    assertThat(gradflow.stats()).isEqualTo(new PublisherStats(9, 0, 0, 0));
  }
}
