package io.gradflow.dashboard.web;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.detect.DetectionPolicy;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.shard.Capture;
import io.gradflow.dashboard.live.LiveRuns;
import io.gradflow.dashboard.topics.Requests;
import io.gradflow.schema.Codecs;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;

/** Takes what people write on the page to the topics. */
final class Writing {
  static final ObjectMapper JSON = new ObjectMapper();
  private static final int MOST_NAME = 500;
  private static final int MOST_NOTE = 4_000;
  private static final int MOST_ITEMS = 1_000;
  private static final int MOST_STEPS = 1_000;
  private static final long MOST_BYTES = 1L << 30;
  private static final long MOST_SECONDS = 86_400;
  private static final String BY = "page";

  private final Requests requests;
  private final LiveRuns live;
  private final AtomicLong lastVersion = new AtomicLong();

  Writing(Requests requests, LiveRuns live) {
    this.requests = requests;
    this.live = live;
  }

  /** A body as JSON. */
  static JsonNode body(byte[] bytes) {
    try {
      JsonNode body = JSON.readTree(bytes);
      if (body == null || !body.isObject()) {
        throw new Refused(400, "expected a JSON object, got another value");
      }
      return body;
    } catch (JsonProcessingException e) {
      throw new Refused(400, "expected a JSON object, got what cannot be parsed");
    } catch (IOException e) {
      throw new Refused(400, "expected a JSON object, got what cannot be read");
    }
  }

  void feedback(JsonNode body) {
    requests.publish(
        Codecs.FEEDBACK,
        new Feedback(
            name(body, "run"),
            name(body, "incidentId"),
            constant(body, "verdict", Feedback.Verdict.class),
            BY,
            System.currentTimeMillis(),
            optionalText(body, "note", MOST_NOTE)));
  }

  byte[] capture(JsonNode body) {
    long now = System.currentTimeMillis();
    Capture capture =
        new Capture(
            UUID.randomUUID().toString(),
            name(body, "run"),
            name(body, "stream"),
            names(body, "layers"),
            ranks(body),
            null,
            (int) number(body, "steps", 1, MOST_STEPS),
            number(body, "byteBudget", 1, MOST_BYTES),
            now + 1_000 * number(body, "expiresInSeconds", 1, MOST_SECONDS),
            BY,
            now);
    requests.publish(Codecs.CAPTURES, capture);
    return Json.bytes(
        out -> Json.object(out, () -> out.writeStringField("captureId", capture.captureId())));
  }

  byte[] rule(JsonNode body) {
    Map<String, Double> thresholds = new TreeMap<>();
    JsonNode given = body.path("thresholds");
    if (!given.isObject() && !given.isMissingNode()) {
      throw new Refused(400, "expected thresholds to be an object of numbers, got another value");
    }
    for (Map.Entry<String, JsonNode> one : given.properties()) {
      if (!one.getValue().isNumber()) {
        throw new Refused(400, "expected thresholds to be numbers, got another value");
      }
      thresholds.put(one.getKey(), one.getValue().doubleValue());
    }
    long highest = live.rules().stream().mapToLong(Rule::policyVersion).max().orElse(0);
    long version = lastVersion.updateAndGet(last -> Math.max(last, highest) + 1);
    Rule rule =
        new Rule(
            name(body, "scope"),
            constant(body, "kind", FindingKind.class),
            version,
            constant(body, "mode", Rule.Mode.class),
            thresholds);
    try {
      DetectionPolicy.DEFAULT.with(rule);
    } catch (IllegalArgumentException e) {
      throw new Refused(400, e.getMessage());
    }
    requests.publish(Codecs.RULES, rule);
    return Json.bytes(
        out -> Json.object(out, () -> out.writeNumberField("policyVersion", version)));
  }

  static String name(JsonNode body, String field) {
    String text = optionalText(body, field, MOST_NAME);
    if (text == null || text.isEmpty()) {
      throw new Refused(400, "expected " + field + ", a text, got none");
    }
    return text;
  }

  static String optionalText(JsonNode body, String field, int most) {
    JsonNode value = body.path(field);
    if (value.isMissingNode() || value.isNull()) {
      return null;
    }
    if (!value.isTextual() || value.textValue().length() > most) {
      throw new Refused(
          400,
          "expected " + field + " to be a text of at most " + most + " characters, got another");
    }
    return value.textValue();
  }

  static long number(JsonNode body, String field, long low, long high) {
    JsonNode value = body.path(field);
    if (!value.isIntegralNumber()
        || !value.canConvertToLong()
        || value.longValue() < low
        || value.longValue() > high) {
      throw new Refused(
          400, "expected " + field + " to be a whole number of " + low + " to " + high);
    }
    return value.longValue();
  }

  private static List<String> names(JsonNode body, String field) {
    JsonNode values = body.path(field);
    if (!values.isArray() || values.isEmpty() || values.size() > MOST_ITEMS) {
      throw new Refused(400, "expected " + field + " to be 1 to " + MOST_ITEMS + " names");
    }
    List<String> names = new ArrayList<>();
    for (JsonNode value : values) {
      if (!value.isTextual()
          || value.textValue().isEmpty()
          || value.textValue().length() > MOST_NAME) {
        throw new Refused(
            400, "expected " + field + " of 1 to " + MOST_NAME + " characters, got another value");
      }
      names.add(value.textValue());
    }
    return names;
  }

  private static int[] ranks(JsonNode body) {
    JsonNode values = body.path("ranks");
    if (values.isMissingNode() || values.isNull()) {
      return null;
    }
    if (!values.isArray() || values.size() > MOST_ITEMS) {
      throw new Refused(400, "expected ranks to be at most " + MOST_ITEMS + " numbers, or null");
    }
    int[] ranks = new int[values.size()];
    for (int i = 0; i < ranks.length; i++) {
      if (!values.get(i).canConvertToInt()
          || !values.get(i).isIntegralNumber()
          || values.get(i).intValue() < 0) {
        throw new Refused(400, "expected ranks to be whole numbers of 0 or more");
      }
      ranks[i] = values.get(i).intValue();
    }
    return Arrays.stream(ranks).sorted().distinct().toArray();
  }

  private static <E extends Enum<E>> E constant(JsonNode body, String field, Class<E> constants) {
    String text = name(body, field);
    for (E constant : constants.getEnumConstants()) {
      if (constant.name().equals(text)) {
        return constant;
      }
    }
    throw new Refused(
        400,
        "expected "
            + field
            + " to be one of "
            + List.of(constants.getEnumConstants())
            + ", got another");
  }
}
