package io.gradflow.cli;

import io.gradflow.core.compare.RunTimeline;
import io.gradflow.core.compare.SpanStatistics;
import io.gradflow.core.compare.SpanSteps;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepParts;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Consumer;

/**
 * Reads spans of steps from the topics.
 *
 * <p>Twice: first only which steps there are, for what counts of a step may come after it (a
 * revision, a restart that goes back), then the steps that count. So memory depends on the number
 * of layers, hardly on that of steps.
 */
final class SpanReader {
  private static final int NAMES_SHOWN = 5;

  private final String bootstrapServers;
  private final Pulse pulse;
  private final Map<String, Map<String, RunTimeline>> timelines = new HashMap<>();
  private final Map<ManifestName, Layer[]> layers = new HashMap<>();
  private final Set<String> others = new TreeSet<>();
  private long withoutManifest;
  private long unreadable;

  private record ManifestName(String run, long id) {}

  /** Steps that are wanted: of a run's stream as it stands, or of one attempt alone. */
  record Wanted(SpanArgument span, String stream, Optional<Long> attempt) {}

  /**
   * @param pulse told how far it is
   */
  SpanReader(String bootstrapServers, Pulse pulse) {
    this.bootstrapServers = bootstrapServers;
    this.pulse = pulse;
  }

  /**
   * Reads.
   *
   * @return in the order of what is wanted
   * @throws CommandFailed if there is no such step
   */
  List<ComparedSpan> read(List<Wanted> wanted) {
    wanted.forEach(one -> timelines.put(one.span().run(), new TreeMap<>()));
    try (TopicReader reader = new TopicReader(bootstrapServers, WriterSchemas.known())) {
      reader.with(Codecs.MANIFESTS, timelines::containsKey, this::describe);
      wholeSteps(reader, this::index);
      reader.readToEnd();
      unreadable = reader.unreadable();
    }
    List<ComparedSpan> spans = wanted.stream().map(this::chosen).toList();
    try (TopicReader reader = new TopicReader(bootstrapServers, WriterSchemas.known())) {
      wholeSteps(reader, parts -> add(parts, spans));
      reader.readToEnd();
    }
    for (int i = 0; i < spans.size(); i++) {
      if (spans.get(i).statistics().stepsRead() == 0) {
        throw new CommandFailed(
            "run %s: expected the manifest of its %s in %s, got none; announce it again, gradflow replay of a recording does"
                .formatted(
                    wanted.get(i).span().run(),
                    wanted.get(i).span().steps(),
                    Topic.MANIFESTS.topicName()));
      }
    }
    return spans;
  }

  /** Steps of the spans that were left out because nobody has described their layers. */
  long withoutManifest() {
    return withoutManifest;
  }

  /** Records that could not be read. */
  long unreadable() {
    return unreadable;
  }

  private void describe(Manifest part) {
    Layer[] described =
        layers.computeIfAbsent(
            new ManifestName(part.runId(), part.manifestId()),
            name -> new Layer[part.layerCount()]);
    int last = part.firstLayer() + part.layers().size();
    for (int i = part.firstLayer(); i < Math.min(last, described.length); i++) {
      described[i] = part.layers().get(i - part.firstLayer());
    }
  }

  private void wholeSteps(TopicReader reader, Consumer<List<Step>> steps) {
    Map<String, StepParts> waiting = new HashMap<>();
    reader.with(
        Codecs.STEPS,
        this::isWanted,
        part -> {
          pulse.beat(() -> "reading step %d of %s".formatted(part.id().step(), part.id().runId()));
          StepParts.Addition addition =
              waiting.getOrDefault(part.id().runId(), StepParts.NONE).add(part);
          waiting.put(part.id().runId(), addition.state());
          if (!addition.whole().isEmpty()) {
            steps.accept(addition.whole());
          }
        });
  }

  private boolean isWanted(String run) {
    if (timelines.containsKey(run)) {
      return true;
    }
    if (others.size() < NAMES_SHOWN) {
      others.add(run);
    }
    return false;
  }

  private void index(List<Step> parts) {
    Step head = parts.get(0);
    timelines
        .get(head.id().runId())
        .computeIfAbsent(head.id().stream(), stream -> new RunTimeline())
        .add(head.id(), head.revision());
  }

  private ComparedSpan chosen(Wanted wanted) {
    SpanArgument span = wanted.span();
    Map<String, RunTimeline> streams = timelines.get(span.run());
    if (streams.isEmpty()) {
      Set<String> known = new TreeSet<>(others);
      timelines.forEach((run, found) -> known.addAll(found.isEmpty() ? Set.of() : Set.of(run)));
      throw new CommandFailed(
          "no run %s at %s: expected one of those with steps in %s, which are %s%s"
              .formatted(
                  span.run(),
                  bootstrapServers,
                  Topic.STEPS.topicName(),
                  names(known),
                  others.size() == NAMES_SHOWN ? " and perhaps others" : ""));
    }
    RunTimeline stream = streams.get(wanted.stream());
    if (stream == null) {
      throw new CommandFailed(
          "run %s has no stream %s: expected one of %s; see --stream"
              .formatted(span.run(), wanted.stream(), names(streams.keySet())));
    }
    if (wanted.attempt().isPresent() && !stream.attempts().contains(wanted.attempt().get())) {
      throw new CommandFailed(
          "run %s has no attempt %d: expected one of %s"
              .formatted(span.run(), wanted.attempt().get(), names(stream.attempts())));
    }
    RunTimeline timeline = wanted.attempt().map(stream::ofAttempt).orElse(stream);
    SpanSteps chosen = timeline.span(span.from(), span.to());
    if (chosen.isEmpty()) {
      SpanSteps all = timeline.all();
      throw new CommandFailed(
          "run %s has no %s: expected some of the %d from %d to %d"
              .formatted(span.run(), span.steps(), all.size(), all.first(), all.last()));
    }
    return new ComparedSpan(span.run(), wanted.stream(), new SpanStatistics(chosen));
  }

  private static String names(Collection<?> names) {
    return names.isEmpty()
        ? "none"
        : String.join(", ", names.stream().map(Object::toString).toList());
  }

  private void add(List<Step> parts, List<ComparedSpan> spans) {
    Step head = parts.get(0);
    Optional<List<Layer>> described = layersOf(parts);
    for (ComparedSpan span : spans) {
      boolean inIt =
          span.run().equals(head.id().runId())
              && span.stream().equals(head.id().stream())
              && span.statistics().span().ordinal(head) >= 0;
      if (inIt && described.isPresent()) {
        span.statistics().add(described.get(), parts);
      } else if (inIt) {
        withoutManifest++;
      }
    }
  }

  /** Empty unless every layer of the step is described. */
  private Optional<List<Layer>> layersOf(List<Step> parts) {
    Step last = parts.get(parts.size() - 1);
    Layer[] described = layers.get(new ManifestName(last.id().runId(), last.manifestId()));
    boolean all =
        described != null
            && described.length == last.firstLayer() + last.norms().size()
            && Arrays.stream(described).allMatch(Objects::nonNull);
    return all ? Optional.of(Arrays.asList(described)) : Optional.empty();
  }
}
