package io.gradflow.dashboard.web;

import com.sun.net.httpserver.HttpExchange;
import io.gradflow.core.incident.Feedback;
import io.gradflow.dashboard.live.Change;
import io.gradflow.dashboard.live.EventId;
import io.gradflow.dashboard.live.LiveRuns;
import io.gradflow.dashboard.live.LiveStream;
import io.gradflow.dashboard.live.Position;
import io.gradflow.dashboard.live.Reading;
import io.gradflow.dashboard.live.RunStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Tells clients what happens to the streams they follow. There is no queue: a client has a position
 * and is told what follows it in the shared windows, so that one that reads slowly lags and one
 * that does not read at all costs its own thread until it is cut off. Nobody waits for it.
 */
final class EventStreams implements AutoCloseable {
  private static final Duration PULSE = Duration.ofSeconds(2);
  private static final long LOOK_MS = 1_000;
  private static final int STEPS_AT_ONCE = 64;
  private static final int BUFFER_BYTES = 32 << 10;

  private final LiveRuns live;
  private final StepEvents stepEvents = new StepEvents();
  private final AtomicInteger clients;
  private final int mostClients;
  private final Duration patience;
  private final Set<Client> open = ConcurrentHashMap.newKeySet();
  private final Thread watch;
  private final CountDownLatch closing = new CountDownLatch(1);

  /**
   * @param clients counts the open streams
   * @param patience a client that takes nothing for so long is cut off
   */
  EventStreams(LiveRuns live, AtomicInteger clients, int mostClients, Duration patience) {
    this.live = live;
    this.clients = clients;
    this.mostClients = mostClients;
    this.patience = patience;
    this.watch = new Thread(this::watch, "watching clients of the page");
    this.watch.setDaemon(true);
    this.watch.start();
  }

  /**
   * Serves a client until it goes, is cut off, or the server closes.
   *
   * @param id of the last event the client had; null: it begins
   */
  void serve(HttpExchange exchange, List<RunStream> streams, String id) throws IOException {
    if (clients.incrementAndGet() > mostClients) {
      clients.decrementAndGet();
      throw new Refused(
          503,
          "expected at most "
              + mostClients
              + " open pages, got one more: close some, or raise the limit of clients");
    }
    exchange.getResponseHeaders().set("Content-Type", "text/event-stream; charset=utf-8");
    exchange.getResponseHeaders().set("Cache-Control", "no-store");
    exchange.getResponseHeaders().set("X-Accel-Buffering", "no");
    Client client = null;
    try {
      exchange.sendResponseHeaders(200, 0);
      client = new Client(exchange.getResponseBody(), streams, EventId.parse(id), id != null);
      open.add(client);
      client.run();
    } catch (InterruptedException e) {
      // Cut off: the interruption has closed the connection, or does with the next byte.
    } finally {
      if (client != null) {
        open.remove(client);
        client.leave();
      }
      clients.decrementAndGet();
      exchange.close();
    }
  }

  /** Interrupts clients that are stuck: that closes their connection. */
  private void watch() {
    try {
      while (!closing.await(Math.min(LOOK_MS, patience.toMillis()), TimeUnit.MILLISECONDS)) {
        long now = System.nanoTime();
        open.forEach(client -> client.cutOffIfStuck(now));
      }
    } catch (InterruptedException e) {
      // Asked to stop.
    }
  }

  @Override
  public void close() {
    closing.countDown();
    open.forEach(Client::cutOff);
  }

  /** One stream that a client follows. */
  private static final class Lane {
    private final RunStream name;
    private Position at;
    private long judged;

    private Lane(RunStream name) {
      this.name = name;
    }
  }

  private final class Client {
    private final Thread thread = Thread.currentThread();
    private final OutputStream out;
    private final List<Lane> lanes = new ArrayList<>();
    private final Optional<EventId> last;
    private final boolean resumes;
    private long writingSince;
    private boolean left;
    private int era;

    Client(OutputStream out, List<RunStream> streams, Optional<EventId> last, boolean resumes) {
      this.out = new BufferedOutputStream(out, BUFFER_BYTES);
      streams.forEach(stream -> lanes.add(new Lane(stream)));
      this.last = last;
      this.resumes = resumes;
    }

    void run() throws IOException, InterruptedException {
      long pulsedAt = System.nanoTime() - PULSE.toNanos();
      boolean begun = false;
      while (closing.getCount() > 0) {
        long version = live.version();
        Reading reading = live.reading();
        // What was told may be ahead of what a feed that begins again has read so far.
        if (reading.done()) {
          if (!begun) {
            begin(reading);
            begun = true;
          } else if (era != reading.era()) {
            era = reading.era();
            stepEvents.clear();
            for (Lane lane : lanes) {
              reset(lane);
            }
          }
          boolean more = false;
          for (Lane lane : lanes) {
            more |= tell(lane);
          }
          if (more) {
            flush();
            continue;
          }
        }
        if (System.nanoTime() - pulsedAt >= PULSE.toNanos()) {
          pulsedAt = System.nanoTime();
          for (Lane lane : lanes) {
            pulse(lane, reading);
          }
        }
        flush();
        long untilPulse = PULSE.toMillis() - (System.nanoTime() - pulsedAt) / 1_000_000;
        live.await(version, Math.max(1, untilPulse));
      }
    }

    private void begin(Reading reading) throws IOException {
      era = reading.era();
      for (int i = 0; i < lanes.size(); i++) {
        Lane lane = lanes.get(i);
        lane.at = live.current(lane.name);
        lane.judged = live.judged(lane.name);
      }
      if (!resumes) {
        for (Lane lane : lanes) {
          long step = live.look(lane.name, LiveStream::lastStep).orElse(-1L);
          event("hello", lane, out -> out.writeNumberField("last", step));
        }
        return;
      }
      boolean known = last.isPresent() && last.get().era() == era;
      List<Lane> lost = new ArrayList<>();
      for (int i = 0; i < lanes.size(); i++) {
        Lane lane = lanes.get(i);
        if (known && i < last.get().lanes().size() && last.get().lanes().get(i).isOf(lane.name)) {
          lane.at = last.get().lanes().get(i).position();
        } else {
          lost.add(lane);
        }
      }
      for (Lane lane : lost) {
        reset(lane);
      }
      // Verdicts have no order over their partitions: those of the run are told again.
      for (Lane lane : lanes) {
        for (Feedback feedback : live.look(lane.name, LiveStream::verdicts).orElse(List.of())) {
          judged(lane, feedback);
        }
      }
    }

    private void reset(Lane lane) throws IOException {
      lane.at = live.current(lane.name);
      lane.judged = live.judged(lane.name);
      event("reset", lane, out -> {});
    }

    /**
     * Tells what follows the lane's position.
     *
     * @return whether there was anything
     */
    private boolean tell(Lane lane) throws IOException {
      LiveRuns.Told told = live.since(lane.name, lane.at, STEPS_AT_ONCE);
      for (Change.Told one : told.changes()) {
        lane.at = one.after();
        tell(lane, one.change());
      }
      lane.at = told.after();
      Map<Long, Feedback> verdicts = live.verdictsSince(lane.name, lane.judged);
      for (Map.Entry<Long, Feedback> verdict : verdicts.entrySet()) {
        lane.judged = verdict.getKey();
        judged(lane, verdict.getValue());
      }
      return !told.changes().isEmpty() || !verdicts.isEmpty();
    }

    private void tell(Lane lane, Change change) throws IOException {
      if (change instanceof Change.Stepped stepped) {
        event("step", stepEvents.of(lane.name, stepped.row()));
      } else if (change instanceof Change.Rewound rewound) {
        event("rewind", lane, out -> out.writeNumberField("from", rewound.from()));
      } else if (change instanceof Change.Alerted alerted) {
        event(
            "incident",
            Json.bytes(
                out ->
                    LiveJson.incident(
                        out,
                        alerted.incident(),
                        LiveRuns.similar(alerted.incident(), live.recentIncidents()))));
      } else if (change instanceof Change.Happened happened) {
        event("event", lane, out -> LiveJson.event(out, happened.event()));
      } else if (change instanceof Change.Described described) {
        event(
            "manifest",
            lane,
            out -> out.writeStringField("manifestId", LiveJson.hex(described.manifestId())));
      } else if (change instanceof Change.Judged verdict) {
        judged(lane, verdict.feedback());
      } else {
        event("reset", lane, out -> {});
      }
    }

    private void judged(Lane lane, Feedback feedback) throws IOException {
      event(
          "verdict",
          lane,
          out -> {
            out.writeStringField("incidentId", feedback.incidentId());
            LiveJson.verdict(out, feedback);
          });
    }

    private void event(String type, Lane lane, Json.Writing fields) throws IOException {
      event(type, data(lane, fields));
    }

    private byte[] data(Lane lane, Json.Writing fields) {
      return Json.bytes(
          out ->
              Json.object(
                  out,
                  () -> {
                    LiveJson.stream(out, lane.name);
                    fields.to(out);
                  }));
    }

    private void event(String type, byte[] data) throws IOException {
      List<EventId.Lane> positions = new ArrayList<>();
      for (Lane each : lanes) {
        positions.add(EventId.Lane.of(each.name, each.at));
      }
      write("id: " + new EventId(era, positions) + "\nevent: " + type + "\ndata: ", data);
    }

    private void pulse(Lane lane, Reading reading) throws IOException {
      long now = System.currentTimeMillis();
      LiveStream.State state =
          live.look(lane.name, stream -> stream.state(now)).orElse(LiveStream.State.SILENT);
      write(
          "event: pulse\ndata: ",
          data(
              lane,
              out -> {
                out.writeNumberField("now", now);
                out.writeStringField("state", state.name());
                LiveJson.reading(out, reading, now);
              }));
    }

    private void write(String head, byte[] data) throws IOException {
      writing(true);
      out.write(head.getBytes(StandardCharsets.US_ASCII));
      out.write(data);
      out.write('\n');
      out.write('\n');
      writing(false);
    }

    private void flush() throws IOException {
      writing(true);
      out.flush();
      writing(false);
    }

    private synchronized void writing(boolean now) {
      writingSince = now ? System.nanoTime() : 0;
    }

    private synchronized void cutOffIfStuck(long now) {
      if (writingSince != 0 && now - writingSince > patience.toNanos()) {
        cutOff();
      }
    }

    private synchronized void cutOff() {
      if (!left) {
        thread.interrupt();
      }
    }

    /** From now on the thread is another client's. */
    private synchronized void leave() {
      left = true;
      Thread.interrupted();
    }
  }
}
