package io.gradflow.dashboard.topics;

import io.gradflow.core.Origin;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import io.gradflow.dashboard.live.ManifestPlace;
import io.gradflow.dashboard.live.PartRows;
import io.gradflow.dashboard.live.Reading;
import io.gradflow.dashboard.live.Recorded;
import io.gradflow.dashboard.live.RunStream;
import io.gradflow.dashboard.live.Stages;
import io.gradflow.dashboard.live.StepRow;
import io.gradflow.dashboard.live.StepWindow;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/**
 * Reads back from the topics with two consumers, so that any number of requests makes no more than
 * two readers. Records of a run are in one partition, ascending in attempt and, within an attempt,
 * in step: where a step is, is found by halving.
 */
public final class RecordedTopics implements Recorded, AutoCloseable {
  private static final int READERS = 2;
  private static final Duration TURN = Duration.ofSeconds(10);
  private static final Duration ANSWER = Duration.ofSeconds(5);
  private static final Duration POLL = Duration.ofMillis(200);
  private static final int FETCH_WAIT_MS = 1;
  private static final Duration CLOSING = Duration.ofMillis(200);

  /** Records looked at for one of the run, from one offset on. */
  private static final int PROBED = 5_000;

  /** Records read for one answer. */
  private static final int READ = 50_000;

  /** Further than this it is cheaper to seek than to read on. */
  private static final long GAP = 500;

  private static final int ATTEMPTS = 8;

  private final BlockingQueue<Reader> readers = new ArrayBlockingQueue<>(READERS);
  private final List<Reader> all = new ArrayList<>();
  private volatile boolean closed;

  /** One consumer and what decodes its records; for one thread at a time. */
  private static final class Reader {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final WriterSchemas writers;
    private final Decoder<Step> steps;
    private final Decoder<Manifest> manifests;

    Reader(Map<String, Object> connection, WriterSchemas writers) {
      this.consumer = Clients.consumer(connection, FETCH_WAIT_MS);
      this.writers = writers;
      this.steps = Codecs.STEPS.decoder(writers);
      this.manifests = Codecs.MANIFESTS.decoder(writers);
    }
  }

  /** What a record says of where it is among the steps of its run. */
  private record Found(long offset, long attempt, long step) {
    boolean isBefore(long otherAttempt, long otherStep) {
      return attempt < otherAttempt || (attempt == otherAttempt && step < otherStep);
    }
  }

  /** The last record of the run before something, and the first after; null if there is none. */
  private record Around(Found before, Found after) {}

  /**
   * @param connection settings of Kafka's clients, the bootstrap servers among them
   * @param writers makes what finds the schemas that records were written with
   */
  public RecordedTopics(Map<String, Object> connection, Supplier<WriterSchemas> writers) {
    for (int i = 0; i < READERS; i++) {
      Reader reader = new Reader(connection, writers.get());
      readers.add(reader);
      all.add(reader);
    }
  }

  private <T> T reading(Function<Reader, T> use) {
    Reader reader = null;
    try {
      reader = readers.poll(TURN.toMillis(), TimeUnit.MILLISECONDS);
      if (reader == null || closed) {
        throw new Unavailable(
            "expected a turn to read the topics within "
                + TURN.toSeconds()
                + " s, got none: ask again");
      }
      return use.apply(reader);
    } catch (KafkaException e) {
      throw new Unavailable(
          "expected the broker to give records, got "
              + e.getClass().getSimpleName()
              + ": ask again, or look at the broker");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Unavailable("ended before the topics were read");
    } finally {
      if (reader != null) {
        readers.add(reader);
      }
    }
  }

  /**
   * Reads on from an offset.
   *
   * @param end where to stop at the latest
   * @param each says whether to go on
   * @return whether the end was reached
   */
  private static boolean read(
      Reader reader,
      TopicPartition from,
      long begin,
      long end,
      int most,
      Predicate<ConsumerRecord<byte[], byte[]>> each) {
    KafkaConsumer<byte[], byte[]> consumer = reader.consumer;
    consumer.assign(List.of(from));
    consumer.seek(from, begin);
    long deadline = System.nanoTime() + ANSWER.toNanos();
    int count = 0;
    while (consumer.position(from) < end) {
      if (System.nanoTime() > deadline) {
        throw new Unavailable(
            "expected records of " + from + " within " + ANSWER.toSeconds() + " s: ask again");
      }
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
        if (record.offset() >= end) {
          return true;
        }
        if (++count > most || !each.test(record)) {
          return false;
        }
      }
    }
    return true;
  }

  private static Optional<Step> decode(
      Reader reader, RunStream of, ConsumerRecord<byte[], byte[]> record) {
    if (!reader.writers.runOf(record.value()).map(of.run()::equals).orElse(false)) {
      return Optional.empty();
    }
    return Optional.ofNullable(reader.steps.decode(record.value(), origin(record)).value())
        .filter(step -> step.id().stream().equals(of.stream()));
  }

  private static Origin origin(ConsumerRecord<byte[], byte[]> record) {
    return new Origin(record.topic(), record.partition(), record.offset(), record.timestamp());
  }

  @Override
  public void steps(RunStream of, List<StepRow> rows, Consumer<Step> each) {
    if (rows.isEmpty()) {
      return;
    }
    ArrayDeque<StepRow> wanted = new ArrayDeque<>();
    rows.stream().sorted(Comparator.comparingLong(StepRow::firstOffset)).forEach(wanted::add);
    TopicPartition from = new TopicPartition(Topic.STEPS.topicName(), wanted.element().partition());
    reading(
        reader -> {
          long beginning = beginning(reader, from);
          while (!wanted.isEmpty()) {
            List<StepRow> together = new ArrayList<>();
            long end = wanted.element().firstOffset();
            while (!wanted.isEmpty() && wanted.element().firstOffset() - end <= GAP) {
              StepRow row = wanted.remove();
              together.add(row);
              end = Math.max(end, row.offset() + 1);
            }
            together(reader, from, of, together, Math.max(beginning, 0), end, each);
          }
          return null;
        });
  }

  private static void together(
      Reader reader,
      TopicPartition from,
      RunStream of,
      List<StepRow> rows,
      long beginning,
      long end,
      Consumer<Step> each) {
    long first = Math.max(beginning, rows.get(0).firstOffset());
    ArrayDeque<StepRow> left = new ArrayDeque<>(rows);
    Map<StepRow, List<Step>> begun = new LinkedHashMap<>();
    read(
        reader,
        from,
        first,
        end,
        READ,
        record -> {
          while (!left.isEmpty() && left.element().firstOffset() <= record.offset()) {
            begun.put(left.remove(), new ArrayList<>());
          }
          begun.keySet().removeIf(row -> row.offset() < record.offset());
          if (!begun.isEmpty()) {
            decode(reader, of, record).ifPresent(step -> take(step, begun, each));
          }
          return !left.isEmpty() || !begun.isEmpty();
        });
  }

  /** Takes a record of the rows that have begun, whose records may lie among one another. */
  private static void take(Step part, Map<StepRow, List<Step>> begun, Consumer<Step> each) {
    Iterator<Map.Entry<StepRow, List<Step>>> rows = begun.entrySet().iterator();
    while (rows.hasNext()) {
      Map.Entry<StepRow, List<Step>> row = rows.next();
      if (isOf(part, row.getKey())) {
        List<Step> parts = row.getValue();
        parts.add(part);
        if (parts.size() == part.parts()) {
          parts.sort(Comparator.comparingInt(Step::part));
          each.accept(Codecs.STEPS.join(parts));
          rows.remove();
        }
        return;
      }
    }
  }

  private static boolean isOf(Step step, StepRow row) {
    return step.id().step() == row.step()
        && step.id().attempt() == row.attempt()
        && step.revision() == row.revision()
        && step.manifestId() == row.manifestId();
  }

  private static long beginning(Reader reader, TopicPartition of) {
    return reader.consumer.beginningOffsets(List.of(of), ANSWER).get(of);
  }

  @Override
  public List<StepRow> rows(
      RunStream of, Stages stages, long attempt, long before, long from, long to, int most) {
    return reading(
        reader -> {
          List<PartitionInfo> partitions =
              reader.consumer.partitionsFor(Topic.STEPS.topicName(), ANSWER);
          if (partitions == null || partitions.isEmpty()) {
            return List.of();
          }
          TopicPartition in =
              new TopicPartition(
                  Topic.STEPS.topicName(), Reading.partition(of.run(), partitions.size()));
          long beginning = beginning(reader, in);
          long ofTopic = Math.min(before, reader.consumer.endOffsets(List.of(in), ANSWER).get(in));
          Found newest =
              attempt < 0
                  ? around(reader, in, of, beginning, ofTopic, found -> true).before()
                  : new Found(ofTopic - 1, attempt, to);
          if (newest == null) {
            return List.of();
          }
          long highest = newest.attempt();
          long end = newest.offset() + 1;
          long until = Math.min(to, newest.step());
          long wanted = Math.max(from, until - most + 1);
          long first = Math.max(0, wanted - stages.skew());
          long begin = find(reader, in, of, beginning, end, highest, first);
          if (begin < 0) {
            return List.of();
          }
          StepWindow window = new StepWindow(-1);
          window.lay(stages);
          PartRows parts = new PartRows();
          read(
              reader,
              in,
              begin,
              end,
              READ,
              record -> {
                Optional<StepRow> row =
                    decode(reader, of, record).flatMap(step -> parts.add(step, origin(record)));
                row.filter(one -> one.attempt() <= highest).ifPresent(window::add);
                return row.isEmpty()
                    || row.get().attempt() != highest
                    || row.get().step() - stages.skew() <= to;
              });
          return window.span(from, to, most);
        });
  }

  /**
   * The offset of the first record of the run at a step, in the attempt that goes on there; -1 if
   * there is none.
   */
  private static long find(
      Reader reader,
      TopicPartition in,
      RunStream of,
      long beginning,
      long end,
      long attempt,
      long step) {
    long high = end;
    long last = attempt;
    for (int i = 0; i < ATTEMPTS; i++) {
      long searched = last;
      Found at =
          around(reader, in, of, beginning, high, found -> found.isBefore(searched, step)).after();
      if (at != null && at.attempt() == last && at.step() <= step) {
        return at.offset();
      }
      // This attempt begins later: the one before it is to be searched.
      Around begun = around(reader, in, of, beginning, high, found -> found.isBefore(searched, -1));
      Found first = begun.after();
      if (at != null && first != null && first.offset() < at.offset()) {
        // The step itself was not published, or a stage that is behind comes between.
        return at.offset();
      }
      high = first == null ? high : first.offset();
      Found previous = begun.before();
      if (previous == null || previous.step() < step) {
        return first == null ? -1 : first.offset();
      }
      last = previous.attempt();
    }
    return high;
  }

  /**
   * Halves a span of offsets to where the records of the run cease to lie before something: those
   * that do are the first of them.
   */
  private static Around around(
      Reader reader,
      TopicPartition in,
      RunStream of,
      long beginning,
      long end,
      Predicate<Found> isBefore) {
    long low = beginning;
    long high = end;
    Found before = null;
    Found after = null;
    while (low < high) {
      long middle = (low + high) >>> 1;
      Found found = probe(reader, in, of, middle, high);
      if (found != null && isBefore.test(found)) {
        before = found;
        low = found.offset() + 1;
      } else {
        after = found == null ? after : found;
        high = middle;
      }
    }
    return new Around(before, after);
  }

  /** The first record of the run from an offset on; null if there is none near. */
  private static Found probe(Reader reader, TopicPartition in, RunStream of, long begin, long end) {
    Found[] found = new Found[1];
    read(
        reader,
        in,
        begin,
        end,
        PROBED,
        record -> {
          found[0] = found(reader, of, record).orElse(null);
          return found[0] == null;
        });
    return found[0];
  }

  private static Optional<Found> found(
      Reader reader, RunStream of, ConsumerRecord<byte[], byte[]> record) {
    return decode(reader, of, record)
        .map(step -> new Found(record.offset(), step.id().attempt(), step.id().step()));
  }

  @Override
  public Optional<Manifest> manifest(ManifestPlace place) {
    return reading(
        reader -> {
          Manifest head = null;
          List<Layer> layers = new ArrayList<>();
          for (int i = 0; i < place.offsets().length; i++) {
            TopicPartition in =
                new TopicPartition(Topic.MANIFESTS.topicName(), place.partitions()[i]);
            long offset = place.offsets()[i];
            Manifest[] found = new Manifest[1];
            if (offset >= beginning(reader, in)) {
              read(
                  reader,
                  in,
                  offset,
                  offset + 1,
                  1,
                  record -> {
                    found[0] = reader.manifests.decode(record.value(), origin(record)).value();
                    return false;
                  });
            }
            if (found[0] == null || found[0].manifestId() != place.manifestId()) {
              return Optional.empty();
            }
            head = head == null ? found[0] : head;
            layers.addAll(found[0].layers());
          }
          return Optional.of(
              head.whole(head.manifestId(), place.attempt(), head.layerCount(), layers));
        });
  }

  @Override
  public void close() {
    closed = true;
    for (Reader reader : all) {
      reader.consumer.wakeup();
    }
    try {
      for (int i = 0; i < all.size(); i++) {
        Reader reader = readers.poll(CLOSING.toMillis(), TimeUnit.MILLISECONDS);
        if (reader != null) {
          reader.consumer.close(CloseOptions.timeout(CLOSING));
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
