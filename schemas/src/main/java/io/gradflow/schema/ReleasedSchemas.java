package io.gradflow.schema;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.apache.avro.Schema;

/**
 * The schemas of all releases, frozen when they were released: what was written by any of them is
 * read by this build, and what this build writes by any of them.
 */
final class ReleasedSchemas {
  /** The releases, oldest first. */
  static final List<String> RELEASES = List.of("0.1.0");

  private ReleasedSchemas() {}

  /** The schema a release wrote to a topic; null if it did not know the topic. */
  static Schema of(String release, Topic topic) {
    String resource = "released/%s/%s.avsc".formatted(release, topic.schema().getName());
    try (InputStream in = ReleasedSchemas.class.getResourceAsStream(resource)) {
      return in == null ? null : new Schema.Parser().parse(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The schemas of all releases and topics. */
  static List<Schema> all() {
    return Stream.of(Topic.values())
        .filter(topic -> topic.schema() != null)
        .flatMap(topic -> RELEASES.stream().map(release -> of(release, topic)))
        .filter(Objects::nonNull)
        .toList();
  }
}
