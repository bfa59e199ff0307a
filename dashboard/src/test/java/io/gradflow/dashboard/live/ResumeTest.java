package io.gradflow.dashboard.live;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.norm.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whoever comes and goes, with whatever id, on whichever server, ends with the steps that a model
 * of ten lines finds in the topic.
 */
class ResumeTest {
  private static final int ERA = 0x1f3a;
  private static final long ROOMY = 1L << 30;

  /** A client: what it has been told, by step, as the revision and attempt. */
  private static final class Viewer {
    private final TreeMap<Long, String> picture = new TreeMap<>();
    private String id;
    private int resets;

    /** Reads on until nothing follows, or breaks off after so many changes. */
    void follow(LiveRuns live, int most) {
      Position at;
      if (id == null) {
        at = live.current(TestSteps.RUN);
        fetch(live);
      } else {
        at = EventId.parse(id).orElseThrow().lanes().get(0).position();
      }
      int told = 0;
      while (true) {
        remember(at);
        LiveRuns.Told next = live.since(TestSteps.RUN, at, 3);
        for (Change.Told one : next.changes()) {
          take(live, one.change());
          at = one.after();
          remember(at);
          if (++told >= most) {
            return;
          }
        }
        at = next.after();
        if (next.changes().isEmpty()) {
          remember(at);
          return;
        }
      }
    }

    private void remember(Position at) {
      id = new EventId(ERA, List.of(EventId.Lane.of(TestSteps.RUN, at))).toString();
    }

    private void take(LiveRuns live, Change change) {
      if (change instanceof Change.Stepped stepped) {
        picture.put(stepped.row().step(), shown(stepped.row()));
      } else if (change instanceof Change.Rewound rewound) {
        picture.tailMap(rewound.from(), true).clear();
      } else if (change instanceof Change.Described) {
        fetch(live);
      } else if (change instanceof Change.Reset) {
        resets++;
        fetch(live);
      }
    }

    private void fetch(LiveRuns live) {
      picture.clear();
      window(live).forEach(row -> picture.put(row.step(), shown(row)));
    }
  }

  private static String shown(StepRow row) {
    return row.attempt() + "/" + Arrays.toString(row.cells());
  }

  private static String shown(Step step) {
    return step.id().attempt() + "/" + Arrays.toString(Cells.of(step));
  }

  private static List<StepRow> window(LiveRuns live) {
    return live.look(TestSteps.RUN, stream -> stream.window().span(0, Long.MAX_VALUE, 1 << 20))
        .orElse(List.of());
  }

  private static Map<Long, String> shown(Collection<StepRow> rows) {
    TreeMap<Long, String> shown = new TreeMap<>();
    rows.forEach(row -> shown.put(row.step(), shown(row)));
    return shown;
  }

  /** The steps that count among records, by the rules as they are written. */
  private static Map<Long, String> model(List<Step> topic) {
    TreeMap<Long, String> shown = new TreeMap<>();
    best(topic, topic).forEach((number, step) -> shown.put(number, shown(step)));
    return shown;
  }

  private static Map<Long, Step> best(List<Step> among, List<Step> topic) {
    TreeMap<Long, Long> begun = new TreeMap<>();
    Map<Long, Step> best = new HashMap<>();
    for (Step step : topic) {
      if (begun.isEmpty() || step.id().attempt() > begun.lastKey()) {
        begun.put(step.id().attempt(), step.id().step());
      }
    }
    for (Step step : among) {
      boolean isVoid =
          begun.tailMap(step.id().attempt(), false).values().stream()
              .anyMatch(from -> from <= step.id().step());
      Step other = best.get(step.id().step());
      boolean better =
          other == null
              || step.id().attempt() > other.id().attempt()
              || (step.id().attempt() == other.id().attempt()
                  && step.revision() > other.revision());
      if (!isVoid && better) {
        best.put(step.id().step(), step);
      }
    }
    return best;
  }

  /** A training that restarts, repeats and corrects. */
  private static List<Step> topic(Random random, int records) {
    List<Step> topic = new ArrayList<>();
    long attempt = 1;
    long next = 0;
    for (int i = 0; i < records; i++) {
      int dice = random.nextInt(20);
      if (dice == 0) {
        attempt++;
        next = Math.max(0, next - random.nextInt(12));
      }
      if (dice == 1) {
        // A job that begins again publishes its last steps again, in their order.
        topic.addAll(List.copyOf(topic.subList(Math.max(0, topic.size() - 8), topic.size())));
      } else if (dice == 2 && next > 0) {
        Step last = topic.get(topic.size() - 1);
        topic.add(step(last.id().attempt(), last.id().step(), last.revision() + 1));
      } else {
        topic.add(step(attempt, next++, 5));
      }
    }
    return topic;
  }

  private static Step step(long attempt, long number, long revision) {
    return TestSteps.step(attempt, number, revision, Math.pow(2, (double) revision));
  }

  private static LiveRuns server(long bytes, List<Step> topic, int from, int to) {
    LiveRuns live = new LiveRuns(bytes);
    live.begin(TestSteps.read(ERA, from, from - 1));
    feed(live, topic, from, from, to);
    return live;
  }

  private static void feed(LiveRuns live, List<Step> topic, int start, int from, int to) {
    live.read(
        () -> {
          for (int i = from; i < to; i++) {
            live.step(topic.get(i), TestSteps.at(i));
          }
        },
        TestSteps.read(ERA, start, to - 1));
  }

  @ParameterizedTest
  @ValueSource(longs = {ROOMY, 12_000})
  void whoComesAndGoesSeesWhatTheTopicHas(long bytes) {
    int resets = 0;
    for (int seed = 0; seed < 300; seed++) {
      Random random = new Random(seed);
      List<Step> topic = topic(random, 120);
      Viewer steady = new Viewer();
      List<Viewer> comers = List.of(new Viewer(), new Viewer(), new Viewer());
      int start = 0;
      LiveRuns live = server(bytes, topic, 0, 0);
      for (int at = 0; at < topic.size(); ) {
        int to = Math.min(topic.size(), at + 1 + random.nextInt(6));
        // A window that gives up steps and begins again may know steps that it had given up.
        if (bytes == ROOMY && random.nextInt(10) == 0) {
          start = Math.max(start, at - random.nextInt(60));
          live = server(bytes, topic, start, to);
        } else {
          feed(live, topic, start, at, to);
        }
        at = to;
        steady.follow(live, Integer.MAX_VALUE);
        for (Viewer viewer : comers) {
          if (random.nextInt(4) == 0) {
            viewer.follow(live, random.nextInt(8) + 1);
          }
        }
      }
      Map<Long, String> expected = model(topic);
      List<StepRow> kept = window(live);
      assertThat(expected).as("seed %d", seed).containsAllEntriesOf(shown(kept));
      for (Viewer viewer : comers) {
        viewer.follow(live, Integer.MAX_VALUE);
        assertThat(viewer.picture).as("seed %d", seed).containsAllEntriesOf(shown(kept));
        assertThat(expected)
            .as("seed %d: what was told of older steps", seed)
            .containsAllEntriesOf(viewer.picture);
        resets += viewer.resets;
      }
      assertThat(steady.resets == 0 ? expected : shown(kept))
          .as("seed %d", seed)
          .isEqualTo(steady.resets == 0 ? steady.picture : shown(kept));
    }
    assertThat(resets).as("the sequences reach beyond what is kept").isPositive();
  }

  /** What the topic has of a pipeline's steps: of each stage its highest revision. */
  private static Map<Long, String> model(List<Step> topic, int stages) {
    TreeMap<Long, String> shown = new TreeMap<>();
    Map<Long, Long> attempts = new HashMap<>();
    Map<Long, short[]> cells = new HashMap<>();
    for (int stage = 0; stage < stages; stage++) {
      long id = TestSteps.manifest(stage, 1).manifestId();
      List<Step> own = topic.stream().filter(step -> step.manifestId() == id).toList();
      Map<Long, Step> best = best(own, topic);
      for (Step step : best.values()) {
        long number = step.id().step();
        if (step.id().attempt() > attempts.getOrDefault(number, -1L)) {
          attempts.put(number, step.id().attempt());
          cells.put(number, new short[stages * TestSteps.LAYERS]);
          Arrays.fill(cells.get(number), Cells.NOT_RECEIVED);
        }
        if (step.id().attempt() == attempts.get(number)) {
          System.arraycopy(
              Cells.of(step), 0, cells.get(number), stage * TestSteps.LAYERS, TestSteps.LAYERS);
        }
      }
    }
    attempts.forEach(
        (number, attempt) -> shown.put(number, attempt + "/" + Arrays.toString(cells.get(number))));
    return shown;
  }

  /** A training in stages that are now and then ahead of one another. */
  private static List<Step> stagedTopic(Random random, int stages, int records) {
    List<Step> topic = new ArrayList<>();
    long attempt = 1;
    long[] next = new long[stages];
    while (topic.size() < records) {
      int dice = random.nextInt(60);
      int stage = random.nextInt(stages);
      long slowest = Arrays.stream(next).min().orElseThrow();
      if (dice == 0) {
        attempt++;
        Arrays.fill(next, Math.max(0, slowest - random.nextInt(12)));
      }
      if (dice < 4) {
        topic.addAll(List.copyOf(topic.subList(Math.max(0, topic.size() - 8), topic.size())));
      } else if (dice < 8 && !topic.isEmpty()) {
        Step last = topic.get(topic.size() - 1);
        topic.add(
            TestSteps.ofStage(
                (int) last.manifestId() - 100,
                last.id().attempt(),
                last.id().step(),
                last.revision() + 1));
      } else if (next[stage] < slowest + 3) {
        topic.add(TestSteps.ofStage(stage, attempt, next[stage]++, 5));
      }
    }
    return topic;
  }

  private static LiveRuns staged(long bytes, List<Step> topic, int stages, int from, int to) {
    LiveRuns live = new LiveRuns(bytes);
    live.begin(TestSteps.read(ERA, from, from - 1));
    live.read(
        () -> {
          for (int stage = 0; stage < stages; stage++) {
            live.manifest(TestSteps.manifest(stage, 1), TestSteps.at(stage));
          }
        },
        TestSteps.read(ERA, from, from - 1));
    feed(live, topic, from, from, to);
    return live;
  }

  @ParameterizedTest
  @CsvSource({"2, 160, 1073741824", "4, 160, 1073741824", "4, 600, 90000"})
  void whoComesAndGoesSeesEveryStage(int stages, int records, long bytes) {
    int resets = 0;
    for (int seed = 0; seed < 200; seed++) {
      Random random = new Random(seed);
      List<Step> topic = stagedTopic(random, stages, records);
      Viewer steady = new Viewer();
      List<Viewer> comers = List.of(new Viewer(), new Viewer(), new Viewer());
      int start = 0;
      LiveRuns live = staged(bytes, topic, stages, 0, 0);
      for (int at = 0; at < topic.size(); ) {
        int to = Math.min(topic.size(), at + 1 + random.nextInt(6));
        if (bytes == ROOMY && random.nextInt(10) == 0) {
          start = Math.max(start, at - 40 - random.nextInt(60));
          live = staged(bytes, topic, stages, start, to);
        } else {
          feed(live, topic, start, at, to);
        }
        at = to;
        steady.follow(live, Integer.MAX_VALUE);
        for (Viewer viewer : comers) {
          if (random.nextInt(4) == 0) {
            viewer.follow(live, random.nextInt(8) + 1);
          }
        }
      }
      Map<Long, String> expected = model(topic, stages);
      Map<Long, String> kept = shown(window(live));
      assertThat(kept).as("seed %d", seed).isNotEmpty();
      assertThat(expected).as("seed %d", seed).containsAllEntriesOf(kept);
      for (Viewer viewer : comers) {
        viewer.follow(live, Integer.MAX_VALUE);
        assertThat(viewer.picture).as("seed %d", seed).containsAllEntriesOf(kept);
        assertThat(expected)
            .as("seed %d: what was told of older steps", seed)
            .containsAllEntriesOf(viewer.picture);
        resets += viewer.resets;
      }
      assertThat(steady.resets == 0 ? steady.picture : expected)
          .as("seed %d", seed)
          .isEqualTo(expected);
    }
    assertThat(resets).as("the sequences reach beyond what is kept").isPositive();
  }

  @Test
  void offsetsBeyondTheEndOfTheTopicAreAReset() {
    LiveRuns live = server(ROOMY, topic(new Random(1), 10), 0, 10);
    LiveRuns.Told told = live.since(TestSteps.RUN, new Position(10, 1, -1, -1, 0), 3);
    assertThat(told.changes()).extracting(Change.Told::change).containsExactly(new Change.Reset());
    assertThat(live.since(TestSteps.RUN, told.after(), 3).changes()).isEmpty();
  }

  @Test
  void idsThatAreNoneAreNone() {
    for (String text : List.of("", "_", "7_1.2", "x", "1_1.1.1.1.1.g", "9".repeat(900))) {
      assertThat(EventId.parse(text).map(EventId::lanes).orElse(List.of())).as(text).isEmpty();
    }
    EventId id = new EventId(-1, List.of(EventId.Lane.of(TestSteps.RUN, Position.NOTHING)));
    assertThat(EventId.parse(id.toString())).contains(id);
  }
}
