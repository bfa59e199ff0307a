package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.schema.Recorded;
import io.gradflow.schema.RecordingWriter;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code gradflow record}: saves a run from the topics. */
@Command(
    name = "record",
    description = {
      "Saves a run from the topics to a file, for gradflow replay and any Avro tool.",
      "Holds the run's manifests and events, and its shards and blocks or its steps, as they are in"
          + " the topics now. The file appears under its name when it is whole."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class)
final class RecordCommand implements Callable<Integer> {
  private static final int NAMES_SHOWN = 5;

  @Spec private CommandSpec spec;

  @Option(names = "--run", paramLabel = "R", required = true, description = "The run.")
  private String run;

  @Option(names = "--out", paramLabel = "FILE", required = true, description = "A new file.")
  private Path out;

  @Mixin private KafkaCluster cluster;

  /** What of a run is saved besides its manifests and events. */
  enum Part {
    SHARDS(List.of(Topic.SHARDS, Topic.BLOCKS)),
    STEPS(List.of(Topic.STEPS));

    @SuppressWarnings("ImmutableEnumChecker") // an unmodifiable list of enum constants
    private final List<Topic> topics;

    Part(List<Topic> topics) {
      this.topics = topics;
    }
  }

  @Option(
      names = "--what",
      paramLabel = "shards|steps",
      defaultValue = "shards",
      description = {
        "shards: what the trainers sent, to be put together again; steps: what NormJob made of it,"
            + " to be judged again (default: ${DEFAULT-VALUE})."
      })
  private Part part;

  @Option(
      names = "--from",
      paramLabel = "TIME",
      description =
          "Only shards or steps since this time, e.g. 2026-11-22T10:00:00Z (default: all there are).")
  private Optional<String> from = Optional.empty();

  @Option(
      names = "--schema-registry",
      paramLabel = "URL",
      description = "Where the schemas are, if the trainers write Confluent's framing.")
  private Optional<URI> registry = Optional.empty();

  @Option(
      names = "--format",
      paramLabel = "text|json",
      defaultValue = "text",
      description = "A line for people or an object (default: ${DEFAULT-VALUE}).")
  private Format format;

  private final Map<Topic, Long> counts = new EnumMap<>(Topic.class);
  private final Set<String> others = new TreeSet<>();
  private long unreadable;
  private long first = Long.MAX_VALUE;
  private long last = Long.MIN_VALUE;

  @Override
  public Integer call() {
    Optional<Instant> since = from.map(this::instant);
    if (Files.exists(out)) {
      throw new CommandFailed(
          "%s exists: expected a new file; remove it, or choose another --out".formatted(out));
    }
    WriterSchemas writers =
        registry.map(WriterSchemas::withRegistry).orElseGet(WriterSchemas::known);
    Path unfinished = out.resolveSibling(out.getFileName() + ".part");
    try (TopicReader reader = new TopicReader(cluster.bootstrapServers(), writers)) {
      try (RecordingWriter file =
          new RecordingWriter(new BufferedOutputStream(Files.newOutputStream(unfinished)))) {
        Pulse pulse = new Pulse(spec.commandLine().getErr());
        for (Topic topic : List.of(Topic.MANIFESTS, Topic.RUNS)) {
          reader.withRaw(topic, record -> keep(record, topic, writers, file, pulse));
        }
        for (Topic topic : part.topics) {
          reader.withRaw(topic, record -> keep(record, topic, writers, file, pulse));
          since.ifPresent(time -> reader.from(topic, time));
        }
        reader.readToEndByTime();
      }
      requireSome();
      Files.move(unfinished, out, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw cannotWrite(e);
    } finally {
      remove(unfinished);
    }
    report();
    return 0;
  }

  private Instant instant(String text) {
    try {
      return Instant.parse(text);
    } catch (DateTimeException e) {
      throw new ParameterException(
          spec.commandLine(),
          "--from: expected a time like 2026-11-22T10:00:00Z, got '" + text + "'",
          e);
    }
  }

  private void keep(
      ConsumerRecord<byte[], byte[]> record,
      Topic topic,
      WriterSchemas writers,
      RecordingWriter file,
      Pulse pulse) {
    pulse.beat(() -> "reading %s, %d records kept".formatted(record.topic(), kept()));
    if (record.value() == null) {
      return;
    }
    Optional<String> of = writers.runOf(record.value());
    if (of.isEmpty()) {
      unreadable++;
    } else if (!of.get().equals(run)) {
      if (others.size() < NAMES_SHOWN) {
        others.add(of.get());
      }
    } else {
      try {
        file.append(
            new Recorded(
                topic,
                record.partition(),
                record.offset(),
                record.timestamp(),
                run,
                record.key(),
                record.value()));
      } catch (IOException e) {
        throw cannotWrite(e);
      }
      counts.merge(topic, 1L, Long::sum);
      first = Math.min(first, record.timestamp());
      last = Math.max(last, record.timestamp());
    }
  }

  private CommandFailed cannotWrite(IOException e) {
    return new CommandFailed("cannot write %s: %s".formatted(out, Causes.innermost(e)), e);
  }

  private static void remove(Path unfinished) {
    try {
      Files.deleteIfExists(unfinished);
    } catch (IOException e) {
      unfinished.toFile().deleteOnExit();
    }
  }

  private long kept() {
    return counts.values().stream().mapToLong(Long::longValue).sum();
  }

  private void requireSome() {
    String wanted = part.topics.stream().map(Topic::topicName).collect(Collectors.joining(" or "));
    if (kept() == 0) {
      throw new CommandFailed(
          "no run %s at %s: expected one of those with records in %s, which are %s"
              .formatted(
                  run,
                  cluster.bootstrapServers(),
                  wanted,
                  others.isEmpty()
                      ? "none"
                      : String.join(", ", others)
                          + (others.size() == NAMES_SHOWN ? " and perhaps others" : "")));
    }
    if (part.topics.stream().noneMatch(counts::containsKey)) {
      throw new CommandFailed(
          "run %s has nothing in %s%s: expected records, got manifests and events alone; perhaps it is longer ago than the topic keeps"
              .formatted(run, wanted, from.map(time -> " since " + time).orElse("")));
    }
  }

  private void report() {
    if (unreadable > 0) {
      spec.commandLine()
          .getErr()
          .println(unreadable + " records could not be read: of which run they are is not known");
    }
    if (format == Format.JSON) {
      ObjectNode node = new ObjectMapper().createObjectNode().put("run", run);
      ObjectNode records = node.putObject("records");
      counts.forEach((topic, count) -> records.put(topic.topicName(), count));
      node.put("from", first).put("to", last).put("file", out.toString());
      spec.commandLine().getOut().println(node);
      return;
    }
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%s: %s of run %s, %s to %s%n",
            out,
            counts.entrySet().stream()
                .map(entry -> entry.getValue() + " of " + entry.getKey().topicName())
                .collect(Collectors.joining(", ")),
            run,
            Instant.ofEpochMilli(first),
            Instant.ofEpochMilli(last));
  }
}
