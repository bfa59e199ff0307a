package io.gradflow.trainer;

import io.gradflow.core.shard.SignalGroup;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Which signals are measured beside norms, and how often. What each costs is in {@code
 * docs/trainers.md}.
 *
 * @param every group of signals → one step in so many, 1 or more: those where {@code step % every
 *     == 0}. A group that is not in it is not measured
 */
public record SignalPolicy(Map<SignalGroup, Integer> every) {
  /** Moments, weights and updates in every step, histograms in every tenth. */
  public static final SignalPolicy DEFAULT =
      new SignalPolicy(
          Map.of(SignalGroup.MOMENTS, 1, SignalGroup.HISTOGRAM, 10, SignalGroup.WEIGHTS, 1));

  /** Nothing but norms. */
  public static final SignalPolicy NONE = new SignalPolicy(Map.of());

  private static final String NOTHING = "none";

  public SignalPolicy {
    Map<SignalGroup, Integer> checked = new EnumMap<>(SignalGroup.class);
    checked.putAll(every);
    checked.forEach(
        (group, steps) -> {
          if (steps < 1) {
            throw new IllegalArgumentException(
                "signals: expected " + word(group) + " every 1 step or more, got " + steps);
          }
        });
    every = Collections.unmodifiableMap(checked);
  }

  /**
   * The policy that a text says: {@code none}, or groups with commas between them, each of every
   * step or {@code :n} of every n-th, e.g. {@code moments,histogram:10,sketch:50}.
   *
   * @throws IllegalArgumentException saying what was expected
   */
  public static SignalPolicy parse(String text) {
    if (text.trim().equals(NOTHING)) {
      return NONE;
    }
    Map<SignalGroup, Integer> every = new EnumMap<>(SignalGroup.class);
    for (String entry : text.split(",", -1)) {
      String[] pair = entry.trim().split(":", 2);
      SignalGroup group = group(pair[0]);
      int steps = pair.length == 1 ? 1 : steps(pair[1]);
      if (group == null || steps < 1 || every.put(group, steps) != null) {
        throw new IllegalArgumentException(
            "signals: expected none, or each once of "
                + Arrays.stream(SignalGroup.values())
                    .map(SignalPolicy::word)
                    .collect(Collectors.joining(", "))
                + " with commas between them, :n for every n-th step, got \""
                + text
                + "\"");
      }
    }
    return new SignalPolicy(every);
  }

  /** The groups to be measured in that step. */
  Set<SignalGroup> due(long step) {
    Set<SignalGroup> due = EnumSet.noneOf(SignalGroup.class);
    every.forEach(
        (group, steps) -> {
          if (step % steps == 0) {
            due.add(group);
          }
        });
    return due;
  }

  private static SignalGroup group(String word) {
    for (SignalGroup group : SignalGroup.values()) {
      if (word(group).equals(word.trim())) {
        return group;
      }
    }
    return null;
  }

  private static String word(SignalGroup group) {
    return group.name().toLowerCase(Locale.ROOT);
  }

  /** The number, 0 if it is none. */
  private static int steps(String text) {
    try {
      return Integer.parseInt(text.trim());
    } catch (NumberFormatException e) {
      return 0;
    }
  }
}
