package io.gradflow.core.conformance;

import io.gradflow.core.norm.TestRun.ShardBuilder;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** The shards that a composition's ranks publish of a known gradient. */
final class Publication {
  private final Composition composition;
  private final TrainerMistake mistake;
  private final Random random;

  /**
   * @param mistake the trainer's in the global norm that it reports; null if it reports none
   */
  Publication(Composition composition, TrainerMistake mistake) {
    this.composition = composition;
    this.mistake = mistake;
    random = new Random(~composition.seed() * 0x9E3779B97F4A7C15L);
  }

  /** What a rank holds of a tensor. */
  private record Held(int layer, Tensor tensor, Tensor.Slice slice, float[] values) {}

  /**
   * All shards of all steps, some of them twice, in an order in which they may come: each rank's
   * steps one after the other, whatever the order within a step and between ranks.
   */
  List<Shard> delivered() {
    List<KnownGradient> gradients =
        composition.steps().stream().map(step -> new KnownGradient(composition, step)).toList();
    List<Trainer> trainers =
        mistake == null
            ? null
            : gradients.stream().map(gradient -> new Trainer(composition, gradient)).toList();
    List<List<Shard>> ofRanks = new ArrayList<>();
    for (int rank = 0; rank < composition.worldSize(); rank++) {
      List<Shard> ofRank = new ArrayList<>();
      for (int i = 0; i < gradients.size() && rank != composition.absent(); i++) {
        List<Shard> ofStep =
            shards(
                gradients.get(i),
                i == 0 ? null : gradients.get(i - 1),
                trainers == null ? null : trainers.get(i),
                rank);
        for (Shard shard : List.copyOf(ofStep)) {
          if (random.nextInt(10) == 0) {
            ofStep.add(shard);
          }
        }
        Collections.shuffle(ofStep, random);
        ofRank.addAll(ofStep);
      }
      ofRanks.add(ofRank);
    }
    List<Shard> merged = new ArrayList<>();
    int[] next = new int[ofRanks.size()];
    while (true) {
      int[] ready =
          IntStream.range(0, next.length)
              .filter(rank -> next[rank] < ofRanks.get(rank).size())
              .toArray();
      if (ready.length == 0) {
        return merged;
      }
      int rank = ready[random.nextInt(ready.length)];
      merged.add(ofRanks.get(rank).get(next[rank]++));
    }
  }

  private List<Shard> shards(
      KnownGradient gradient, KnownGradient previous, Trainer trainer, int rank) {
    long step = gradient.step();
    List<Shard> shards = new ArrayList<>();
    for (Composition.Model model : composition.modelsOf(rank)) {
      for (Stage stage : Stage.values()) {
        if (!composition.isDue(model, stage, rank, step)) {
          continue;
        }
        int last = composition.accumSteps() - 1;
        for (int batch = composition.microBatches() ? 0 : last; batch <= last; batch++) {
          ShardBuilder shard =
              model
                  .run()
                  .aShard()
                  .rank(rank)
                  .step(step)
                  .previousStep(composition.previousStep(step))
                  .stage(stage)
                  .microBatch(batch, composition.accumSteps());
          if (gradient.scale(Stage.LOCAL) != 1) {
            shard.lossScale(gradient.scale(Stage.LOCAL));
          }
          if (stage == Stage.REDUCED) {
            if (composition.clipCoef() != null) {
              shard.clip(new Clip(Clip.GLOBAL_NORM, null, composition.clipCoef(), true));
            }
            if (trainer != null) {
              shard.reported(mistake.norm(trainer, rank));
            }
          }
          var signals = new PublishedSignals(composition, gradient, previous, stage);
          shards.addAll(records(shard, signals, held(gradient, model, stage, rank, batch)));
        }
      }
    }
    return shards;
  }

  private List<Held> held(
      KnownGradient gradient, Composition.Model model, Stage stage, int rank, int batch) {
    int[] coords = composition.coords(rank);
    List<Held> held = new ArrayList<>();
    for (int layer = 0; layer < model.tensors().size(); layer++) {
      Tensor tensor = model.tensors().get(layer);
      Tensor.Slice slice = tensor.slice(stage, coords);
      boolean said = slice.length() > 0 || random.nextBoolean();
      if (tensor.reported() && said) {
        float[] whole = gradient.held(tensor, stage, coords, batch);
        held.add(
            new Held(layer, tensor, slice, Arrays.copyOfRange(whole, slice.from(), slice.to())));
      }
    }
    return held;
  }

  private List<Shard> records(ShardBuilder shard, PublishedSignals signals, List<Held> held) {
    boolean raw =
        switch (composition.form()) {
          case COLUMNS -> false;
          case RAW -> true;
          case MIXED -> random.nextBoolean();
        };
    boolean nothing = held.stream().allMatch(h -> h.values().length == 0);
    return raw && !nothing ? blocks(shard, held) : columns(shard, signals, held);
  }

  private List<Shard> columns(ShardBuilder shard, PublishedSignals signals, List<Held> held) {
    int parts = Math.max(1, Math.min(composition.records(), held.size()));
    List<Shard> shards = new ArrayList<>();
    for (int part = 0; part < parts; part++) {
      List<Held> ofPart =
          held.subList(part * held.size() / parts, (part + 1) * held.size() / parts);
      LayerColumns norms = columns(ofPart);
      SignalColumns beside =
          signals.columns(
              ofPart.stream().map(Held::tensor).toList(),
              ofPart.stream().map(Held::slice).toList(),
              ofPart.stream().map(Held::values).toList());
      shards.add(shard.part(part, parts).columns(norms.with(beside)).build());
    }
    return shards;
  }

  private LayerColumns columns(List<Held> held) {
    LayerColumns measured = Measurement.of(held.stream().map(Held::values).toArray(float[][]::new));
    int[] layers = held.stream().mapToInt(Held::layer).toArray();
    boolean gapless = true;
    for (int i = 1; i < layers.length; i++) {
      gapless &= layers[i] == layers[i - 1] + 1;
    }
    boolean implied = held.stream().allMatch(h -> h.tensor().isImplied()) && random.nextBoolean();
    NonFinite bad = measured.nonFinite();
    return new LayerColumns(
        gapless && layers.length > 0 ? layers[0] : 0,
        gapless && random.nextBoolean() ? null : layers,
        implied ? null : measured.elements(),
        measured.norm(),
        measured.maxAbs(),
        measured.sumAbs(),
        measured.zeros(),
        bad == null
            ? null
            : new NonFinite(
                Arrays.stream(bad.layers()).map(i -> layers[i]).toArray(),
                bad.nans(),
                bad.posInfs(),
                bad.negInfs()));
  }

  /** Raw values, each layer cut anywhere. */
  private List<Shard> blocks(ShardBuilder shard, List<Held> held) {
    record Cut(int layer, int from, float[] values) {}
    List<Cut> cuts = new ArrayList<>();
    for (Held of : held) {
      int from = 0;
      int rest = of.values().length;
      while (rest > 0) {
        int more = cuts.size() < 40 && random.nextInt(3) == 0 ? 1 + random.nextInt(rest) : rest;
        cuts.add(new Cut(of.layer(), from, Arrays.copyOfRange(of.values(), from, from + more)));
        from += more;
        rest -= more;
      }
    }
    List<Shard> shards = new ArrayList<>();
    for (int part = 0; part < cuts.size(); part++) {
      Cut cut = cuts.get(part);
      shards.add(shard.part(part, cuts.size()).block(cut.layer(), cut.from(), cut.values()));
    }
    return shards;
  }
}
