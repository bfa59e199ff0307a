package io.gradflow.dashboard.web;

import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.BindException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Map;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/** The socket that the page is served on. */
public final class Sockets {
  private static final int BACKLOG = 256;
  private static final Map<String, String> SIGNATURES =
      Map.of("RSA", "SHA256withRSA", "EC", "SHA256withECDSA", "EdDSA", "EdDSA");
  private static final char[] NO_PASSWORD = new char[0];

  static {
    // Seconds in which a request must have come whole: a client may not hold a thread by sending
    // it byte by byte. Read once in a process, by the JDK's server.
    if (System.getProperty("sun.net.httpserver.maxReqTime") == null) {
      System.setProperty("sun.net.httpserver.maxReqTime", "30");
    }
  }

  private Sockets() {}

  /**
   * A server bound to the address of the options, not started.
   *
   * @throws IOException if it cannot be bound, or its certificate or key cannot be read, in one
   *     line
   */
  public static HttpServer bind(DashboardOptions options) throws IOException {
    try {
      if (options.tls().isEmpty()) {
        return HttpServer.create(options.listen(), BACKLOG);
      }
      SSLContext context = context(options.tls().get());
      HttpsServer server = HttpsServer.create(options.listen(), BACKLOG);
      server.setHttpsConfigurator(new HttpsConfigurator(context));
      return server;
    } catch (BindException e) {
      throw new IOException(
          "the page cannot listen on %s:%d: %s; choose another port"
              .formatted(
                  options.listen().getAddress().getHostAddress(),
                  options.listen().getPort(),
                  e.getMessage()),
          e);
    }
  }

  private static SSLContext context(DashboardOptions.Tls tls) throws IOException {
    try (InputStream in = Files.newInputStream(tls.certificates())) {
      Certificate[] chain =
          CertificateFactory.getInstance("X.509")
              .generateCertificates(in)
              .toArray(Certificate[]::new);
      if (chain.length == 0) {
        throw new IOException(
            "certificate: expected PEM certificates in %s, got none".formatted(tls.certificates()));
      }
      KeyStore store = KeyStore.getInstance("PKCS12");
      store.load(null, null);
      PrivateKey key = key(tls, chain[0].getPublicKey().getAlgorithm());
      requirePair(key, chain[0].getPublicKey());
      store.setKeyEntry("page", key, NO_PASSWORD, chain);
      KeyManagerFactory keys =
          KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
      keys.init(store, NO_PASSWORD);
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(keys.getKeyManagers(), null, null);
      return context;
    } catch (FileSystemException e) {
      throw refused(tls, "cannot read " + e.getFile(), e);
    } catch (GeneralSecurityException | IllegalArgumentException e) {
      throw refused(tls, e.getMessage(), e);
    }
  }

  private static IOException refused(DashboardOptions.Tls tls, String got, Exception cause) {
    return new IOException(
        "TLS: expected a PEM certificate in %s and its unencrypted PKCS #8 key in %s, got: %s"
            .formatted(tls.certificates(), tls.key(), got),
        cause);
  }

  /** A server with the key of another certificate would start, and fail for every client. */
  private static void requirePair(PrivateKey key, PublicKey certified)
      throws GeneralSecurityException {
    String scheme = SIGNATURES.get(certified.getAlgorithm());
    if (scheme != null) {
      byte[] words = "of one pair".getBytes(StandardCharsets.US_ASCII);
      Signature signature = Signature.getInstance(scheme);
      signature.initSign(key);
      signature.update(words);
      byte[] signed = signature.sign();
      signature.initVerify(certified);
      signature.update(words);
      if (!signature.verify(signed)) {
        throw new GeneralSecurityException("the key is another certificate's");
      }
    }
  }

  private static PrivateKey key(DashboardOptions.Tls tls, String algorithm)
      throws IOException, GeneralSecurityException {
    String pem = Files.readString(tls.key(), StandardCharsets.ISO_8859_1);
    String begin = "-----BEGIN PRIVATE KEY-----";
    int from = pem.indexOf(begin);
    int to = pem.indexOf("-----END PRIVATE KEY-----");
    if (from < 0 || to < from) {
      throw new GeneralSecurityException("the key file has no block PRIVATE KEY");
    }
    byte[] bytes = Base64.getMimeDecoder().decode(pem.substring(from + begin.length(), to));
    return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(bytes));
  }
}
