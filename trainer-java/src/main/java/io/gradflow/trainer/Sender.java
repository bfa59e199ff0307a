package io.gradflow.trainer;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import io.gradflow.schema.Topic;
import io.gradflow.trainer.StepReport.Gradient;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.InterruptException;

/**
 * Takes what waits in the outbox, encodes it and gives it to Kafka, on a thread of its own: the
 * only one that ever waits for a broker.
 *
 * <p>Nothing is taken before Kafka has answered once, so that a broker that comes up after the
 * trainer gets everything the outbox holds. Manifests and events that Kafka did not acknowledge are
 * sent again before the next record, unless a later one of their kind was: an old event must not
 * hide a newer one in a compacted topic. The manifest is also sent again after any loss.
 */
final class Sender implements Runnable {
  private static final Duration RETRY_CONNECTING = Duration.ofSeconds(1);

  private final PublisherOptions options;
  private final Outbox<PendingShard, Notice> outbox;
  private final Supplier<Producer<byte[], byte[]>> producers;
  private final InstantSource clock;
  private final Tally tally;
  private final Complaints complaints;

  // Filled by the producer's own thread.
  private final Queue<Notice> unacknowledged = new ConcurrentLinkedQueue<>();
  private final AtomicLong acknowledgedManifest = new AtomicLong(-1);
  private final AtomicLong acknowledgedEvent = new AtomicLong(-1);
  private volatile boolean lostSome;

  private Producer<byte[], byte[]> producer;
  private boolean connected;
  private Manifest announced;
  private long sequence;
  private volatile long closeBy = Long.MAX_VALUE;

  /** A shard as it waits: what is counted at sending is still open. */
  record PendingShard(
      StepReport report, Stage stage, Gradient gradient, long previousStep, long manifestId) {}

  /**
   * A manifest or an event; the other is null.
   *
   * @param order counts the publisher's notices
   */
  record Notice(long order, Manifest manifest, RunEvent event) {}

  Sender(
      PublisherOptions options,
      Outbox<PendingShard, Notice> outbox,
      Supplier<Producer<byte[], byte[]>> producers,
      InstantSource clock,
      Tally tally,
      Complaints complaints) {
    this.options = options;
    this.outbox = outbox;
    this.producers = producers;
    this.clock = clock;
    this.tally = tally;
    this.complaints = complaints;
  }

  /** Sends what waits, for this long at most, and ends. */
  void close(Duration atMost) {
    closeBy = System.nanoTime() + atMost.toNanos();
    outbox.close();
  }

  @Override
  public void run() {
    try {
      while (connect()) {
        var entry = outbox.take();
        if (entry == null) {
          resend();
          break;
        }
        deliver(entry);
      }
    } catch (InterruptedException | InterruptException e) {
      // The time to close is over. What is left is counted below.
      Thread.interrupted();
    } catch (RuntimeException e) {
      complaints.about("publishing ends", e);
    } finally {
      if (producer != null) {
        long nanos = closeBy == Long.MAX_VALUE ? 0 : closeBy - System.nanoTime();
        producer.close(Duration.ofNanos(Math.max(0, nanos)));
      }
      outbox.close();
      tally.dropped(outbox.discard());
      while (unacknowledged.poll() != null) {
        tally.failed();
      }
    }
  }

  /** Waits until Kafka has answered once; false if the outbox was closed first. */
  private boolean connect() throws InterruptedException {
    while (!connected) {
      try {
        if (producer == null) {
          producer = producers.get();
        }
        producer.partitionsFor(Topic.SHARDS.topicName());
        connected = true;
      } catch (InterruptException e) {
        throw e;
      } catch (RuntimeException e) {
        complaints.about("Kafka at " + options.bootstrapServers() + " does not answer", e);
        if (outbox.awaitClosed(RETRY_CONNECTING)) {
          return false;
        }
      }
    }
    return true;
  }

  private void deliver(Outbox.Entry<PendingShard, Notice> entry) {
    resend();
    if (entry.notice() != null) {
      send(entry.notice());
    } else {
      send(entry.shard());
    }
  }

  private void send(PendingShard pending) {
    Runnable lost =
        () -> {
          tally.failed();
          lostSome = true;
        };
    RawValues raw = pending.gradient().raw();
    if (raw == null) {
      send(Codecs.SHARDS, () -> shard(pending), tally::sent, lost);
    } else {
      // One after the other: all of them encoded would be the gradient once more.
      Receipt receipt = new Receipt(raw.blocks(), tally::sent, lost);
      raw.toBlocks(
          () -> shard(pending),
          block -> {
            if (receipt.isComplete()) {
              send(Topic.BLOCKS, Codecs.BLOCKS.encode(block).get(0), receipt);
            } else {
              // The rest of a gradient that has lost a part is not worth its way.
              receipt.ended(false);
            }
          });
    }
  }

  private void resend() {
    if (lostSome && announced != null) {
      lostSome = false;
      send(Codecs.MANIFESTS, () -> announced, () -> {}, () -> lostSome = true);
    }
    for (int left = unacknowledged.size(); left > 0; left--) {
      Notice notice = unacknowledged.poll();
      if (notice.order() < acknowledged(notice).get()) {
        tally.failed();
      } else {
        send(notice);
      }
    }
  }

  private void send(Notice notice) {
    Runnable delivered =
        () -> {
          acknowledged(notice).accumulateAndGet(notice.order(), Math::max);
          tally.sent();
        };
    Runnable lost = () -> unacknowledged.add(notice);
    if (notice.manifest() != null) {
      announced = notice.manifest();
      send(Codecs.MANIFESTS, notice::manifest, delivered, lost);
    } else {
      send(Codecs.RUNS, notice::event, delivered, lost);
    }
  }

  private AtomicLong acknowledged(Notice notice) {
    return notice.manifest() != null ? acknowledgedManifest : acknowledgedEvent;
  }

  /** Sends the records of one value; exactly one of the two is called when all have ended. */
  private <T> void send(Codec<T> codec, Supplier<T> value, Runnable delivered, Runnable lost) {
    List<Encoded> records;
    try {
      records = codec.encode(value.get());
    } catch (RuntimeException e) {
      complaints.about("a record for " + codec.topic().topicName() + " cannot be written", e);
      tally.failed();
      return;
    }
    Receipt receipt = new Receipt(records.size(), delivered, lost);
    records.forEach(record -> send(codec.topic(), record, receipt));
  }

  private void send(Topic topic, Encoded encoded, Receipt receipt) {
    if (!connected) {
      receipt.ended(false);
      return;
    }
    try {
      var record = new ProducerRecord<>(topic.topicName(), encoded.key(), encoded.value());
      var unused = producer.send(record, (metadata, failure) -> ended(receipt, failure));
    } catch (InterruptException e) {
      ended(receipt, e);
      throw e;
    } catch (RuntimeException e) {
      // Not the record but the producer is broken, and stays so: the next one takes its place.
      ended(receipt, e);
      producer.close(Duration.ZERO);
      producer = null;
      connected = false;
    }
  }

  private void ended(Receipt receipt, Exception failure) {
    if (failure != null) {
      complaints.about("Kafka did not take a record", failure);
    }
    receipt.ended(failure == null);
  }

  private Shard shard(PendingShard pending) {
    StepReport report = pending.report();
    return new Shard(
        new StepId(options.runId(), options.attempt(), options.stream(), report.step),
        options.rank(),
        options.coords(),
        0,
        1,
        pending.manifestId(),
        pending.stage(),
        pending.previousStep(),
        report.accumIndex,
        report.accumSteps,
        clock.millis(),
        sequence++,
        tally.lost(),
        report.weight,
        report.lossScale,
        report.stepSkipped,
        report.clip(pending.stage()),
        report.reportedGlobalNorm,
        report.loss,
        report.validationLoss,
        report.learningRates,
        options.host(),
        options.device(),
        pending.gradient().columns(),
        null);
  }

  /** Collects the ends of one value's records. */
  private static final class Receipt {
    private final Runnable delivered;
    private final Runnable lost;
    private int open;
    private boolean complete = true;

    Receipt(int records, Runnable delivered, Runnable lost) {
      this.open = records;
      this.delivered = delivered;
      this.lost = lost;
    }

    /** Whether nothing has been lost so far. */
    synchronized boolean isComplete() {
      return complete;
    }

    synchronized void ended(boolean successfully) {
      complete &= successfully;
      open--;
      if (open == 0) {
        (complete ? delivered : lost).run();
      }
    }
  }
}
