package io.gradflow.core.norm;

import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.Arrays;

/**
 * What a rank group remembers of a step, while it is open and for some steps after: which
 * contributions came, by the hash of their content.
 *
 * @param firstAt arrival of the first, ms
 * @param writtenAt when the broker took the first, ms
 * @param closed whether the group's part has been sent on
 * @param conflicting ranks (as a bitmap) that contradicted themselves while it was open
 * @param local ranks (as a bitmap) all of whose parts of that stage are in
 * @param reduced likewise
 * @param weighed ranks whose losses and weights are part of the sums sent on
 * @param keys of the contributions, ascending; see {@link #key}
 * @param hashes of their content, aligned
 */
public record GroupStep(
    long firstAt,
    long writtenAt,
    boolean closed,
    long conflicting,
    long local,
    long reduced,
    long weighed,
    long[] keys,
    long[] hashes) {

  private static final int INDEX_BITS = 28;

  static GroupStep openedBy(HeldShard first) {
    return new GroupStep(
        first.arrivedAt(), first.writtenAt(), false, 0, 0, 0, 0, new long[0], new long[0]);
  }

  /** Identity of a contribution to a step of a group; keys of one rank and stage adjoin. */
  static long key(Shard shard) {
    return key(shard, shard.part());
  }

  private static long key(Shard shard, int part) {
    long member = shard.rank() % Layout.GROUP_SIZE;
    long owner = member << 1 | (shard.stage() == Stage.REDUCED ? 1 : 0);
    return (owner << INDEX_BITS | shard.accumIndex()) << INDEX_BITS | part;
  }

  /** The hash of the contribution that came under the key, null if none did. */
  Long hashOf(long key) {
    int at = Arrays.binarySearch(keys, key);
    return at < 0 ? null : hashes[at];
  }

  /** With a new contribution. */
  GroupStep with(Shard shard) {
    long key = key(shard);
    int at = -Arrays.binarySearch(keys, key) - 1;
    long[] moreKeys = inserted(keys, at, key);
    long[] moreHashes = inserted(hashes, at, shard.contentHash());
    long bit = 1L << (shard.rank() % Layout.GROUP_SIZE);
    boolean whole = shard.accumIndex() == shard.accumSteps() - 1;
    if (whole) {
      int first = Arrays.binarySearch(moreKeys, key(shard, 0));
      whole =
          first >= 0
              && first + shard.parts() <= moreKeys.length
              && moreKeys[first + shard.parts() - 1] == key(shard, shard.parts() - 1);
    }
    return new GroupStep(
        firstAt,
        writtenAt,
        closed,
        conflicting,
        whole && shard.stage() == Stage.LOCAL ? local | bit : local,
        whole && shard.stage() == Stage.REDUCED ? reduced | bit : reduced,
        weighed,
        moreKeys,
        moreHashes);
  }

  /** With a contribution of the rank that contradicts an earlier one. */
  GroupStep contradicted(int member) {
    return new GroupStep(
        firstAt,
        writtenAt,
        closed,
        conflicting | 1L << member,
        local,
        reduced,
        weighed,
        keys,
        hashes);
  }

  /** Sent on, with the losses of more ranks. */
  GroupStep sent(long ranks) {
    return new GroupStep(
        firstAt, writtenAt, true, conflicting, local, reduced, weighed | ranks, keys, hashes);
  }

  private static long[] inserted(long[] values, int at, long value) {
    long[] more = new long[values.length + 1];
    System.arraycopy(values, 0, more, 0, at);
    more[at] = value;
    System.arraycopy(values, at, more, at + 1, values.length - at);
    return more;
  }
}
