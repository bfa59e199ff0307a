package io.gradflow.dashboard.web;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import io.gradflow.dashboard.live.IncidentRow;
import io.gradflow.dashboard.live.LiveRuns;
import io.gradflow.dashboard.live.LiveStream;
import io.gradflow.dashboard.live.ManifestPlace;
import io.gradflow.dashboard.live.Recorded;
import io.gradflow.dashboard.live.RunStream;
import io.gradflow.dashboard.live.Stages;
import io.gradflow.dashboard.live.StepRow;
import io.gradflow.dashboard.live.StepWindow;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;

/** Answers what the page asks about runs: from memory, and from the topics where memory ends. */
final class Reads {
  private static final int MOST_RUNS = 500;
  private static final int MOST_STEPS = 10_000;
  private static final int MOST_CELL_STEPS = 2_000;
  private static final long MOST_CELLS = 50_000_000;
  private static final int MOST_HISTOGRAMS = 500;
  private static final long MOST_LAYERS_KEPT = 200_000;

  private final LiveRuns live;
  private final Recorded recorded;
  private final Map<Long, Manifest> manifests = new LinkedHashMap<>(16, 0.75f, true);
  private long layersKept;

  Reads(LiveRuns live, Recorded recorded) {
    this.live = live;
    this.recorded = recorded;
  }

  byte[] runs() {
    long now = System.currentTimeMillis();
    List<byte[]> rows =
        live.lookAtAll(MOST_RUNS, stream -> Json.bytes(out -> LiveJson.run(out, stream, now)));
    return Json.bytes(
        out ->
            Json.array(
                out, rows, row -> out.writeRawValue(new String(row, StandardCharsets.UTF_8))));
  }

  byte[] manifest(RunStream of) {
    return LiveJson.manifest(
        whole(of)
            .orElseThrow(
                () ->
                    new Refused(
                        404,
                        "expected a run whose manifest has been read, got another: see"
                            + " /api/runs")));
  }

  private Optional<Manifest> whole(RunStream of) {
    Stages stages = live.look(of, LiveStream::stages).orElse(null);
    if (stages == null || stages.places().isEmpty()) {
      return Optional.empty();
    }
    List<Manifest> found = new ArrayList<>();
    for (ManifestPlace place : stages.places()) {
      Optional<Manifest> one = whole(place);
      if (one.isEmpty()) {
        return one;
      }
      found.add(one.get());
    }
    return Optional.of(stages.joined(found));
  }

  private Optional<Manifest> whole(ManifestPlace place) {
    synchronized (manifests) {
      Manifest known = manifests.get(place.manifestId());
      if (known != null && known.attempt() == place.attempt()) {
        return Optional.of(known);
      }
    }
    Optional<Manifest> found = recorded.manifest(place);
    found.ifPresent(this::keep);
    return found;
  }

  private void keep(Manifest manifest) {
    synchronized (manifests) {
      Manifest before = manifests.put(manifest.manifestId(), manifest);
      layersKept += manifest.layers().size() - (before == null ? 0 : before.layers().size());
      Iterator<Manifest> oldest = manifests.values().iterator();
      while (layersKept > MOST_LAYERS_KEPT && manifests.size() > 1) {
        layersKept -= oldest.next().layers().size();
        oldest.remove();
      }
    }
  }

  byte[] steps(RunStream of, Query query) {
    return LiveJson.steps(rows(of, query, MOST_STEPS));
  }

  byte[] cells(RunStream of, Query query) {
    int layers = live.look(of, Reads::layers).orElse(1);
    int most = (int) Math.max(1, Math.min(MOST_CELL_STEPS, MOST_CELLS / Math.max(1, layers)));
    return LiveJson.cells(rows(of, query, most));
  }

  private static int layers(LiveStream stream) {
    StepRow newest = stream.window().newest();
    return newest == null ? stream.stages().layerCount() : newest.cells().length;
  }

  /** What memory and topic have of a span of steps, ascending; the last ones if there are more. */
  private List<StepRow> rows(RunStream of, Query query, int most) {
    return rows(of, query.number("from", 0), query.number("to", Long.MAX_VALUE), most);
  }

  /** What memory has of a stream, and where what it has begins. */
  private record Kept(
      List<StepRow> rows, StepRow oldest, Stages stages, long before, long attempt) {}

  private List<StepRow> rows(RunStream of, long from, long to, int most) {
    Kept kept =
        live.look(
                of,
                stream -> {
                  StepWindow window = stream.window();
                  StepRow oldest = window.oldest();
                  return new Kept(
                      window.span(from, to, most),
                      oldest,
                      oldest == null ? stream.stages() : window.stages(),
                      window.isWhole() ? -1 : window.firstOffset(),
                      oldest == null ? -1 : oldest.attempt());
                })
            .orElse(null);
    if (kept == null) {
      return List.of();
    }
    long olderTo = kept.oldest() == null ? to : Math.min(to, kept.oldest().step() - 1);
    long lowest = Math.max(0, from);
    if (kept.before() < 0 || olderTo < lowest || kept.rows().size() >= most) {
      return kept.rows();
    }
    List<StepRow> older =
        recorded.rows(
            of,
            kept.stages(),
            kept.attempt(),
            kept.before(),
            lowest,
            olderTo,
            most - kept.rows().size());
    if (older.isEmpty()) {
      return kept.rows();
    }
    List<StepRow> all = new ArrayList<>(older);
    all.addAll(kept.rows());
    return all;
  }

  byte[] step(RunStream of, long step) {
    List<StepRow> rows = rows(of, step, step, 1);
    Map<Long, Step> found = new HashMap<>();
    List<StepRow.Stage> stages = rows.isEmpty() ? List.of() : rows.get(0).apart();
    recorded.steps(
        of,
        stages.stream().map(StepRow.Stage::row).toList(),
        one -> found.put(one.manifestId(), one));
    if (found.isEmpty()) {
      throw new Refused(404, "expected a step that gradient-steps still holds, got step " + step);
    }
    return StepJson.of(
        rows.get(0),
        stages.stream()
            .filter(stage -> found.containsKey(stage.row().manifestId()))
            .map(
                stage -> new StepJson.Part(stage.firstLayer(), found.get(stage.row().manifestId())))
            .toList());
  }

  byte[] histogram(RunStream of, Query query) {
    long layer = query.number("layer");
    List<StepRow> rows = rows(of, query, MOST_STEPS).stream().filter(StepRow::histograms).toList();
    List<StepRow> thinned = thinned(rows, MOST_HISTOGRAMS);
    Optional<Manifest> manifest = whole(of);
    int layers = thinned.isEmpty() ? 0 : thinned.get(thinned.size() - 1).cells().length;
    int known = Math.max(layers, manifest.map(one -> one.layers().size()).orElse(0));
    if (layer < 0 || layer >= known) {
      throw new Refused(
          404, "expected layer of 0 to " + (known - 1) + ", got " + layer + ": see /api/manifest");
    }
    Map<Long, StepRow.Stage> holders = new HashMap<>();
    for (StepRow row : thinned) {
      row.apart().stream()
          .filter(stage -> stage.holds((int) layer))
          .forEach(stage -> holders.put(row.step(), stage));
    }
    TreeMap<Long, Octave> found = new TreeMap<>();
    recorded.steps(
        of,
        holders.values().stream().map(StepRow.Stage::row).toList(),
        step -> {
          long number = step.id().step();
          octave(step, (int) layer - holders.get(number).firstLayer())
              .ifPresent(one -> found.put(number, one));
        });
    Layer described =
        manifest
            .filter(one -> layer < one.layers().size())
            .map(one -> one.layers().get((int) layer))
            .orElse(null);
    return histogram((int) layer, described, found);
  }

  /** The histogram of a layer in one step; zeros is -1 if unknown. */
  private record Octave(Map<Integer, Long> counts, long zeros) {}

  private static Optional<Octave> octave(Step step, int layer) {
    Histograms histograms = step.signals() == null ? null : step.signals().histograms();
    int at = layer - step.firstLayer();
    if (histograms == null || at < 0 || at >= histograms.size() || !histograms.isKnown(at)) {
      return Optional.empty();
    }
    TreeMap<Integer, Long> counts = new TreeMap<>();
    for (int i = histograms.offsets()[at]; i < histograms.offsets()[at + 1]; i++) {
      counts.put(histograms.bins()[i], histograms.counts()[i]);
    }
    long[] zeros = step.norms().zeros();
    return Optional.of(new Octave(counts, zeros == null ? -1 : zeros[at]));
  }

  private static byte[] histogram(int index, Layer layer, Map<Long, Octave> steps) {
    TreeSet<Integer> bins = new TreeSet<>();
    steps.values().forEach(octave -> bins.addAll(octave.counts().keySet()));
    return Json.bytes(
        out ->
            Json.object(
                out,
                () -> {
                  out.writeNumberField("layer", index);
                  out.writeStringField("name", layer == null ? null : layer.name());
                  out.writeStringField("dtype", layer == null ? null : layer.dtype());
                  Json.whole(out, "elements", layer == null ? null : layer.elements());
                  Json.array(out, "steps", steps.keySet(), out::writeNumber);
                  Json.array(out, "bins", bins, out::writeNumber);
                  Json.array(
                      out,
                      "counts",
                      steps.values(),
                      octave ->
                          Json.array(
                              out,
                              bins,
                              bin -> out.writeNumber(octave.counts().getOrDefault(bin, 0L))));
                  Json.array(
                      out,
                      "zeros",
                      steps.values(),
                      octave ->
                          Json.number(
                              out, octave.zeros() < 0 ? Double.NaN : (double) octave.zeros()));
                }));
  }

  /** So many at most, evenly, the newest among them. */
  static <T> List<T> thinned(List<T> all, int most) {
    if (all.size() <= most) {
      return all;
    }
    List<T> some = new ArrayList<>(most);
    for (int i = 1; i <= most; i++) {
      some.add(all.get((int) ((long) i * all.size() / most) - 1));
    }
    return some;
  }

  byte[] incidents(RunStream of) {
    List<IncidentRow> rows =
        live.look(of, stream -> List.copyOf(stream.incidents())).orElse(List.of());
    List<IncidentRow> recent = live.recentIncidents();
    return Json.bytes(
        out ->
            Json.array(
                out, rows, row -> LiveJson.incident(out, row, LiveRuns.similar(row, recent))));
  }

  byte[] runEvents(RunStream of) {
    return Json.bytes(
        out ->
            Json.array(
                out,
                live.look(of, LiveStream::events).orElse(List.of()),
                event -> Json.object(out, () -> LiveJson.event(out, event))));
  }

  byte[] rules() {
    return Json.bytes(out -> Json.array(out, live.rules(), rule -> LiveJson.rule(out, rule)));
  }
}
