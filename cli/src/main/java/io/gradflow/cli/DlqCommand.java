package io.gradflow.cli;

import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.io.PrintWriter;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code gradflow dlq}: what could not be used, and why; and another try for it. */
@Command(
    name = "dlq",
    description = "Shows dead letters, or publishes what they hold once more.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "(show | replay)",
    versionProvider = Gradflow.Version.class)
final class DlqCommand implements Runnable {
  /** What the jobs read; above all, letters are never made of letters. */
  private static final Set<Topic> INPUTS =
      EnumSet.of(Topic.MANIFESTS, Topic.RUNS, Topic.SHARDS, Topic.BLOCKS, Topic.STEPS, Topic.RULES);

  @Spec private CommandSpec spec;

  /** Nothing was said about what to do. */
  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected show or replay, got neither");
  }

  /** Where the letters are. */
  static final class Where {
    @Mixin private KafkaCluster cluster;

    private TopicReader open(Consumer<DeadLetter> letters) {
      return new TopicReader(cluster.bootstrapServers(), WriterSchemas.known())
          .withRaw(Topic.DEAD_LETTERS, record -> letters.accept(DeadLetter.of(record)));
    }
  }

  @Command(
      name = "show",
      description = {
        "Shows the letters in gradient-dead-letters: when, reason, detail, size, first bytes."
      },
      mixinStandardHelpOptions = true,
      versionProvider = Gradflow.Version.class)
  int show(
      @Mixin Where where,
      @Option(
              names = "--run",
              paramLabel = "R",
              description = "Only of this run, if that is known.")
          Optional<String> run,
      @Option(names = "--reason", paramLabel = "W", description = "Only with this reason.")
          Optional<String> reason,
      @Option(
              names = "--limit",
              paramLabel = "N",
              defaultValue = "100",
              description =
                  "The first N; the others are counted (default: ${DEFAULT-VALUE}). Not with --follow.")
          long limit,
      @Option(
              names = "--follow",
              description = "Stay, and show letters as they come, until Ctrl-C.")
          boolean follow,
      @Option(
              names = "--format",
              paramLabel = "text|json",
              defaultValue = "text",
              description = "A line for people or an object per line (default: ${DEFAULT-VALUE}).")
          Format format) {
    PrintWriter out = spec.commandLine().getOut();
    WriterSchemas writers = WriterSchemas.known();
    Map<String, Long> counts = new TreeMap<>();
    Consumer<DeadLetter> letters =
        letter -> {
          boolean wanted =
              reason.map(letter.reason()::equals).orElse(true)
                  && run.map(name -> letter.run(writers).equals(run)).orElse(true);
          if (wanted) {
            long before = counts.values().stream().mapToLong(Long::longValue).sum();
            counts.merge(letter.reason(), 1L, Long::sum);
            if (follow || before < limit) {
              out.println(format == Format.JSON ? letter.json() : letter.line());
              out.flush();
            }
          }
        };
    try (TopicReader reader = where.open(letters)) {
      if (follow) {
        reader.followUntilInterrupted();
        return 0;
      }
      reader.readToEnd();
    }
    spec.commandLine()
        .getErr()
        .println(counts.isEmpty() ? "no dead letters" : "dead letters by reason: " + counts);
    return 0;
  }

  /** Which letters get another try. */
  static final class Which {
    @Option(names = "--reason", paramLabel = "W", description = "Those with this reason.")
    private Optional<String> reason = Optional.empty();

    @Option(
        names = "--offset",
        paramLabel = "TOPIC-PARTITION@OFFSET",
        description = "The one whose original was there, as show says.")
    private Optional<String> origin = Optional.empty();

    @Option(names = "--all", description = "All of them.")
    private boolean all;

    private boolean include(DeadLetter letter) {
      return all
          || reason.map(letter.reason()::equals).orElse(false)
          || origin.map(place -> letter.origin().equals(origin)).orElse(false);
    }
  }

  @Command(
      name = "replay",
      description = {
        "Publishes the original bytes under the original key to the topic they came from: after an"
            + " upgrade, or when the schema registry is back.",
        "Ends with the letters there are when it starts, and marks none: what still cannot be read"
            + " becomes another letter. Letters without bytes are passed over."
      },
      mixinStandardHelpOptions = true,
      versionProvider = Gradflow.Version.class)
  int replay(
      @Mixin Where where,
      @ArgGroup(multiplicity = "1") Which which,
      @Option(names = "--dry-run", description = "Say what would be published, and do not.")
          boolean dryRun) {
    PrintWriter out = spec.commandLine().getOut();
    Set<String> published = new HashSet<>();
    Map<String, Long> skipped = new TreeMap<>();
    try (Republisher republisher = new Republisher(where.cluster.bootstrapServers())) {
      try (TopicReader reader =
          where.open(
              letter -> {
                if (!which.include(letter)) {
                  return;
                }
                Optional<String> why = whyNot(letter);
                if (why.isPresent()) {
                  skipped.merge(why.get(), 1L, Long::sum);
                } else if (!published.add(letter.origin().orElseThrow())) {
                  // Both jobs read manifests, and either may write a letter twice.
                  skipped.merge("another letter of the same record", 1L, Long::sum);
                } else {
                  out.printf(
                      "%s %s, %s, %d bytes%n",
                      dryRun ? "would publish" : "published",
                      letter.origin().orElseThrow(),
                      letter.reason(),
                      letter.value().length);
                  if (!dryRun) {
                    republisher.publish(
                        letter.headers().get("topic"), letter.key(), letter.value());
                  }
                }
              })) {
        reader.readToEndByTime();
      }
      republisher.flush();
    }
    out.printf("%d %s%n", published.size(), dryRun ? "to be published" : "published");
    out.flush();
    skipped.forEach(
        (why, count) -> spec.commandLine().getErr().printf("%d passed over: %s%n", count, why));
    return 0;
  }

  private static Optional<String> whyNot(DeadLetter letter) {
    if (letter.headers().containsKey("omitted")) {
      return Optional.of("too large for gradient-dead-letters, the bytes were left out");
    }
    if (letter.value() == null) {
      return Optional.of("understood and refused (" + letter.reason() + "), there are no bytes");
    }
    Topic topic = Topic.named(letter.headers().get("topic"));
    if (letter.origin().isEmpty() || topic == null || !INPUTS.contains(topic)) {
      return Optional.of("not read from a topic of gradflow's inputs");
    }
    return Optional.empty();
  }
}
