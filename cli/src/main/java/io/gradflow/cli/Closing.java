package io.gradflow.cli;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Closes what might hang: closing never fails, and never lasts longer than its limit. */
final class Closing {
  private static final Logger LOG = LoggerFactory.getLogger(Closing.class);

  private Closing() {}

  /** Something to do at the end that may throw. */
  interface Step {
    void run() throws Exception;
  }

  /**
   * Runs the step on a thread of its own and waits for it.
   *
   * @param what whom the log names when the step fails or lasts too long
   */
  static void within(Duration limit, String what, Step step) {
    CompletableFuture<Void> done = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                step.run();
                done.complete(null);
              } catch (Exception e) {
                done.completeExceptionally(e);
              }
            },
            "closing " + what);
    thread.setDaemon(true);
    thread.start();
    try {
      done.get(limit.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      LOG.warn("The {} did not close within {}; it ends with this process", what, limit);
    } catch (ExecutionException e) {
      LOG.warn("The {} closed with an error", what, e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
