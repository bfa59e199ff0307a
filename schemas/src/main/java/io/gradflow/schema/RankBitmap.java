package io.gradflow.schema;

import java.util.BitSet;

/** Sets of ranks as bytes: rank r is bit {@code r % 8}, lowest first, of byte {@code r / 8}. */
final class RankBitmap {
  private RankBitmap() {}

  static byte[] of(int[] ranks) {
    BitSet bits = new BitSet();
    for (int rank : ranks) {
      bits.set(rank);
    }
    return bits.toByteArray();
  }

  /** The ranks, ascending; refused where one is not below the world's size. */
  static int[] ranks(String column, byte[] bitmap, int worldSize) {
    BitSet bits = BitSet.valueOf(bitmap);
    if (bits.length() > worldSize) {
      throw Malformed.header(
          "expected "
              + column
              + " below the world size "
              + worldSize
              + ", got "
              + (bits.length() - 1));
    }
    return bits.stream().toArray();
  }
}
