package io.gradflow.cli;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Shows a run while it goes on: in place five times a second where standard output is a terminal,
 * else as lines on standard error.
 *
 * <p>{@link #close()} shows the last state and gives the terminal back; the end of the process does
 * so too, however it comes about.
 */
final class RunDisplay implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(RunDisplay.class);
  private static final Duration FRAME = Duration.ofMillis(200);
  private static final Duration LINE = Duration.ofSeconds(2);

  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread thread = new Thread(task, "display");
            thread.setDaemon(true);
            return thread;
          });
  private final Future<?> ticking;
  private final Runnable last;
  private final Thread atExit = new Thread(this::stop, "giving the terminal back");
  private boolean stopped;

  private RunDisplay(Runnable tick, Duration period, Runnable last) {
    this.last = last;
    Runtime.getRuntime().addShutdownHook(atExit);
    ticking =
        clock.scheduleWithFixedDelay(
            () -> {
              try {
                tick.run();
              } catch (RuntimeException e) {
                LOG.warn("A frame could not be shown", e); // The next one is due anyway.
              }
            },
            0,
            period.toMillis(),
            TimeUnit.MILLISECONDS);
  }

  /**
   * Starts showing.
   *
   * @param run what is known now; asked from another thread
   * @param lines where lines go if the terminal is not live: standard error
   */
  static RunDisplay show(Supplier<RunSnapshot> run, Terminal terminal, PrintWriter lines) {
    if (!terminal.isLive()) {
      RunLog log = new RunLog();
      Runnable tick =
          () -> {
            log.next(run.get()).forEach(lines::println);
            lines.flush();
          };
      return new RunDisplay(tick, LINE, tick);
    }
    LiveView view = new LiveView(terminal.isStyled());
    return new RunDisplay(
        () -> {
          Terminal.Size size = terminal.size();
          terminal.draw(view.frame(run.get(), size.columns(), size.lines()));
        },
        FRAME,
        () -> {
          Terminal.Size size = terminal.size();
          // One line less, for the prompt that comes next.
          terminal.leave(view.frame(run.get(), size.columns(), size.lines() - 1));
        });
  }

  @Override
  public void close() {
    stop();
    try {
      Runtime.getRuntime().removeShutdownHook(atExit);
    } catch (IllegalStateException e) {
      // The process is ending already, and the hook has found nothing left to do.
    }
  }

  private synchronized void stop() {
    if (stopped) {
      return;
    }
    stopped = true;
    ticking.cancel(false);
    clock.shutdown();
    try {
      // A frame under way would be drawn over what the terminal gets back.
      if (!clock.awaitTermination(1, TimeUnit.SECONDS)) {
        clock.shutdownNow();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    last.run();
  }
}
