package io.gradflow.dashboard.web;

import com.sun.net.httpserver.HttpExchange;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Who may ask: by token, by the name the server is called by, and by where a write comes from. */
final class Access {
  static final String COOKIE = "gradflow";
  private static final String BEARER = "Bearer ";

  private final Optional<String> token;
  private final Optional<String> session;
  private final Set<String> names;
  private final Scheme scheme;

  /** How the server is reached. */
  enum Scheme {
    HTTP,
    HTTPS
  }

  /**
   * @param token empty: everybody may read
   * @param names of the server, beside those of the loopback interface
   */
  Access(Optional<String> token, Set<String> names, Scheme scheme) {
    this.token = token;
    this.session = token.map(Access::session);
    this.names = new TreeSet<>(Set.of("localhost", "127.0.0.1", "[::1]"));
    names.forEach(name -> this.names.add(name.toLowerCase(Locale.ROOT)));
    this.scheme = scheme;
  }

  /** What a browser keeps in place of the token; it ends with the token, not with the process. */
  private static String session(String token) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(token.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
      return HexFormat.of()
          .formatHex(mac.doFinal("session of the page".getBytes(StandardCharsets.UTF_8)));
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Refuses a request to a name that is not the server's: a page of another site whose name leads
   * here could otherwise read all.
   */
  void requireKnownHost(HttpExchange exchange) {
    String host = exchange.getRequestHeaders().getFirst("Host");
    if (host == null || !isKnown(hostOf(host), exchange.getLocalAddress())) {
      throw new Refused(
          421,
          "expected a request to one of the names of this server, got another: add the name to"
              + " those the page is started with");
    }
  }

  private boolean isKnown(String host, InetSocketAddress local) {
    String address = local.getAddress().getHostAddress();
    int zone = address.indexOf('%');
    address = zone < 0 ? address : address.substring(0, zone);
    return names.contains(host)
        || host.equals(address.indexOf(':') < 0 ? address : '[' + address + ']');
  }

  private static String hostOf(String header) {
    int colon = header.lastIndexOf(':');
    boolean port = colon > header.lastIndexOf(']');
    return (port ? header.substring(0, colon) : header).toLowerCase(Locale.ROOT);
  }

  /** Whether a request carries the token, or the session that it gave. */
  boolean isAllowed(HttpExchange exchange) {
    if (token.isEmpty()) {
      return true;
    }
    String header = exchange.getRequestHeaders().getFirst("Authorization");
    if (header != null && header.startsWith(BEARER)) {
      return isToken(header.substring(BEARER.length()).strip());
    }
    List<String> cookies = exchange.getRequestHeaders().getOrDefault("Cookie", List.of());
    for (String line : cookies) {
      for (String cookie : line.split(";", -1)) {
        String[] pair = cookie.strip().split("=", 2);
        if (pair.length == 2 && pair[0].equals(COOKIE) && same(pair[1], session.orElseThrow())) {
          return true;
        }
      }
    }
    return false;
  }

  /** Whether that is the token. */
  boolean isToken(String text) {
    return token.isPresent() && text != null && same(text, token.get());
  }

  private static boolean same(String one, String other) {
    return MessageDigest.isEqual(
        one.getBytes(StandardCharsets.UTF_8), other.getBytes(StandardCharsets.UTF_8));
  }

  /** Whether the browser speaks TLS: to this server, or to a proxy before it on this machine. */
  private boolean isEncrypted(HttpExchange exchange) {
    return scheme == Scheme.HTTPS
        || (exchange.getRemoteAddress().getAddress().isLoopbackAddress()
            && "https"
                .equalsIgnoreCase(exchange.getRequestHeaders().getFirst("X-Forwarded-Proto")));
  }

  /** The header that gives a browser its session. */
  String sessionCookie(HttpExchange exchange) {
    return COOKIE
        + "="
        + session.orElseThrow()
        + "; Path=/; HttpOnly; SameSite=Strict"
        + (isEncrypted(exchange) ? "; Secure" : "");
  }

  /** Refuses a write that a page of another site could have sent. */
  void requireOwnPage(HttpExchange exchange) {
    String type = exchange.getRequestHeaders().getFirst("Content-Type");
    if (type == null || !type.split(";", 2)[0].strip().equalsIgnoreCase("application/json")) {
      throw new Refused(415, "expected Content-Type: application/json, got another: send JSON");
    }
    if (!"page".equals(exchange.getRequestHeaders().getFirst("X-Gradflow"))) {
      throw new Refused(403, "expected the header X-Gradflow: page, got none: send it");
    }
    String origin = exchange.getRequestHeaders().getFirst("Origin");
    String own =
        (isEncrypted(exchange) ? "https://" : "http://")
            + exchange.getRequestHeaders().getFirst("Host");
    if (origin != null && !origin.equalsIgnoreCase(own)) {
      throw new Refused(403, "expected a request of this server's own page, got another's");
    }
  }
}
