package io.gradflow.benchmarks.quality;

import io.gradflow.benchmarks.NormMachines;
import io.gradflow.core.Hash64;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.schema.Codecs;
import io.gradflow.training.zoo.Family;
import io.gradflow.training.zoo.Oracle;
import io.gradflow.training.zoo.Parameter;
import io.gradflow.training.zoo.Trial;
import io.gradflow.training.zoo.Truth;
import io.gradflow.training.zoo.ZooTraining;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The traces of the zoo's trainings, made when they are asked for and kept on disk: under the hash
 * of all classes that they depend on, from networks to the schema of steps, but not of those that
 * detect. Safe for use by threads that ask for different trials.
 */
final class Traces {
  private final Path folder;

  /** Traces of these classes, under the folder. */
  Traces(Path root) throws IOException {
    folder = root.resolve("%016x".formatted(fingerprint()));
  }

  /**
   * A training to be traced. Every third faulty one has its healthy twin traced, too: enough of
   * them to count false alarms by, and a disk has no end only for a while.
   */
  record Wanted(Family family, long seed) {
    String label() {
      return family.label() + ":" + seed;
    }

    boolean withTwin() {
      return !family.healthy() && seed % 3 == 0;
    }
  }

  /** Where they are kept. */
  Path folder() {
    return folder;
  }

  /** Removes all that is kept, of these classes or of others. */
  void clear() throws IOException {
    clear(folder.getParent());
  }

  /** Removes what is kept of other classes. */
  void clearOthers() throws IOException {
    if (Files.isDirectory(folder.getParent())) {
      for (Path other : listed(folder.getParent())) {
        if (!other.equals(folder) && Files.isDirectory(other)) {
          clear(other);
        }
      }
    }
  }

  private static void clear(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return;
    }
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    }
  }

  /** Whether {@link #of} has nothing to do but look. */
  boolean has(Wanted wanted) throws IOException {
    return Trace.at(file(wanted, false)) != null
        && (!wanted.withTwin() || Trace.at(file(wanted, true)) != null);
  }

  /** The trace of a training and, where it has one, of its healthy twin. */
  List<Trace> of(Wanted wanted) throws IOException {
    if (!has(wanted)) {
      make(
          wanted.family().draw(wanted.seed()),
          file(wanted, false),
          wanted.withTwin() ? file(wanted, true) : null);
    }
    List<Trace> traces = new ArrayList<>();
    traces.add(Trace.at(file(wanted, false)));
    if (wanted.withTwin()) {
      traces.add(Trace.at(file(wanted, true)));
    }
    return traces;
  }

  private Path file(Wanted wanted, boolean twin) {
    return folder.resolve(
        "%s-%d%s.trace".formatted(wanted.family().label(), wanted.seed(), twin ? "-twin" : ""));
  }

  /**
   * Trains, and writes what the training and its twin publish.
   *
   * @param twinFile null: the twin only serves to judge the truth
   */
  static void make(Trial trial, Path file, Path twinFile) throws IOException {
    try (Recorder faulty = new Recorder(trial, trial.training(), file);
        Recorder healthy = twinFile == null ? null : new Recorder(trial, trial.twin(), twinFile)) {
      Truth truth =
          Oracle.run(
              trial, faulty.publishing, healthy == null ? Oracle.NOBODY : healthy.publishing);
      if (healthy != null) {
        healthy.finish(true, new Truth(List.of(), null, false));
      }
      faulty.finish(false, truth);
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private static final class Recorder implements AutoCloseable {
    private final Trial trial;
    private final Trace.Writer writer;
    private final Publishing publishing;

    Recorder(Trial trial, ZooTraining training, Path file) throws IOException {
      this.trial = trial;
      writer = new Trace.Writer(file);
      List<List<Parameter>> parameters =
          IntStream.range(0, training.streams().size()).mapToObj(training::parameters).toList();
      boolean delivered =
          trial.truth().episodes().stream()
              .noneMatch(episode -> episode.cause() == Truth.Cause.DELIVERY);
      publishing =
          new Publishing(
              trial.family().label() + "-" + trial.seed(),
              training.options(),
              training.streams(),
              parameters,
              delivered,
              this::manifest,
              this::step);
    }

    private void manifest(Manifest manifest) {
      try {
        writer.manifest(manifest);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    private void step(Step step) {
      try {
        writer.step(step);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    void finish(boolean twin, Truth truth) throws IOException {
      publishing.finish();
      writer.finish(
          new Trace.About(
              trial.family().label(),
              trial.seed(),
              twin,
              truth,
              publishing.overlay(),
              publishing.steps(),
              publishing.layerSteps(),
              publishing.lastStep(),
              0));
    }

    @Override
    public void close() throws IOException {
      writer.close();
    }
  }

  /** Hash of the classes that decide what traces say. */
  private static long fingerprint() throws IOException {
    Hash64 hash = new Hash64();
    add(hash, ZooTraining.class, path -> true);
    add(
        hash,
        Codecs.class,
        path ->
            Stream.of(
                        "released/",
                        "Alert",
                        "Rule",
                        "Window",
                        "Record",
                        "Shard",
                        "Block",
                        "Gradient")
                    .noneMatch(path::contains)
                || path.endsWith("schema/GradientStep.avsc")
                || path.endsWith("schema/GradientManifest.avsc"));
    add(
        hash,
        Hash64.class,
        path -> Stream.of("detect/", "incident/", "compare/", "window/").noneMatch(path::contains));
    add(
        hash,
        NormMachines.class,
        path ->
            Stream.of("NormMachines", "Publishing", "Delivery", "Trace").anyMatch(path::contains));
    return hash.value();
  }

  private static void add(Hash64 hash, Class<?> of, Predicate<String> which) throws IOException {
    Path location;
    try {
      location = Path.of(of.getProtectionDomain().getCodeSource().getLocation().toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
    if (Files.isDirectory(location)) {
      addClasses(hash, location, which);
      return;
    }
    try (FileSystem jar =
        FileSystems.newFileSystem(URI.create("jar:" + location.toUri()), java.util.Map.of())) {
      addClasses(hash, jar.getPath("/"), which);
    }
  }

  private static void addClasses(Hash64 hash, Path root, Predicate<String> which)
      throws IOException {
    List<Path> classes;
    try (Stream<Path> files = Files.walk(root)) {
      classes =
          files.filter(file -> file.toString().matches(".*\\.(class|avsc)")).sorted().toList();
    }
    for (Path file : classes) {
      String path = root.relativize(file).toString();
      if (which.test(path)) {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file));
        hash.add(path).add((long) bytes.remaining());
        while (bytes.remaining() >= Long.BYTES) {
          hash.add(bytes.getLong());
        }
        while (bytes.hasRemaining()) {
          hash.add((long) bytes.get());
        }
      }
    }
  }

  private static List<Path> listed(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }
}
