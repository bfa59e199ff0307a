package io.gradflow.dashboard.web;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.gradflow.dashboard.web.DashboardOptions.Limits;
import io.gradflow.dashboard.web.DashboardOptions.Tls;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLHandshakeException;
import javax.net.ssl.TrustManagerFactory;
import org.assertj.core.api.AbstractStringAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The page over TLS, with certificates that the JDK's keytool makes. */
class SocketsTest {
  private static final String TOKEN = "a token of this page";
  private static final String PASSWORD = "changeit";

  @TempDir private Path folder;

  private Path store() {
    return folder.resolve("keys.p12");
  }

  private void keytool(String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
    command.addAll(Arrays.asList(arguments));
    command.addAll(
        List.of("-keystore", store().toString(), "-storetype", "PKCS12", "-storepass", PASSWORD));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(said).isZero();
  }

  /** Makes an authority and, vouched for by it, a server's certificate. */
  private KeyStore certificates(String algorithm) throws Exception {
    keytool(
        "-genkeypair",
        "-alias",
        "authority",
        "-keyalg",
        "EC",
        "-dname",
        "CN=authority",
        "-ext",
        "bc:c",
        "-validity",
        "2");
    keytool(
        "-genkeypair",
        "-alias",
        "page",
        "-keyalg",
        algorithm,
        "-dname",
        "CN=page",
        "-signer",
        "authority",
        "-ext",
        "san=dns:localhost,ip:127.0.0.1",
        "-validity",
        "2");
    return KeyStore.getInstance(store().toFile(), PASSWORD.toCharArray());
  }

  private Path pem(String name, String label, byte[]... blocks) throws IOException {
    StringBuilder text = new StringBuilder("a comment, as tools leave them\n");
    for (byte[] block : blocks) {
      text.append("-----BEGIN ").append(label).append("-----\n");
      text.append(Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(block));
      text.append("\n-----END ").append(label).append("-----\n");
    }
    return Files.writeString(folder.resolve(name), text);
  }

  private Path chain(KeyStore keys) throws Exception {
    Certificate[] chain = keys.getCertificateChain("page");
    assertThat(chain).hasSize(2);
    return pem("page.pem", "CERTIFICATE", chain[0].getEncoded(), chain[1].getEncoded());
  }

  private static byte[] key(KeyStore keys, String alias) throws Exception {
    return keys.getKey(alias, PASSWORD.toCharArray()).getEncoded();
  }

  private static DashboardOptions options(Path certificates, Path key, InetAddress listen) {
    return TestServer.options(
        listen,
        Optional.of(TOKEN),
        Optional.of(new Tls(certificates, key)),
        Limits.USUAL,
        Optional.empty());
  }

  private static HttpClient trusting(Certificate authority) throws Exception {
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    trusted.setCertificateEntry("authority", authority);
    TrustManagerFactory trust =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    return HttpClient.newBuilder().sslContext(context).build();
  }

  @ParameterizedTest
  @ValueSource(strings = {"RSA", "EC", "Ed25519"})
  void thePageIsServedWithItsWholeChainToWhoHasTheToken(String algorithm) throws Exception {
    KeyStore keys = certificates(algorithm);
    DashboardOptions options =
        options(
            chain(keys),
            pem("page.key", "PRIVATE KEY", key(keys, "page")),
            InetAddress.getByName("0.0.0.0"));
    try (TestServer server = TestServer.start(options, Duration.ofSeconds(5))) {
      HttpClient http = trusting(keys.getCertificate("authority"));
      URI page = URI.create("https://localhost:" + server.port());
      HttpRequest.Builder request = HttpRequest.newBuilder(page.resolve("/api/runs"));

      assertThat(status(http, request.build())).isEqualTo(401);
      assertThat(status(http, request.header("Authorization", "Bearer " + TOKEN).build()))
          .isEqualTo(200);
      HttpResponse<String> login =
          http.send(
              HttpRequest.newBuilder(page.resolve("/login"))
                  .POST(HttpRequest.BodyPublishers.ofString("token=a+token+of+this+page"))
                  .build(),
              HttpResponse.BodyHandlers.ofString());
      assertThat(login.statusCode()).isEqualTo(303);
      String cookie = login.headers().firstValue("Set-Cookie").orElseThrow();
      assertThat(cookie).contains("; HttpOnly; SameSite=Strict").endsWith("; Secure");
      assertThat(
              status(
                  http,
                  HttpRequest.newBuilder(page.resolve("/"))
                      .header("Cookie", cookie.split(";", 2)[0])
                      .build()))
          .isEqualTo(200);
      assertThatThrownBy(() -> status(HttpClient.newHttpClient(), request.build()))
          .isInstanceOf(SSLHandshakeException.class);
    }
  }

  private static int status(HttpClient http, HttpRequest request) throws Exception {
    return http.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
  }

  @Test
  void filesThatAreNoneAreRefusedInOneLine() throws Exception {
    KeyStore keys = certificates("EC");
    Path chain = chain(keys);
    Path key = pem("page.key", "PRIVATE KEY", key(keys, "page"));

    assertRefused(chain, pem("of-another", "PRIVATE KEY", key(keys, "authority")))
        .endsWith("got: the key is another certificate's");
    assertRefused(chain, pem("old.key", "EC PRIVATE KEY", key(keys, "page")))
        .endsWith("got: the key file has no block PRIVATE KEY");
    assertRefused(chain, pem("locked.key", "ENCRYPTED PRIVATE KEY", key(keys, "page")))
        .endsWith("got: the key file has no block PRIVATE KEY");
    assertRefused(chain, pem("broken.key", "PRIVATE KEY", new byte[] {1, 2, 3}))
        .startsWith("TLS: expected a PEM certificate in " + chain);
    assertRefused(Files.writeString(folder.resolve("empty.pem"), ""), key).endsWith("got none");
    assertRefused(key, key).isNotEmpty();
    Path absent = folder.resolve("absent");
    assertRefused(absent, key).endsWith("got: cannot read " + absent);
    assertRefused(chain, absent).endsWith("got: cannot read " + absent);
  }

  private static AbstractStringAssert<?> assertRefused(Path certificates, Path key) {
    DashboardOptions options = options(certificates, key, InetAddress.getLoopbackAddress());
    Throwable refusal = catchThrowable(() -> Sockets.bind(options));
    assertThat(refusal).isInstanceOf(IOException.class);
    return assertThat(refusal.getMessage()).doesNotContain("\n").contains("expected", "got");
  }

  @Test
  void aPortThatIsTakenIsSaidInOneLine() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      assertThatThrownBy(
              () -> Sockets.bind(DashboardOptions.local("127.0.0.1:1", taken.getLocalPort())))
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith(
              "the page cannot listen on 127.0.0.1:%d: ".formatted(taken.getLocalPort()))
          .hasMessageEndingWith("; choose another port");
    }
  }
}
