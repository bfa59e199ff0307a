package io.gradflow.benchmarks.quality;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Decoded;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.training.zoo.Truth;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.Deflater;
import java.util.zip.DeflaterOutputStream;
import java.util.zip.InflaterInputStream;

/**
 * A run as AlertJob would read it, with the truth about it, in a file: what stands in {@link
 * About}, then manifests and steps in the order of their records, each as its topic has it.
 */
record Trace(About about, Path file) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MANIFEST = 0;
  private static final int STEP = 1;
  private static final String TAIL = ".about.json";

  /**
   * What is known of the run.
   *
   * @param twin the same training without its fault
   * @param overlay what its delivery suffered, for people; null: nothing
   * @param steps of the trainer that were published
   * @param layerSteps layers of these
   * @param lastStep the highest on the run's clock
   */
  record About(
      String family,
      long seed,
      boolean twin,
      Truth truth,
      String overlay,
      long steps,
      long layerSteps,
      long lastStep,
      long bytes) {
    /** Whether nothing is wrong in it. */
    boolean healthy() {
      return truth.episodes().isEmpty() && truth.excluded() == null;
    }

    /** For people: family and seed. */
    String label() {
      return family + (twin ? "'s twin" : "") + ":" + seed;
    }
  }

  /** Who reads a trace. */
  interface Reader {
    /** What a part of the run is made of. */
    void manifest(Manifest manifest);

    /**
     * A step.
     *
     * @param at when it came, on the run's clock
     */
    void step(long at, Step step);
  }

  /** Reads the whole run. */
  void read(Reader reader) throws IOException {
    WriterSchemas writers = WriterSchemas.known(List.of());
    Decoder<Manifest> manifests = Codecs.MANIFESTS.decoder(writers);
    Decoder<Step> steps = Codecs.STEPS.decoder(writers);
    Map<String, Clock> clocks = new HashMap<>();
    try (DataInputStream in =
        new DataInputStream(
            new BufferedInputStream(
                new InflaterInputStream(new BufferedInputStream(Files.newInputStream(file))),
                1 << 16))) {
      while (true) {
        int type = in.read();
        if (type < 0) {
          return;
        }
        byte[] value = in.readNBytes(in.readInt());
        if (type == MANIFEST) {
          reader.manifest(whole(manifests.decode(value, null)));
        } else {
          Step step = whole(steps.decode(value, null));
          Clock clock = clocks.computeIfAbsent(step.id().stream(), stream -> new Clock());
          reader.step(clock.at(step.id()), step);
        }
      }
    } catch (EOFException e) {
      throw new IOException(file + " ends early; make the traces anew with --fresh", e);
    }
  }

  private <T> T whole(Decoded<T> decoded) throws IOException {
    if (decoded.value() == null) {
      throw new IOException(
          "%s: %s; make the traces anew with --fresh".formatted(file, decoded.failure()));
    }
    return decoded.value();
  }

  /** The trace in that file; null if there is none, or none that is whole. */
  static Trace at(Path file) throws IOException {
    Path about = file.resolveSibling(file.getFileName() + TAIL);
    if (!Files.isRegularFile(file) || !Files.isRegularFile(about)) {
      return null;
    }
    return new Trace(JSON.readValue(Files.readAllBytes(about), About.class), file);
  }

  /** Writes a trace; nobody sees it before it is whole. */
  static final class Writer implements Closeable {
    private final Path file;
    private final Path unfinished;
    private final DataOutputStream out;
    private final OutputStream raw;

    Writer(Path file) throws IOException {
      this.file = file;
      Files.createDirectories(file.getParent());
      unfinished = file.resolveSibling(file.getFileName() + ".unfinished");
      raw = new BufferedOutputStream(Files.newOutputStream(unfinished), 1 << 16);
      out =
          new DataOutputStream(
              new BufferedOutputStream(
                  new DeflaterOutputStream(raw, new Deflater(Deflater.BEST_SPEED), 1 << 15),
                  1 << 16));
    }

    void manifest(Manifest manifest) throws IOException {
      write(MANIFEST, Codecs.MANIFESTS.encode(manifest).get(0).value());
    }

    void step(Step step) throws IOException {
      write(STEP, Codecs.STEPS.encode(step).get(0).value());
    }

    private void write(int type, byte[] value) throws IOException {
      out.write(type);
      out.writeInt(value.length);
      out.write(value);
    }

    /** Ends the trace. */
    Trace finish(About about) throws IOException {
      out.close();
      About whole =
          new About(
              about.family(),
              about.seed(),
              about.twin(),
              about.truth(),
              about.overlay(),
              about.steps(),
              about.layerSteps(),
              about.lastStep(),
              Files.size(unfinished));
      Path beside = file.resolveSibling(file.getFileName() + TAIL);
      Path unfinishedAbout = beside.resolveSibling(beside.getFileName() + ".unfinished");
      Files.writeString(unfinishedAbout, JSON.writeValueAsString(whole), StandardCharsets.UTF_8);
      Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
      Files.move(unfinishedAbout, beside, StandardCopyOption.ATOMIC_MOVE);
      return new Trace(whole, file);
    }

    /** Gives up what is not finished. */
    @Override
    public void close() throws IOException {
      out.close();
      Files.deleteIfExists(unfinished);
    }
  }
}
