package io.gradflow.cli;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Shard;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.Recorded;
import io.gradflow.schema.RecordingReader;
import io.gradflow.schema.Topic;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BinaryOperator;

/**
 * What some recordings hold together. They are read twice: once to know that every one is whole,
 * once to be replayed; neither time more than a block of each is in memory.
 */
final class Recordings {
  private static final Comparator<StepId> LAST =
      Comparator.comparingLong(StepId::attempt).thenComparingLong(StepId::step);

  private final List<Path> files;
  private final TreeMap<String, Run> runs = new TreeMap<>();
  private final Set<Topic> topics = EnumSet.noneOf(Topic.class);
  private long records;

  /** What is known of one run. */
  private static final class Run {
    private final Set<Topic> topics = EnumSet.noneOf(Topic.class);
    private final Map<String, StepId> lastSteps = new TreeMap<>();
    private long began = Long.MAX_VALUE;
  }

  /**
   * What to do with a record when its turn comes.
   *
   * @param <E> what that may throw
   */
  interface Player<E extends Exception> {
    /**
     * Takes a record.
     *
     * @param at ms since the first record of its run
     */
    void play(Recorded record, long at) throws E;
  }

  private Recordings(List<Path> files) {
    this.files = List.copyOf(files);
  }

  /**
   * Reads recordings to their ends.
   *
   * @throws CommandFailed if one cannot be read, is damaged or ends early, or if they hold both
   *     shards and steps of one run: the same step would be judged twice
   */
  static Recordings of(List<Path> files) {
    Recordings recordings = new Recordings(files);
    files.forEach(recordings::add);
    recordings.runs.forEach(
        (name, run) -> {
          if (run.topics.contains(Topic.STEPS)
              && (run.topics.contains(Topic.SHARDS) || run.topics.contains(Topic.BLOCKS))) {
            throw new CommandFailed(
                "expected shards or steps of run %s, got both: replay its files one by one"
                    .formatted(name));
          }
        });
    return recordings;
  }

  private void add(Path path) {
    long before = records;
    try (RecordingReader file = open(path)) {
      Decoder<Shard> shards = Codecs.SHARDS.decoder(file.writers());
      Decoder<Block> blocks = Codecs.BLOCKS.decoder(file.writers());
      for (Recorded record = file.next(); record != null; record = file.next()) {
        records++;
        topics.add(record.topic());
        Run run = runs.computeIfAbsent(record.run(), name -> new Run());
        run.topics.add(record.topic());
        run.began = Math.min(run.began, record.timestamp());
        if (record.topic() == Topic.SHARDS) {
          Shard shard = shards.decode(record.value(), origin(record)).value();
          if (shard != null) {
            note(run, shard.id());
          }
        } else if (record.topic() == Topic.BLOCKS) {
          Block block = blocks.decode(record.value(), origin(record)).value();
          if (block != null && block.purpose() == Block.Purpose.MEASURE) {
            note(run, block.header().id());
          }
        }
      }
    } catch (IOException e) {
      throw unreadable(path, e);
    }
    if (records == before) {
      throw new CommandFailed("%s: expected records, got none; record it again".formatted(path));
    }
  }

  /** The last attempt's last step is what a replay waits for; earlier attempts end with it. */
  private static void note(Run run, StepId step) {
    run.lastSteps.merge(step.stream(), step, BinaryOperator.maxBy(LAST));
  }

  private static Origin origin(Recorded record) {
    return new Origin(
        record.topic().topicName(), record.partition(), record.offset(), record.timestamp());
  }

  private static RecordingReader open(Path path) throws IOException {
    return new RecordingReader(Files.newInputStream(path));
  }

  private static CommandFailed unreadable(Path path, IOException e) {
    return e instanceof NoSuchFileException
        ? new CommandFailed("%s: expected a recording, found no such file".formatted(path), e)
        : new CommandFailed("%s: %s".formatted(path, e.getMessage()), e);
  }

  /** The names of the runs. */
  Set<String> runs() {
    return runs.keySet();
  }

  /** The topics of the records. */
  Set<Topic> topics() {
    return topics;
  }

  /** How many records there are. */
  long records() {
    return records;
  }

  /** Whether there is something for NormJob to do. */
  boolean haveShards() {
    return topics.contains(Topic.SHARDS) || topics.contains(Topic.BLOCKS);
  }

  /** The last step of each run and stream of which there are shards or blocks. */
  List<StepId> lastSteps() {
    return runs.values().stream().flatMap(run -> run.lastSteps.values().stream()).toList();
  }

  /**
   * Plays every record: each file's in its order; those of several by the time since their run's
   * first record, so that parts of one run come together and runs of different days side by side.
   */
  <E extends Exception> void play(Player<E> player) throws E {
    List<Track> tracks = new ArrayList<>();
    try {
      PriorityQueue<Track> next = new PriorityQueue<>(Comparator.comparingLong(Track::at));
      for (Path path : files) {
        Track track = new Track(path);
        tracks.add(track);
        track.advance();
        next.add(track);
      }
      while (!next.isEmpty()) {
        Track track = next.remove();
        if (track.record != null) {
          player.play(track.record, track.at());
          track.advance();
          next.add(track);
        }
      }
    } finally {
      tracks.forEach(Track::close);
    }
  }

  /** One file while it is played. */
  private final class Track {
    private final Path path;
    private final RecordingReader file;
    private Recorded record;

    Track(Path path) {
      this.path = path;
      try {
        this.file = open(path);
      } catch (IOException e) {
        throw unreadable(path, e);
      }
    }

    long at() {
      return Optional.ofNullable(record)
          .map(next -> next.timestamp() - runs.get(next.run()).began)
          .orElse(Long.MAX_VALUE);
    }

    void advance() {
      try {
        record = file.next();
      } catch (IOException e) {
        throw unreadable(path, e);
      }
    }

    void close() {
      try {
        file.close();
      } catch (IOException e) {
        throw unreadable(path, e);
      }
    }
  }
}
