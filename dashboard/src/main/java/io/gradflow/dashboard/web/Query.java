package io.gradflow.dashboard.web;

import io.gradflow.core.StepId;
import io.gradflow.dashboard.live.RunStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Parameters of a request. What is not as it should be is refused with status 400. */
final class Query {
  private static final int MOST_PARAMETERS = 32;
  private static final int MOST_CHARACTERS = 500;

  private final Map<String, String> values;

  private Query(Map<String, String> values) {
    this.values = values;
  }

  /** The parameters of a query or of a form; of a repeated one the first counts. */
  static Query of(String raw) {
    Map<String, String> values = new LinkedHashMap<>();
    if (raw != null && !raw.isEmpty()) {
      for (String piece : raw.split("&", -1)) {
        int equals = piece.indexOf('=');
        String name = equals < 0 ? piece : piece.substring(0, equals);
        try {
          values.putIfAbsent(
              URLDecoder.decode(name, StandardCharsets.UTF_8),
              equals < 0
                  ? ""
                  : URLDecoder.decode(piece.substring(equals + 1), StandardCharsets.UTF_8));
        } catch (IllegalArgumentException e) {
          throw new Refused(
              400, "expected percent-encoded parameters, got what is none: encode them as UTF-8");
        }
        if (values.size() > MOST_PARAMETERS) {
          throw new Refused(400, "expected at most " + MOST_PARAMETERS + " parameters, got more");
        }
      }
    }
    return new Query(values);
  }

  /** A parameter's text; null if it is not there. */
  String text(String name) {
    return values.get(name);
  }

  /** The stream asked for. */
  RunStream stream() {
    return stream("run", "stream");
  }

  /** One or two streams. */
  List<RunStream> streams() {
    List<RunStream> streams = new ArrayList<>(List.of(stream()));
    if (values.containsKey("run2")) {
      streams.add(stream("run2", "stream2"));
    }
    return streams;
  }

  private RunStream stream(String run, String stream) {
    String name = values.getOrDefault(stream, StepId.MAIN_STREAM);
    return new RunStream(
        name(run, values.get(run)), name(stream, name.isEmpty() ? StepId.MAIN_STREAM : name));
  }

  private static String name(String parameter, String name) {
    if (name == null || name.isEmpty()) {
      throw new Refused(400, "expected the parameter " + parameter + ", got none: name a run");
    }
    if (name.length() > MOST_CHARACTERS) {
      throw new Refused(
          400,
          "expected "
              + parameter
              + " of at most "
              + MOST_CHARACTERS
              + " characters, got "
              + name.length());
    }
    return name;
  }

  /** A whole number that must be there. */
  long number(String name) {
    if (!values.containsKey(name)) {
      throw new Refused(400, "expected the parameter " + name + ", a whole number, got none");
    }
    return number(name, 0);
  }

  /** A whole number. */
  long number(String name, long otherwise) {
    String text = values.get(name);
    if (text == null || text.isEmpty()) {
      return otherwise;
    }
    try {
      return Long.parseLong(text);
    } catch (NumberFormatException e) {
      throw new Refused(
          400,
          "expected " + name + " to be a whole number, got " + text.length() + " other characters");
    }
  }
}
