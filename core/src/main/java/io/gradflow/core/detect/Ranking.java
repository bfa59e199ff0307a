package io.gradflow.core.detect;

/** The most suspect of those that fired in one step: the earliest onset, then the largest score. */
final class Ranking {
  private final int[] who = new int[Verdicts.MOST];
  private final long[] onsets = new long[Verdicts.MOST];
  private final double[] scores = new double[Verdicts.MOST];
  private int size;
  private int offered;

  void add(int candidate, long onset, double score) {
    offered++;
    int at = size;
    while (at > 0 && isBefore(onset, score, at - 1)) {
      at--;
    }
    if (at == Verdicts.MOST) {
      return;
    }
    if (size < Verdicts.MOST) {
      size++;
    }
    for (int i = size - 1; i > at; i--) {
      who[i] = who[i - 1];
      onsets[i] = onsets[i - 1];
      scores[i] = scores[i - 1];
    }
    who[at] = candidate;
    onsets[at] = onset;
    scores[at] = score;
  }

  /** How many are kept. */
  int size() {
    return size;
  }

  /** How many were added, kept or not. */
  int offered() {
    return offered;
  }

  int at(int place) {
    return who[place];
  }

  long onset(int place) {
    return onsets[place];
  }

  double score(int place) {
    return scores[place];
  }

  private boolean isBefore(long onset, double score, int place) {
    return onset != onsets[place] ? onset < onsets[place] : score > scores[place];
  }
}
