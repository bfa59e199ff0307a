package io.gradflow.schema;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Shard;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.SchemaBuilder;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.junit.jupiter.api.Test;

/** Records of writers with other schemas than this build's, as Avro itself writes them. */
class EvolutionTest {
  private static final String OWN = Topic.SHARDS.schema().toString();

  @Test
  void aWritersFurtherFieldsAreSkippedWhateverTheyAre() throws IOException {
    Schema writer =
        new Schema.Parser()
            .parse(
                OWN.replaceFirst(
                    "\"fields\":\\[",
                    """
                    "fields":[
                      {"name":"colour","type":{"type":"enum","name":"C","symbols":["RED","BLUE"]},
                       "default":"BLUE"},
                      {"name":"either","type":["string","long",{"type":"map","values":"bytes"}],
                       "default":"x"},
                      {"name":"tree","type":{"type":"record","name":"Tree","fields":[
                        {"name":"leaves","type":{"type":"array","items":"Tree"},"default":[]},
                        {"name":"id","type":{"type":"fixed","name":"F","size":3},"default":"abc"},
                        {"name":"x","type":"float","default":1},
                        {"name":"y","type":"boolean","default":true}]},
                       "default":{"leaves":[],"id":"abc","x":1,"y":true}},
                    """
                        .replace("\n", " ")));
    Shard shard = new Samples(9).shard(6);
    assertSame(read(writer, rewritten(shard, writer)), shard);
  }

  @Test
  void aFieldTheWriterDoesNotKnowTakesItsDefault() throws IOException {
    Schema writer = without("sumAbs", "zeros", "accumIndex", "accumSteps", "stream", "weight");
    Shard shard = read(writer, rewritten(new Samples(9).shard(6), writer));
    assertThat(shard.columns().sumAbs()).isNull();
    assertThat(shard.columns().zeros()).isNull();
    assertThat(shard.accumIndex()).isZero();
    assertThat(shard.accumSteps()).isEqualTo(1);
    assertThat(shard.id().stream()).isEqualTo("main");
    assertThat(shard.weight()).isEqualTo(1.0);
  }

  @Test
  void aFieldWithoutDefaultMustBeWritten() throws IOException {
    Schema writer = without("runId");
    Undecodable failure = decode(writer, rewritten(new Samples(9).shard(1), writer)).failure();
    assertThat(failure.reason().word()).isEqualTo("wrong-schema");
    assertThat(failure.detail())
        .endsWith("expected a field runId in the writer's GradientShard, got none");
  }

  @Test
  void numbersAreWidenedAndNullabilityMayDiffer() throws IOException {
    Schema writer =
        SchemaBuilder.record("GradientShard")
            .namespace("io.gradflow.schema")
            .fields()
            .requiredString("runId")
            .requiredInt("attempt")
            .requiredInt("step")
            .requiredInt("rank")
            .requiredInt("manifestId")
            .requiredString("stage")
            .requiredFloat("weight")
            .requiredLong("loss")
            .name("lossScale")
            .type()
            .unionOf()
            .floatType()
            .and()
            .nullType()
            .endUnion()
            .noDefault()
            .name("norm")
            .type()
            .array()
            .items()
            .floatType()
            .noDefault()
            .name("maxAbs")
            .type()
            .array()
            .items()
            .floatType()
            .noDefault()
            .name("elements")
            .type()
            .array()
            .items()
            .intType()
            .noDefault()
            .name("learningRates")
            .type()
            .array()
            .items()
            .floatType()
            .noDefault()
            .endRecord();
    GenericRecord record = new GenericData.Record(writer);
    record.put("runId", "r");
    record.put("attempt", 1);
    record.put("step", 2);
    record.put("rank", 3);
    record.put("manifestId", 4);
    record.put("stage", "LOCAL");
    record.put("weight", 0.5f);
    record.put("loss", 6L);
    record.put("lossScale", 8f);
    record.put("norm", List.of(1f, 2f));
    record.put("maxAbs", List.of(1f, 2f));
    record.put("elements", List.of(10, 20));
    record.put("learningRates", List.of(0.25f));
    Shard shard = read(writer, written(record));
    assertThat(shard.id().step()).isEqualTo(2);
    assertThat(shard.weight()).isEqualTo(0.5);
    assertThat(shard.loss()).isEqualTo(6.0);
    assertThat(shard.lossScale()).isEqualTo(8.0);
    LayerColumns columns = shard.columns();
    assertThat(columns.norm()).containsExactly(1, 2);
    assertThat(columns.elements()).containsExactly(10, 20);
    assertThat(shard.learningRates()).containsExactly(0.25);
  }

  @Test
  void aTypeThatCannotBeWidenedIsNamed() throws IOException {
    Schema writer =
        new Schema.Parser()
            .parse(
                OWN.replace(
                    "\"name\":\"rank\",\"type\":\"int\"", "\"name\":\"rank\",\"type\":\"long\""));
    Undecodable failure = decode(writer, rewritten(new Samples(9).shard(1), writer)).failure();
    assertThat(failure.reason().word()).isEqualTo("wrong-schema");
    assertThat(failure.detail())
        .endsWith(
            "expected GradientShard.rank to hold \"\\\"int\\\"\", got \"\\\"long\\\"\""
                .replace("\\\"", "\""));
  }

  @Test
  void arraysInManySmallBlocksAreReadWhole() throws IOException {
    Shard shard = new Samples(9).shard(1_000);
    Schema writer = Topic.SHARDS.schema();
    Object generic = generic(shard, writer);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(WriterSchemas.header(writer));
    BinaryEncoder blocks =
        new EncoderFactory().configureBlockSize(64).blockingBinaryEncoder(out, null);
    new GenericDatumWriter<>(writer).write(generic, blocks);
    blocks.flush();
    assertSame(read(writer, out.toByteArray()), shard);
  }

  private static Schema without(String... fields) {
    Schema own = Topic.SHARDS.schema();
    List<Schema.Field> kept =
        own.getFields().stream()
            .filter(f -> !List.of(fields).contains(f.name()))
            .map(f -> new Schema.Field(f, f.schema()))
            .toList();
    Schema schema = Schema.createRecord(own.getName(), null, own.getNamespace(), false, kept);
    if (!List.of(fields).contains("runId")) {
      assertThat(SchemaCompatibility.checkReaderWriterCompatibility(own, schema).getType())
          .isEqualTo(SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE);
    }
    return schema;
  }

  private static Object generic(Shard shard, Schema resolvedTo) throws IOException {
    byte[] bytes = Codecs.SHARDS.encode(shard).get(0).value();
    return new GenericDatumReader<>(Topic.SHARDS.schema(), resolvedTo)
        .read(null, DecoderFactory.get().binaryDecoder(bytes, 10, bytes.length - 10, null));
  }

  /** The shard as a writer with that schema would have written it. */
  private static byte[] rewritten(Shard shard, Schema writer) throws IOException {
    return written((GenericRecord) generic(shard, writer));
  }

  private static byte[] written(GenericRecord record) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(WriterSchemas.header(record.getSchema()));
    BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
    new GenericDatumWriter<GenericRecord>(record.getSchema()).write(record, encoder);
    encoder.flush();
    return out.toByteArray();
  }

  private static Decoded<Shard> decode(Schema writer, byte[] bytes) {
    assertThat(ByteBuffer.wrap(bytes).getShort()).isEqualTo((short) 0xC301);
    return Codecs.SHARDS
        .decoder(WriterSchemas.known(List.of(writer)))
        .decode(bytes, Samples.ORIGIN);
  }

  private static Shard read(Schema writer, byte[] bytes) {
    Decoded<Shard> decoded = decode(writer, bytes);
    assertThat(decoded.failure()).isNull();
    return decoded.value();
  }

  private static void assertSame(Shard actual, Shard expected) {
    assertThat(actual)
        .usingRecursiveComparison()
        .withEqualsForType(Double::equals, Double.class)
        .isEqualTo(expected);
  }
}
