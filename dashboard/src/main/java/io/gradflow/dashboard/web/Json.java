package io.gradflow.dashboard.web;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.MappingJsonFactory;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Collection;

/** JSON as the page reads it: a number that is not finite is null. */
final class Json {
  private static final JsonFactory FACTORY = new MappingJsonFactory();

  private Json() {}

  interface Writing {
    void to(JsonGenerator out) throws IOException;
  }

  interface Fields {
    void write() throws IOException;
  }

  interface Item<T> {
    void write(T item) throws IOException;
  }

  static byte[] bytes(Writing writing) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream(1 << 10);
    try (JsonGenerator out = FACTORY.createGenerator(bytes)) {
      writing.to(out);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }

  static void object(JsonGenerator out, Fields fields) throws IOException {
    out.writeStartObject();
    fields.write();
    out.writeEndObject();
  }

  static void object(JsonGenerator out, String name, Fields fields) throws IOException {
    out.writeFieldName(name);
    object(out, fields);
  }

  static <T> void array(JsonGenerator out, Collection<T> items, Item<? super T> each)
      throws IOException {
    out.writeStartArray();
    for (T item : items) {
      each.write(item);
    }
    out.writeEndArray();
  }

  static <T> void array(JsonGenerator out, String name, Collection<T> items, Item<? super T> each)
      throws IOException {
    out.writeFieldName(name);
    array(out, items, each);
  }

  static void text(JsonGenerator out, String name, String text) throws IOException {
    out.writeStringField(name, text);
  }

  static void texts(JsonGenerator out, String name, Collection<String> texts) throws IOException {
    array(out, name, texts, out::writeString);
  }

  static void number(JsonGenerator out, double value) throws IOException {
    if (Double.isFinite(value)) {
      out.writeNumber(value);
    } else {
      out.writeNull();
    }
  }

  static void number(JsonGenerator out, String name, double value) throws IOException {
    out.writeFieldName(name);
    number(out, value);
  }

  /** Null is null. */
  static void number(JsonGenerator out, String name, Double value) throws IOException {
    number(out, name, value == null ? Double.NaN : value.doubleValue());
  }

  /** Null is null. */
  static void whole(JsonGenerator out, String name, Number value) throws IOException {
    out.writeFieldName(name);
    if (value == null) {
      out.writeNull();
    } else {
      out.writeNumber(value.longValue());
    }
  }

  /** As {@link #number}, but that what is not finite is a word. */
  static void numberOrWord(JsonGenerator out, double value) throws IOException {
    if (Double.isFinite(value)) {
      out.writeNumber(value);
    } else {
      out.writeString(Double.toString(value));
    }
  }

  static void numbers(JsonGenerator out, String name, double[] values) throws IOException {
    out.writeFieldName(name);
    if (values == null) {
      out.writeNull();
      return;
    }
    out.writeStartArray();
    for (double value : values) {
      number(out, value);
    }
    out.writeEndArray();
  }

  static void wholes(JsonGenerator out, String name, long[] values) throws IOException {
    out.writeFieldName(name);
    if (values == null) {
      out.writeNull();
      return;
    }
    out.writeArray(values, 0, values.length);
  }

  static void wholes(JsonGenerator out, String name, int[] values) throws IOException {
    out.writeFieldName(name);
    if (values == null) {
      out.writeNull();
      return;
    }
    out.writeArray(values, 0, values.length);
  }
}
