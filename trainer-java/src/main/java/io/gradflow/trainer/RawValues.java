package io.gradflow.trainer;

import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Slicing;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * A gradient to be published value by value instead of measured by the trainer.
 *
 * @param dtype of all the layers
 * @param layers little-endian values: position i is the manifest's layer i
 * @param slicing what the layers' slices are slices of
 */
record RawValues(Dtype dtype, byte[][] layers, Slicing slicing) {
  /** Bytes of values in one record: leaves room for a header with long names. */
  static final int SLICE_BYTES = 768 << 10;

  RawValues {
    for (int layer = 0; layer < layers.length; layer++) {
      if (layers[layer].length % dtype.width() != 0) {
        throw new IllegalArgumentException(
            "layer "
                + layer
                + ": expected whole values of "
                + dtype.width()
                + " bytes ("
                + dtype.word()
                + "), got "
                + layers[layer].length
                + " bytes");
      }
    }
  }

  /** A copy of the gradient: position i is the manifest's layer i. */
  static RawValues copyOf(float[][] gradients, Slicing slicing) {
    byte[][] layers = new byte[gradients.length][];
    for (int layer = 0; layer < gradients.length; layer++) {
      layers[layer] = new byte[gradients[layer].length * Float.BYTES];
      ByteBuffer.wrap(layers[layer])
          .order(ByteOrder.LITTLE_ENDIAN)
          .asFloatBuffer()
          .put(gradients[layer]);
    }
    return new RawValues(Dtype.FLOAT32, layers, slicing);
  }

  /** How much of the queue these take: 1 for each full block of bytes, begun ones counted. */
  int room() {
    long bytes = Arrays.stream(layers).mapToLong(layer -> layer.length).sum();
    return (int) (bytes / SLICE_BYTES) + 1;
  }

  /** Records these values take: at least one of each layer. */
  int blocks() {
    return Arrays.stream(layers).mapToInt(RawValues::slices).sum();
  }

  /**
   * Makes the blocks, one after the other.
   *
   * @param header of the next block, whatever its part
   */
  void toBlocks(Supplier<Shard> header, Consumer<Block> out) {
    int parts = blocks();
    int part = 0;
    for (int layer = 0; layer < layers.length; layer++) {
      byte[] values = layers[layer];
      for (int slice = 0; slice < slices(values); slice++) {
        int from = slice * SLICE_BYTES;
        int to = from + Math.min(values.length - from, SLICE_BYTES);
        long offset = from / dtype.width();
        long start = slicing.globalOffsets()[layer];
        out.accept(
            new Block(
                header.get().part(part++, parts, null),
                layer,
                offset,
                start == Slicing.UNKNOWN ? null : Long.valueOf(start + offset),
                (to - from) / dtype.width(),
                dtype,
                Arrays.copyOfRange(values, from, to),
                Block.Purpose.MEASURE,
                null));
      }
    }
  }

  private static int slices(byte[] layer) {
    // At least one: a rank whose slices are all empty has reported, too.
    return layer.length == 0 ? 1 : (layer.length - 1) / SLICE_BYTES + 1;
  }
}
