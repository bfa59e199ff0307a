package io.gradflow.cli;

import io.gradflow.cli.RunSnapshot.Incident;
import io.gradflow.cli.RunSnapshot.LayerTrace;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** Builds snapshots of an imagined run. */
final class SnapshotOf {
  private String run = "demo-1";
  private double completeness = 1;
  private double globalNorm = 3.5;
  private long step = 120;
  private Optional<String> cause = Optional.empty();
  private String account = "";
  private final List<LayerTrace> layers = new ArrayList<>();
  private final List<Incident> incidents = new ArrayList<>();

  static SnapshotOf aRun() {
    return new SnapshotOf();
  }

  SnapshotOf named(String id) {
    this.run = id;
    return this;
  }

  SnapshotOf atStep(long newest) {
    this.step = newest;
    return this;
  }

  SnapshotOf complete(double share) {
    this.completeness = share;
    return this;
  }

  SnapshotOf norm(double value) {
    this.globalNorm = value;
    return this;
  }

  /** A layer {@code block.name} with its baseline and its recent readings. */
  SnapshotOf layer(String block, String name, double baseline, Double... recent) {
    layers.add(new LayerTrace(block + "." + name, block, baseline, List.of(recent)));
    return this;
  }

  /** Of the next incident. */
  SnapshotOf because(String of, String told) {
    cause = Optional.of(of);
    account = told;
    return this;
  }

  SnapshotOf opened(String kind, String severity, String layer, long step, String message) {
    incidents.add(
        new Incident(
            kind,
            severity,
            Optional.of(layer),
            step,
            OptionalLong.empty(),
            message,
            Optional.empty(),
            cause,
            account));
    cause = Optional.empty();
    account = "";
    return this;
  }

  SnapshotOf advised(String kind, String layer, long step, String message, String advice) {
    incidents.add(
        new Incident(
            kind,
            "info",
            Optional.of(layer),
            step,
            OptionalLong.empty(),
            message,
            Optional.of(advice),
            Optional.empty(),
            ""));
    return this;
  }

  SnapshotOf resolved(String kind, String layer, long step, long until, String message) {
    incidents.add(
        new Incident(
            kind,
            "warning",
            Optional.of(layer),
            step,
            OptionalLong.of(until),
            message,
            Optional.empty(),
            cause,
            account));
    cause = Optional.empty();
    account = "";
    return this;
  }

  RunSnapshot now() {
    return new RunSnapshot(
        run,
        "exploding",
        step,
        OptionalLong.of(300),
        38.25,
        1.23456,
        globalNorm,
        completeness,
        0,
        layers,
        incidents,
        Optional.of(URI.create("http://127.0.0.1:8080")),
        URI.create("http://127.0.0.1:8081"),
        Duration.ofSeconds(75));
  }
}
