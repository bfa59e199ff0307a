package io.gradflow.core.norm;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where ranks run, as their trainers say. Each name is kept once: thousands of ranks share a few
 * hosts, and all hosts the names of their devices.
 *
 * @param hosts distinct, in the order of their lowest ranks; null where no rank says
 * @param hostOf aligned with the ranks: which of the hosts, -1 if unknown; null likewise
 * @param devices, deviceOf likewise
 */
public record RankPlaces(String[] hosts, int[] hostOf, String[] devices, int[] deviceOf) {
  /** A longer name is cut. */
  private static final int MOST_CHARACTERS = 64;

  /** A step does not fit its record if it names a device of its own for each of 16,384 ranks. */
  private static final int MOST_PUBLISHED_CHARACTERS = 1 << 16;

  /**
   * Places of ranks.
   *
   * @param hosts, devices aligned with the ranks, null if unknown
   * @return null if nothing is known
   */
  public static RankPlaces of(String[] hosts, String[] devices) {
    List<String> hostNames = new ArrayList<>();
    List<String> deviceNames = new ArrayList<>();
    int[] hostOf = indices(hosts, hostNames);
    int[] deviceOf = indices(devices, deviceNames);
    return orNull(
        hostNames.isEmpty() ? null : hostNames.toArray(String[]::new),
        hostOf,
        deviceNames.isEmpty() ? null : deviceNames.toArray(String[]::new),
        deviceOf);
  }

  private static RankPlaces orNull(String[] hosts, int[] hostOf, String[] devices, int[] deviceOf) {
    return hosts == null && devices == null
        ? null
        : new RankPlaces(
            hosts, hosts == null ? null : hostOf, devices, devices == null ? null : deviceOf);
  }

  private static int[] indices(String[] ofRanks, List<String> names) {
    Map<String, Integer> known = new LinkedHashMap<>();
    int[] indices = new int[ofRanks.length];
    for (int i = 0; i < indices.length; i++) {
      indices[i] = -1;
      if (ofRanks[i] != null) {
        String name = cut(ofRanks[i]);
        indices[i] = known.computeIfAbsent(name, fresh -> known.size());
      }
    }
    names.addAll(known.keySet());
    return indices;
  }

  private static String cut(String name) {
    return name.length() <= MOST_CHARACTERS ? name : name.substring(0, MOST_CHARACTERS);
  }

  /** Host of the rank in that place, null if unknown. */
  public String host(int place) {
    return name(hosts, hostOf, place);
  }

  /** Device of the rank in that place, null if unknown. */
  public String device(int place) {
    return name(devices, deviceOf, place);
  }

  private static String name(String[] names, int[] of, int place) {
    return names == null || of[place] < 0 ? null : names[of[place]];
  }

  /** Whether both say the same. */
  public boolean isSameAs(RankPlaces other) {
    return other != null
        && Arrays.equals(hosts, other.hosts)
        && Arrays.equals(hostOf, other.hostOf)
        && Arrays.equals(devices, other.devices)
        && Arrays.equals(deviceOf, other.deviceOf);
  }

  /** As much of it as a step has room for: names of more than 64 kB are left out; null if all. */
  RankPlaces published() {
    return orNull(fits(hosts) ? hosts : null, hostOf, fits(devices) ? devices : null, deviceOf);
  }

  private static boolean fits(String[] names) {
    return names != null
        && Arrays.stream(names).mapToInt(String::length).sum() <= MOST_PUBLISHED_CHARACTERS;
  }
}
