package io.gradflow.dashboard.forward;

import java.io.IOException;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.HexFormat;
import java.util.Optional;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Carries parcels to one target, and says what became of each. */
final class Courier {
  private static final Duration ANSWER = Duration.ofSeconds(10);
  private static final int MOST_OF_AN_ANSWER = 200;

  private final Target target;
  private final HttpClient http;

  Courier(Target target, HttpClient http) {
    this.target = target;
    this.http = http;
  }

  /** What became of a parcel. */
  enum Outcome {
    DELIVERED,
    /** Refused for good: the same would be refused again. */
    REFUSED,
    /** It may be taken another time. */
    FAILED
  }

  /**
   * A target's answer.
   *
   * @param why what is to be said of it, unless it was delivered
   * @param pause what the target asks for before it is tried again
   */
  record Answer(Outcome outcome, String why, Optional<Duration> pause) {}

  /** Waits for the answer, 10 s at most. */
  Answer deliver(Outbox.Parcel parcel) throws InterruptedException {
    byte[] body = parcel.body().getBytes(StandardCharsets.UTF_8);
    HttpRequest.Builder request =
        HttpRequest.newBuilder(target.endpoint())
            .timeout(ANSWER)
            .header("Content-Type", "application/json")
            .header("User-Agent", "gradflow")
            .POST(HttpRequest.BodyPublishers.ofByteArray(body));
    parcel.idempotencyKey().ifPresent(key -> request.header("Idempotency-Key", key));
    target.authorization().ifPresent(value -> request.header("Authorization", value));
    target
        .secret()
        .ifPresent(
            secret -> request.header("X-Gradflow-Signature", "sha256=" + signature(secret, body)));
    try {
      HttpResponse<String> response =
          http.send(request.build(), HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
      return answer(
          response.statusCode(),
          response.body(),
          response.headers().firstValue("Retry-After"),
          Instant.now());
    } catch (IOException e) {
      String what = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
      return new Answer(Outcome.FAILED, PlainText.of(what, MOST_OF_AN_ANSWER), Optional.empty());
    }
  }

  static Answer answer(int status, String body, Optional<String> retryAfter, Instant now) {
    if (status / 100 == 2) {
      return new Answer(Outcome.DELIVERED, "", Optional.empty());
    }
    String said = body.lines().findFirst().orElse("");
    String why =
        "HTTP status "
            + status
            + (said.isEmpty() ? "" : ": " + PlainText.of(said, MOST_OF_AN_ANSWER));
    boolean passes = status == 408 || status == 425 || status == 429 || status / 100 == 5;
    return passes
        ? new Answer(Outcome.FAILED, why, retryAfter.flatMap(text -> pause(text, now)))
        : new Answer(Outcome.REFUSED, why, Optional.empty());
  }

  /** Seconds or a date, as RFC 9110 has it. */
  private static Optional<Duration> pause(String retryAfter, Instant now) {
    String text = retryAfter.strip();
    if (text.matches("\\d{1,9}")) {
      return Optional.of(Duration.ofSeconds(Long.parseLong(text)));
    }
    try {
      Instant then = ZonedDateTime.parse(text, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant();
      return Optional.of(Duration.between(now, then)).filter(pause -> !pause.isNegative());
    } catch (DateTimeParseException e) {
      return Optional.empty();
    }
  }

  static String signature(String secret, byte[] body) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(secret.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
      return HexFormat.of().formatHex(mac.doFinal(body));
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }
}
