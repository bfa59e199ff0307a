package io.gradflow.dashboard.forward;

import io.gradflow.core.Hash64;
import java.net.URI;
import java.util.Locale;
import java.util.Optional;

/**
 * Somebody to be told. What it prints holds neither credentials nor the path of its URL, which may
 * be a secret, too.
 *
 * @param number tells those of a kind apart, from 0
 * @param url of an Alertmanager its base, of a webhook the whole
 * @param authorization value of the header of that name
 * @param secret bodies are signed with
 */
public record Target(
    Kind kind, int number, URI url, Optional<String> authorization, Optional<String> secret) {

  /** How it is spoken to. */
  public enum Kind {
    /** API v2. */
    ALERTMANAGER,
    /** A POST of each transition. */
    WEBHOOK
  }

  /**
   * Checks the URL.
   *
   * @throws IllegalArgumentException if it is none of HTTP, or holds credentials
   */
  public Target {
    String scheme = url.getScheme() == null ? "" : url.getScheme().toLowerCase(Locale.ROOT);
    if (!(scheme.equals("http") || scheme.equals("https")) || url.getHost() == null) {
      throw new IllegalArgumentException("expected a URL like https://host:port/path");
    }
    if (url.getUserInfo() != null) {
      throw new IllegalArgumentException(
          "expected a URL without credentials, got some; put them into a file and name that");
    }
  }

  /** How metrics and lines name it. */
  String name() {
    return kind.name().toLowerCase(Locale.ROOT) + "-" + number;
  }

  /** The consumer group that keeps its position. */
  String group(String prefix) {
    return prefix + "-" + new Hash64().add(kind.name()).add(url.toString()).hex();
  }

  /** Where requests go. */
  URI endpoint() {
    return switch (kind) {
      case ALERTMANAGER -> URI.create(url.toString().replaceAll("/+$", "") + "/api/v2/alerts");
      case WEBHOOK -> url;
    };
  }

  @Override
  public String toString() {
    return name() + " at " + url.getHost() + (url.getPort() < 0 ? "" : ":" + url.getPort());
  }
}
