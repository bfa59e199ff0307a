package io.gradflow.schema;

import io.gradflow.core.detect.Rule;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Capture;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.window.LayerWindow;

/** The codecs of the topics. */
public final class Codecs {
  public static final Codec<Manifest> MANIFESTS =
      new Codec<>(Topic.MANIFESTS, new ManifestMapping());
  public static final Codec<RunEvent> RUNS = new Codec<>(Topic.RUNS, new RunEventMapping());
  public static final Codec<Shard> SHARDS = new Codec<>(Topic.SHARDS, new ShardMapping());
  public static final Codec<Block> BLOCKS = new Codec<>(Topic.BLOCKS, new BlockMapping());
  public static final Codec<Step> STEPS = new Codec<>(Topic.STEPS, new StepMapping());
  public static final Codec<LayerWindow> WINDOWS = new Codec<>(Topic.WINDOWS, new WindowMapping());
  public static final Codec<Alert> ALERTS = new Codec<>(Topic.ALERTS, new AlertMapping());
  public static final Codec<Rule> RULES = new Codec<>(Topic.RULES, new RuleMapping());
  public static final Codec<Capture> CAPTURES = new Codec<>(Topic.CAPTURES, new CaptureMapping());
  public static final Codec<Feedback> FEEDBACK = new Codec<>(Topic.FEEDBACK, new FeedbackMapping());

  private Codecs() {}
}
