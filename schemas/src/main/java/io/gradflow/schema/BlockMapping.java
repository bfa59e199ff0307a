package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Dtype;
import java.util.Arrays;
import java.util.List;

/** {@link Block} on the wire. */
final class BlockMapping implements Codec.Mapping<Block> {

  @Override
  public String key(Block block) {
    return Topic.key(block.header().id().runId(), block.header().rank());
  }

  @Override
  public Row toRow(Block block, RowType type) {
    return ShardMapping.header(block.header(), type)
        .set("layer", block.layer())
        .set("offset", block.offset())
        .set("count", block.count())
        .set("dtype", block.dtype().word())
        .set("values", block.values())
        .set("purpose", block.purpose().name())
        .set("captureId", block.captureId())
        .set("globalOffset", block.globalOffset());
  }

  @Override
  public Block fromRow(Row row, Origin origin) {
    Block block =
        new Block(
            ShardMapping.header(row, origin),
            Checks.within(row, "layer", 0, Integer.MAX_VALUE),
            Checks.notNegative(row, "offset"),
            globalOffset(row),
            Checks.notNegative(row, "count"),
            dtype(row),
            row.bytes("values"),
            row.constant("purpose", Block.Purpose.class),
            row.text("captureId"));
    if ((block.purpose() == Block.Purpose.CAPTURE) != (block.captureId() != null)) {
      throw Malformed.header(
          "expected a captureId with purpose CAPTURE and with no other, got purpose "
              + block.purpose()
              + (block.captureId() == null ? " without" : " with")
              + " one");
    }
    int width = block.dtype().width();
    if (block.values().length % width != 0 || block.values().length / width != block.count()) {
      throw Malformed.columns(
          "expected "
              + block.count()
              + " values of "
              + width
              + " bytes ("
              + block.dtype().word()
              + "), got "
              + block.values().length
              + " bytes");
    }
    return block;
  }

  private static Long globalOffset(Row row) {
    Long offset = row.optionalNumber("globalOffset");
    if (offset != null && offset < 0) {
      throw Malformed.header("expected globalOffset not to be negative, got " + offset);
    }
    return offset;
  }

  private static Dtype dtype(Row row) {
    String word = row.text("dtype");
    for (Dtype dtype : Dtype.values()) {
      if (dtype.word().equals(word)) {
        return dtype;
      }
    }
    List<String> known = Arrays.stream(Dtype.values()).map(Dtype::word).toList();
    throw Malformed.header("expected dtype to be one of " + known + ", got " + Excerpt.of(word));
  }
}
