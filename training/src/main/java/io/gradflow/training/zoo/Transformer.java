package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.training.Seeds;
import java.util.Random;

/**
 * A small decoder: embeddings of tokens and positions, blocks of causal attention and a two-layer
 * network, both normalised before and added to what comes in, and the next token as its task.
 * Tokens follow a random chain in which some are rare, as words are.
 */
public final class Transformer extends Network {
  static final int TOKENS = 32;
  private static final int SUCCESSORS = 4;
  private static final double STRAY = 0.1;

  private final int sequence;
  private final int[][] successors = new int[TOKENS][SUCCESSORS];
  private final int[] blocks;
  private final int embedding;
  private final int last;

  /**
   * @param task seed of what is to be learned
   */
  public Transformer(int blocks, int width, int sequence, long task) {
    this.sequence = sequence;
    this.blocks = new int[blocks];
    Random random = Seeds.random(task, "zoo-chain", 0);
    for (int[] row : successors) {
      for (int i = 0; i < SUCCESSORS; i++) {
        row[i] = frequent(random);
      }
    }
    embedding = weight("embedding.tokens", 0, LayerKind.EMBEDDING, TOKENS, width, 0.5);
    declare("embedding.positions", 0, LayerKind.OTHER, sequence, width, 0, 0.1, 0);
    double deviation = 1 / Math.sqrt(width);
    for (int b = 0; b < blocks; b++) {
      String block = "blocks." + b;
      int depth = 1 + 2 * b;
      this.blocks[b] = norm(block + ".norm1", depth, width);
      for (String part : new String[] {"query", "key", "value", "out"}) {
        weight(block + ".attention." + part, depth, LayerKind.WEIGHT, width, width, deviation);
      }
      norm(block + ".norm2", depth + 1, width);
      weight(block + ".mlp.up", depth + 1, LayerKind.WEIGHT, 2 * width, width, deviation);
      bias(block + ".mlp.upBias", depth + 1, 2 * width);
      weight(
          block + ".mlp.down",
          depth + 1,
          LayerKind.WEIGHT,
          width,
          2 * width,
          deviation / Math.sqrt(2));
      bias(block + ".mlp.downBias", depth + 1, width);
    }
    last = norm("last.norm", 2 * blocks + 1, width);
    weight("unembedding.weight", 2 * blocks + 2, LayerKind.WEIGHT, TOKENS, width, deviation);
  }

  /** The lower the more frequent. */
  private static int frequent(Random random) {
    double u = random.nextDouble();
    return (int) (TOKENS * u * u);
  }

  @Override
  public Batch draw(Random random, int samples) {
    int[] tokens = new int[samples * sequence];
    int[] next = new int[samples * sequence];
    for (int n = 0; n < samples; n++) {
      int token = frequent(random);
      for (int t = 0; t < sequence; t++) {
        tokens[n * sequence + t] = token;
        token =
            random.nextDouble() < STRAY
                ? frequent(random)
                : successors[token][random.nextInt(SUCCESSORS)];
        next[n * sequence + t] = token;
      }
    }
    return new Batch(samples, new float[0], tokens, new float[0], next);
  }

  @Override
  Tape.Node loss(Tape tape, Tape.Node[] p, int stream, Batch batch) {
    int[] positions = new int[batch.samples() * sequence];
    for (int i = 0; i < positions.length; i++) {
      positions[i] = i % sequence;
    }
    Tape.Node hidden =
        tape.sum(
            tape.gathered(p[embedding], batch.tokens()),
            tape.gathered(p[embedding + 1], positions));
    for (int at : blocks) {
      Tape.Node unit = tape.normalised(hidden, p[at], p[at + 1]);
      Tape.Node attended =
          tape.attended(
              tape.applied(unit, p[at + 2]),
              tape.applied(unit, p[at + 3]),
              tape.applied(unit, p[at + 4]),
              sequence);
      hidden = tape.sum(hidden, tape.applied(attended, p[at + 5]));
      Tape.Node inner = tape.normalised(hidden, p[at + 6], p[at + 7]);
      Tape.Node up = tape.silu(tape.rowSum(tape.applied(inner, p[at + 8]), p[at + 9]));
      Tape.Node down = tape.rowSum(tape.applied(up, p[at + 10]), p[at + 11]);
      hidden = tape.sum(hidden, down);
    }
    Tape.Node out = tape.normalised(hidden, p[last], p[last + 1]);
    return tape.crossEntropy(tape.applied(out, p[last + 2]), batch.classes());
  }
}
