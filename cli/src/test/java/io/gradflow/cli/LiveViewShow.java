package io.gradflow.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Shows an imagined run on a terminal, to look at the view by eye: a main, not a test. */
final class LiveViewShow {
  private LiveViewShow() {}

  public static void main(String[] args) throws InterruptedException {
    System.setProperty(Terminal.PROPERTY, "true");
    int layers = Integer.parseInt(args[0]);
    int seconds = Integer.parseInt(args[1]);
    Terminal terminal =
        new Terminal(new PrintWriter(System.out, false, StandardCharsets.UTF_8), System.getenv());
    long began = System.nanoTime();
    RunDisplay display =
        RunDisplay.show(
            () -> imagined(layers, (System.nanoTime() - began) / 25_000_000),
            terminal,
            new PrintWriter(System.err, true, StandardCharsets.UTF_8));
    boolean interrupted = new CountDownLatch(1).await(seconds, TimeUnit.SECONDS);
    display.close();
    System.exit(interrupted ? 1 : 0);
  }

  /** Layer 3 explodes from step 100 on, the last one goes NaN at 150, one dies, one is missing. */
  static RunSnapshot imagined(int layers, long step) {
    SnapshotOf run = SnapshotOf.aRun().atStep(step).complete(step > 120 ? .9375 : 1);
    for (int layer = 0; layer < layers; layer++) {
      Double[] recent = new Double[(int) Math.min(80, step + 1)];
      for (int i = 0; i < recent.length; i++) {
        long at = step - recent.length + 1 + i;
        double noise = new Random(at * 1009 + layer).nextGaussian() * .3;
        recent[i] = -2 - layer * .3 + noise;
        if (layer == 3 && at > 100) {
          recent[i] += (at - 100) * .05;
        } else if (layer == layers - 1 && at >= 150) {
          recent[i] = RunSnapshot.LayerTrace.NON_FINITE;
        } else if (layer == 5 && at > 130) {
          recent[i] = Double.NEGATIVE_INFINITY;
        } else if (layer == 6 && at % 5 == 0) {
          recent[i] = RunSnapshot.LayerTrace.MISSING;
        } else if (layer == 7 && at > 90) {
          recent[i] -= (at - 90) * .03;
        }
      }
      String kind = layer % 2 == 0 ? "weight" : "bias";
      run.layer("blocks." + layer / 2, kind, step < 30 ? Double.NaN : -2 - layer * .3, recent);
    }
    if (step > 60) {
      run.resolved(
          "EXPLODING_SPIKE",
          "blocks.0.weight",
          40,
          58,
          "The gradient of blocks.0.weight jumped by 3.1 octaves at step 40");
    }
    if (step > 140) {
      run.because("optimiser", "blocks.1.bias growing to ×4.3 from step 100.");
      run.opened(
          "EXPLODING_TREND",
          "warning",
          "blocks.1.bias",
          133,
          "The gradient of blocks.1.bias has grown by 2.1 octaves since step 100");
    }
    if (step > 150) {
      run.opened(
              "NON_FINITE",
              "critical",
              "blocks." + (layers - 1) / 2 + ".bias",
              150,
              "Rank 2 computed NaN in blocks.7.bias")
          .norm(Double.POSITIVE_INFINITY);
    }
    return run.now();
  }
}
