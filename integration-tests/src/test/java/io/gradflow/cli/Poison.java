package io.gradflow.cli;

import io.gradflow.schema.Topic;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.apache.avro.Schema;

/** The ways in which a record's bytes can be bad, each made from a valid record of the topic. */
enum Poison {
  TRUNCATED("malformed") {
    @Override
    byte[] of(Sample sample, Random random) {
      return Arrays.copyOf(sample.valid(), HEADER + random.nextInt(sample.valid().length - HEADER));
    }
  },
  WRONG_MAGIC("unknown-framing") {
    @Override
    byte[] of(Sample sample, Random random) {
      byte[] bytes = sample.valid().clone();
      bytes[random.nextInt(2)] = (byte) (2 + random.nextInt(100));
      return bytes;
    }
  },
  UNKNOWN_SCHEMA("unknown-schema") {
    @Override
    byte[] of(Sample sample, Random random) {
      if (random.nextBoolean()) {
        return confluent(
            NO_SCHEMA, Arrays.copyOfRange(sample.valid(), HEADER, sample.valid().length));
      }
      byte[] bytes = sample.valid().clone();
      bytes[2 + random.nextInt(Long.BYTES)] ^= (byte) (1 + random.nextInt(127));
      return bytes;
    }
  },
  WRONG_SCHEMA("wrong-schema") {
    @Override
    byte[] of(Sample sample, Random random) {
      return sample.ofAnotherTopic();
    }
  },
  ABSURD_ARRAY("malformed") {
    @Override
    byte[] of(Sample sample, Random random) {
      ByteArrayOutputStream out = start(sample);
      for (Schema.Field field : sample.topic().schema().getFields()) {
        if (writeUpToLength(out, field.schema())) {
          break;
        }
      }
      writeLong(out, random.nextBoolean() ? Integer.MAX_VALUE : Long.MAX_VALUE);
      return out.toByteArray();
    }
  },
  ABSURD_STRING("malformed") {
    @Override
    byte[] of(Sample sample, Random random) {
      ByteArrayOutputStream out = start(sample);
      // Every record begins with the run's name.
      writeLong(out, random.nextBoolean() ? Integer.MAX_VALUE : 1L << 40);
      out.writeBytes(noise(random, 100));
      return out.toByteArray();
    }
  },
  DEEP_RECURSION("malformed") {
    @Override
    byte[] of(Sample sample, Random random) {
      byte[] body = new byte[100_000 + random.nextInt(100_000)];
      Arrays.fill(body, (byte) 2); // Each is the second branch of a union: one level deeper.
      return confluent(RECURSIVE.indexOf(sample.topic()), body);
    }
  },
  TRAILING_BYTES("malformed") {
    @Override
    byte[] of(Sample sample, Random random) {
      byte[] more = noise(random, 1 + random.nextInt(100));
      byte[] bytes = Arrays.copyOf(sample.valid(), sample.valid().length + more.length);
      System.arraycopy(more, 0, bytes, sample.valid().length, more.length);
      return bytes;
    }
  },
  NON_FINITE_HEADER("bad-header") {
    @Override
    byte[] of(Sample sample, Random random) {
      byte[] number = littleEndian(sample.number());
      int at = 0;
      while (!Arrays.equals(sample.valid(), at, at + Double.BYTES, number, 0, Double.BYTES)) {
        at++;
      }
      byte[] bytes = sample.valid().clone();
      byte[] bad = littleEndian(random.nextBoolean() ? Double.NaN : Double.POSITIVE_INFINITY);
      System.arraycopy(bad, 0, bytes, at, Double.BYTES);
      return bytes;
    }
  },
  TWENTY_MEGABYTES("too-large") {
    @Override
    byte[] of(Sample sample, Random random) {
      byte[] bytes = noise(random, 20_000_000);
      System.arraycopy(sample.valid(), 0, bytes, 0, sample.valid().length);
      return bytes;
    }
  };

  /** Bytes before the body of a record in single-object encoding. */
  private static final int HEADER = 10;

  /** Topics by the id of their recursive schema. */
  private static final List<Topic> RECURSIVE =
      List.of(Topic.MANIFESTS, Topic.RUNS, Topic.SHARDS, Topic.BLOCKS, Topic.STEPS);

  /** An id that the registry does not know. */
  private static final int NO_SCHEMA = 404;

  private final String reason;

  Poison(String reason) {
    this.reason = reason;
  }

  /**
   * What poison of a topic is made from.
   *
   * @param valid a record of the topic
   * @param ofAnotherTopic a valid record of another one
   * @param number a value that must be finite, the first of that value in the valid record; null if
   *     records of the topic have none
   */
  record Sample(Topic topic, byte[] valid, byte[] ofAnotherTopic, Double number) {}

  /** What the dead letter says. */
  String reason() {
    return reason;
  }

  /** One instance. */
  abstract byte[] of(Sample sample, Random random);

  /**
   * What a registry may answer: of each topic its schema made recursive, so that it begins with
   * another record of its own kind, or none; empty for an id that nothing is registered under.
   */
  static Optional<String> registered(int id) {
    if (id >= RECURSIVE.size()) {
      return Optional.empty();
    }
    Schema schema = RECURSIVE.get(id).schema();
    return Optional.of(
        schema
            .toString()
            .replaceFirst(
                "\"fields\":\\[",
                "\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"%s\"]},"
                    .formatted(schema.getFullName())));
  }

  private static byte[] confluent(int id, byte[] body) {
    return ByteBuffer.allocate(5 + body.length).put((byte) 0).putInt(id).put(body).array();
  }

  private static byte[] littleEndian(double number) {
    return ByteBuffer.allocate(Double.BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putDouble(number)
        .array();
  }

  private static ByteArrayOutputStream start(Sample sample) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(sample.valid(), 0, HEADER);
    return out;
  }

  /**
   * Writes some value of the field; true if it stopped where an array's or a map's length is due.
   */
  private static boolean writeUpToLength(ByteArrayOutputStream out, Schema field) {
    switch (field.getType()) {
      case ARRAY, MAP -> {
        return true;
      }
      case STRING -> out.writeBytes(new byte[] {2, 'r'});
      case INT, LONG, BOOLEAN, BYTES -> out.write(0);
      case DOUBLE -> out.writeBytes(new byte[Double.BYTES]);
      case UNION -> out.write(0);
      default -> throw new IllegalStateException("no array before " + field);
    }
    return false;
  }

  private static void writeLong(ByteArrayOutputStream out, long value) {
    long zigzag = value << 1 ^ value >> 63;
    for (; (zigzag & ~0x7FL) != 0; zigzag >>>= 7) {
      out.write((int) ((zigzag & 0x7F) | 0x80));
    }
    out.write((int) zigzag);
  }

  private static byte[] noise(Random random, int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }
}
