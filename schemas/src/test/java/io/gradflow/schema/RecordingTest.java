package io.gradflow.schema;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.RunEvent;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.avro.Schema;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.file.SeekableByteArrayInput;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RecordingTest {
  private static List<Topic> recorded() {
    return RecordingFormat.TOPICS;
  }

  @Test
  void givesBackEveryRecordByteForByte() throws IOException {
    List<Recorded> records = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      records.add(event("run", i));
    }
    byte[] event = records.get(0).value();
    records.add(with(records.get(0), "no Avro".getBytes(StandardCharsets.UTF_8)));
    records.add(with(records.get(0), Arrays.copyOf(event, event.length - 1)));
    records.add(with(records.get(0), Arrays.copyOf(event, event.length + 1)));
    records.add(with(records.get(0), new byte[0]));
    records.add(new Recorded(Topic.RUNS, 0, 1, 2, "run", null, event));

    List<Recorded> read = read(written(records));

    assertThat(read).usingRecursiveComparison().isEqualTo(records);
  }

  @Test
  void isReadByAvrosOwnTools() throws IOException {
    byte[] file = written(List.of(event("run", 7)));
    try (var reader =
        new DataFileReader<GenericRecord>(
            new SeekableByteArrayInput(file), new GenericDatumReader<>())) {
      GenericRecord record = reader.next();
      assertThat(record.get("topic")).hasToString("gradient-runs");
      assertThat(((GenericRecord) record.get("value")).get("step")).isEqualTo(7L);
      assertThat(reader.hasNext()).isFalse();
    }
  }

  @ParameterizedTest
  @MethodSource("recorded")
  void whatIsRecordedBeginsWithItsRun(Topic topic) {
    Schema.Field first = topic.schema().getFields().get(0);
    assertThat(first.name()).isEqualTo("runId");
    assertThat(first.schema().getType()).isEqualTo(Schema.Type.STRING);
  }

  @Test
  void anotherNameChangesTheRunAndNothingElse() {
    Recorded renamed = event("a|b", 7).as("100 %");

    Recorded expected = event("100 %", 7);
    assertThat(renamed).usingRecursiveComparison().isEqualTo(expected);
    assertThat(new String(renamed.key(), StandardCharsets.UTF_8)).isEqualTo("100 %25");
    Recorded shard =
        new Recorded(
            Topic.SHARDS, 0, 0, 0, "a", "a|3".getBytes(StandardCharsets.UTF_8), renamed.value());
    assertThat(shard.as("b").key()).asString(StandardCharsets.UTF_8).isEqualTo("b|3");
    assertThatThrownBy(() -> with(renamed, new byte[] {0, 0, 0, 0, 1, 2}).as("b"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("gradient-runs-2@7 of run 100 % cannot be renamed");
  }

  @Test
  void whereverAFileIsCutOrDamagedItSaysSo() throws IOException {
    List<Recorded> records = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      records.add(event("run", i));
    }
    byte[] file = written(records);
    int header = headerBytes(file);
    for (int length = 0; length < file.length; length += length < header - 97 ? 97 : 1) {
      byte[] cut = Arrays.copyOf(file, length);
      boolean onlyHeader = length == header;
      if (onlyHeader) {
        assertThat(read(cut)).isEmpty();
      } else {
        assertThatThrownBy(() -> read(cut)).as("cut at %d", length).isInstanceOf(IOException.class);
      }
    }
    Random random = new Random(20);
    for (int i = 0; i < 1_000; i++) {
      byte[] damaged = file.clone();
      damaged[random.nextInt(file.length)] ^= (byte) (1 + random.nextInt(255));
      try {
        assertThat(read(damaged)).hasSizeLessThan(1_000);
      } catch (IOException e) {
        assertThat(e).hasMessageMatching(".*(expected|damaged).*");
      }
    }
  }

  @Test
  void saysWhatAFileIsThatIsNoRecording() throws IOException {
    assertThatThrownBy(() -> read("{\"json\": 1}".getBytes(StandardCharsets.UTF_8)))
        .hasMessage(
            "expected an Avro container file written by gradflow record, got a file that does not begin with Obj and 01");
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Schema other = Schema.createRecord("Other", null, "x", false, List.of());
    try (var writer = new DataFileWriter<GenericRecord>(new GenericDatumWriter<>())) {
      writer.create(other, out).append(new GenericData.Record(other));
    }
    assertThatThrownBy(() -> read(out.toByteArray()))
        .hasMessage(
            "expected an Avro container file written by gradflow record, got one of \"x.Other\"");
  }

  private static Recorded event(String run, long step) {
    RunEvent event =
        new RunEvent(
            run,
            3,
            StepId.MAIN_STREAM,
            step,
            RunEvent.Type.CHECKPOINT,
            99,
            Map.of("a", "b", "c", "d"));
    Encoded encoded = Codecs.RUNS.encode(event).get(0);
    return new Recorded(Topic.RUNS, 2, 7, 1_000, run, encoded.key(), encoded.value());
  }

  private static Recorded with(Recorded record, byte[] value) {
    return new Recorded(
        record.topic(),
        record.partition(),
        record.offset(),
        record.timestamp(),
        record.run(),
        record.key(),
        value);
  }

  private static byte[] written(List<Recorded> records) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (RecordingWriter writer = new RecordingWriter(out)) {
      for (Recorded record : records) {
        writer.append(record);
      }
    }
    return out.toByteArray();
  }

  /** The header ends with the file's mark, which the last bytes of the file repeat. */
  private static int headerBytes(byte[] file) {
    byte[] sync = Arrays.copyOfRange(file, file.length - 16, file.length);
    int at = 0;
    while (!Arrays.equals(sync, Arrays.copyOfRange(file, at, at + 16))) {
      at++;
    }
    return at + 16;
  }

  private static List<Recorded> read(byte[] file) throws IOException {
    List<Recorded> records = new ArrayList<>();
    try (RecordingReader reader = new RecordingReader(new ByteArrayInputStream(file))) {
      for (Recorded record = reader.next(); record != null; record = reader.next()) {
        records.add(record);
      }
    }
    return records;
  }
}
