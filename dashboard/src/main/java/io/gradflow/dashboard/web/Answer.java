package io.gradflow.dashboard.web;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What a request is answered with.
 *
 * @param headers beside those that every answer has
 */
record Answer(int status, String type, byte[] body, Map<String, String> headers) {
  static final String JSON = "application/json; charset=utf-8";
  static final String HTML = "text/html; charset=utf-8";
  private static final byte[] NOTHING = new byte[0];

  static Answer json(byte[] body) {
    return new Answer(200, JSON, body, Map.of());
  }

  static Answer binary(byte[] body) {
    return new Answer(200, "application/octet-stream", body, Map.of());
  }

  static Answer nothing(int status) {
    return new Answer(status, null, NOTHING, Map.of());
  }

  static Answer error(int status, String sentence) {
    return new Answer(
        status,
        JSON,
        Json.bytes(out -> Json.object(out, () -> Json.text(out, "error", sentence))),
        Map.of());
  }

  Answer with(String header, String value) {
    Map<String, String> more = new LinkedHashMap<>(headers);
    more.put(header, value);
    return new Answer(status, type, body, more);
  }
}
