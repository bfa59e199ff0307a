package io.gradflow.benchmarks;

import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Shard;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import io.gradflow.schema.Topic;
import io.gradflow.trainer.GradientPublisher;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.trainer.StepReport;
import java.time.Duration;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** How long a training waits for a step to be published, beside one that sends it itself. */
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 2)
public class PublishBenchmarks {
  /** The last call of a step of one stage: its gradient is measured and reported already. */
  @Benchmark
  public void publishing(Reported training) {
    training.publish();
  }

  /** All of its calls: what it hands over as arrays is measured by them, on its own thread. */
  @Benchmark
  public void reporting(Training training) {
    training.report();
    training.publish();
  }

  /** What the training hands over. */
  public enum Gradient {
    /** What it has measured itself. */
    COLUMNS,
    /** Layers of {@value Training#ELEMENTS} elements. */
    ARRAYS
  }

  /** Whom the training hands it to. */
  public enum Through {
    /** The publisher; what it was given before is with Kafka. */
    PUBLISHER_IDLE,
    /** The publisher; its queue is full, and it takes the next as soon as it has sent one. */
    PUBLISHER_BUSY,
    /** The publisher; its queue is full, and no broker is there. */
    PUBLISHER_FULL,
    /** Nobody: it encodes the record, and a producer takes it at once. */
    OWN_SEND,
    /** Nobody, and no broker is there: it may wait {@value Training#MAX_BLOCK_MILLIS} ms. */
    OWN_SEND_DEAD;

    boolean isPublisher() {
      return this != OWN_SEND && this != OWN_SEND_DEAD;
    }
  }

  /** A rank that has reported a step before it is measured how long the publishing of it takes. */
  public static class Reported extends Training {
    @Override
    public void compute() {
      super.compute();
      report();
    }
  }

  /** A rank. */
  @State(Scope.Benchmark)
  public static class Training {
    static final int ELEMENTS = 64;
    static final int MAX_BLOCK_MILLIS = 100;

    // Nothing listens there.
    private static final String NOWHERE = "127.0.0.1:9";
    private static final Duration WAITING = Duration.ofSeconds(30);

    /** As many as a model of 405 billion parameters has. */
    @Param("1137")
    public int layers;

    @Param public Gradient gradient;

    @Param public Through through;

    private final PublisherOptions options = PublisherOptions.of(NOWHERE, "bench", 1, 0);
    private float[][] values;
    private Shard shard;
    private LayerColumns columns;
    private GradientPublisher publisher;
    private Producer<byte[], byte[]> producer;
    private long step;
    private StepReport report;
    private Shard next;

    @Setup
    public void open() {
      Random random = new Random(layers);
      values = new float[layers][ELEMENTS];
      for (float[] layer : values) {
        for (int i = 0; i < layer.length; i++) {
          layer[i] = (float) random.nextGaussian();
        }
      }
      Publication drawn =
          Publication.drawn(layers, ELEMENTS, 1, Placement.REPLICATE).with(SignalSet.MOMENTS);
      shard = drawn.shards().get(0);
      columns = shard.columns();
      if (through == Through.PUBLISHER_FULL) {
        publisher = GradientPublisher.start(options);
        fill();
      } else if (through.isPublisher()) {
        publisher = GradientPublisher.start(options, Taking::new);
        publisher.refer(drawn.manifest());
      } else {
        producer = through == Through.OWN_SEND ? new Taking() : deadProducer();
      }
    }

    private static Producer<byte[], byte[]> deadProducer() {
      return new KafkaProducer<>(
          Map.of("bootstrap.servers", NOWHERE, "max.block.ms", MAX_BLOCK_MILLIS),
          new ByteArraySerializer(),
          new ByteArraySerializer());
    }

    private void fill() {
      while (publisher.stats().dropped() == 0) {
        report();
        publish();
      }
    }

    /** Between two steps a real training computes: what it published is then long gone. */
    @Setup(Level.Invocation)
    public void compute() {
      if (through == Through.PUBLISHER_IDLE) {
        long start = System.nanoTime();
        while (publisher.stats().pending() > 0) {
          if (System.nanoTime() - start > WAITING.toNanos()) {
            throw new IllegalStateException("the publisher does not send: " + publisher.stats());
          }
          LockSupport.parkNanos(10_000);
        }
      }
    }

    void report() {
      if (through.isPublisher()) {
        report = publisher.step(step++).loss(0.5).weight(32).learningRates(0.1);
        report = gradient == Gradient.COLUMNS ? report.reduced(columns) : report.reduced(values);
      } else {
        next = Publication.atStep(step++, shard);
        if (gradient == Gradient.ARRAYS) {
          next = next.part(0, 1, Publication.measured(values));
        }
      }
    }

    void publish() {
      if (through.isPublisher()) {
        report.publish();
      } else {
        send();
      }
    }

    private void send() {
      for (Encoded record : Codecs.SHARDS.encode(next)) {
        var unused =
            producer.send(
                new ProducerRecord<>(Topic.SHARDS.topicName(), record.key(), record.value()));
      }
    }

    @TearDown
    public void close() {
      if (publisher != null) {
        publisher.close();
      }
      if (producer != null) {
        producer.close(Duration.ZERO);
      }
    }
  }

  /** Takes every record at once, and keeps none. */
  private static final class Taking extends MockProducer<byte[], byte[]> {
    private static final RecordMetadata TAKEN =
        new RecordMetadata(new TopicPartition(Topic.SHARDS.topicName(), 0), 0, 0, 0, 0, 0);

    Taking() {
      super(true, null, new ByteArraySerializer(), new ByteArraySerializer());
    }

    @Override
    public synchronized Future<RecordMetadata> send(
        ProducerRecord<byte[], byte[]> record, Callback callback) {
      if (callback != null) {
        callback.onCompletion(TAKEN, null);
      }
      return CompletableFuture.completedFuture(TAKEN);
    }
  }
}
