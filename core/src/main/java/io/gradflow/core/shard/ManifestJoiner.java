package io.gradflow.core.shard;

import io.gradflow.core.Cell;
import io.gradflow.core.Rejection;
import io.gradflow.core.StepId;
import io.gradflow.core.Store;
import io.gradflow.core.Uptime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Joins the parts of a run's manifests and tells them, and the run's events, to all that need them.
 *
 * <p>Guaranteed: a manifest is passed on whole, once all its parts are in, and again whenever it is
 * published again; an event reaches those that look at the whole run at once, and the groups of all
 * manifests known after the first of them; no input makes it throw. What does not fit together
 * becomes a {@link Rejection}.
 */
public final class ManifestJoiner {
  /** Events kept for a run that has no manifest yet; the oldest go first. */
  private static final int PENDING_EVENTS = 100;

  private final Duration retention;
  private final Uptime uptime = new Uptime();

  /**
   * @param retention what is known of a run is dropped after so long without a manifest or event:
   *     longer than any training, for manifests are published once
   */
  public ManifestJoiner(Duration retention) {
    if (retention.isNegative() || retention.isZero()) {
      throw new IllegalArgumentException("retention: expected more than 0 s, got " + retention);
    }
    this.retention = retention;
  }

  /** The state of one run: a few numbers, and the parts of manifests that are not whole yet. */
  public record State(Cell<RunBook> book, Store<ManifestPart, Manifest> parts) {}

  /** Where results go. */
  public interface Output {
    /** A whole manifest or an event, to those that look at the whole run. */
    void notice(RunNotice notice);

    /** A layout or an event, to a rank group. */
    void notice(GroupNotice notice);

    /** An unusable manifest. */
    void rejection(Rejection rejection);

    /** {@link #wake} is to be called then. */
    void wakeAt(long ms);
  }

  /** A part of a manifest. */
  public void manifest(State state, Manifest part, long now, Output out) {
    RunBook book = state.book().get();
    int groups = book == null ? 0 : book.groups();
    List<RunEvent> pending = book == null ? List.of() : book.pending();
    try {
      Manifest whole = join(state, part);
      if (whole != null) {
        Layout layout = Layout.of(whole);
        groups = Math.max(groups, layout.groups());
        out.notice(new RunNotice(whole, null));
        for (int group = 0; group < layout.groups(); group++) {
          out.notice(new GroupNotice(group, layout, null));
        }
        pending.forEach(event -> tell(event, layout.groups(), out));
        pending = List.of();
      }
    } catch (IllegalArgumentException e) {
      out.rejection(
          new Rejection(
              "bad-manifest",
              e.getMessage() + "; fix the publisher",
              new StepId(part.runId(), part.attempt(), part.stream(), -1),
              -1,
              null));
    }
    remember(state, book, groups, pending, now, out);
  }

  private static Manifest join(State state, Manifest part) {
    if (part.parts() == 1 && part.part() == 0) {
      return part;
    }
    String who = "manifest %016x of run %s: ".formatted(part.manifestId(), part.runId());
    if (part.parts() < 1 || part.part() < 0 || part.part() >= part.parts()) {
      throw new IllegalArgumentException(
          who + "expected a part below parts, got " + part.part() + " of " + part.parts());
    }
    state.parts().put(new ManifestPart(part.manifestId(), part.part()), part);
    List<Manifest> parts = new ArrayList<>();
    for (int i = 0; i < part.parts(); i++) {
      Manifest other = state.parts().get(new ManifestPart(part.manifestId(), i));
      if (other == null) {
        return null;
      }
      parts.add(other);
    }
    List<Layer> layers = new ArrayList<>();
    for (Manifest one : parts) {
      state.parts().remove(new ManifestPart(one.manifestId(), one.part()));
      if (one.firstLayer() != layers.size() || one.parts() != part.parts()) {
        throw new IllegalArgumentException(
            who
                + "expected part "
                + one.part()
                + " to begin at layer "
                + layers.size()
                + ", got "
                + one.firstLayer());
      }
      layers.addAll(one.layers());
    }
    return part.whole(part.manifestId(), part.attempt(), part.layerCount(), layers);
  }

  /** Something happened to the run. */
  public void event(State state, RunEvent event, long now, Output out) {
    out.notice(new RunNotice(null, event));
    RunBook book = state.book().get();
    int groups = book == null ? 0 : book.groups();
    List<RunEvent> pending = new ArrayList<>(book == null ? List.of() : book.pending());
    if (groups > 0) {
      tell(event, groups, out);
    } else {
      if (pending.size() == PENDING_EVENTS) {
        pending.remove(0);
      }
      pending.add(event);
    }
    remember(state, book, groups, pending, now, out);
  }

  private static void tell(RunEvent event, int groups, Output out) {
    for (int group = 0; group < groups; group++) {
      out.notice(new GroupNotice(group, null, event));
    }
  }

  private void remember(
      State state, RunBook book, int groups, List<RunEvent> pending, long now, Output out) {
    uptime.at(now);
    long armedAt = book == null ? Long.MAX_VALUE : book.armedAt();
    if (armedAt == Long.MAX_VALUE) {
      armedAt = now + retention.toMillis();
      out.wakeAt(armedAt);
    }
    state.book().set(new RunBook(groups, List.copyOf(pending), now, armedAt));
  }

  /** The time asked for has come. */
  public void wake(State state, long now, Output out) {
    uptime.at(now);
    RunBook book = state.book().get();
    if (book == null) {
      return;
    }
    long dropAt = uptime.silentSince(book.lastInputAt()) + retention.toMillis();
    if (dropAt <= now) {
      end(state);
    } else {
      state.book().set(new RunBook(book.groups(), book.pending(), book.lastInputAt(), dropAt));
      out.wakeAt(dropAt);
    }
  }

  /** Forgets the run. */
  public void end(State state) {
    List<ManifestPart> parts = new ArrayList<>();
    state.parts().keys().forEach(parts::add);
    parts.forEach(state.parts()::remove);
    state.book().set(null);
  }
}
