package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.gradflow.jobs.BrokerContact;
import io.gradflow.operators.detect.Contact;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BrokerContactTest {
  private static final Duration PAUSE = Duration.ofMillis(250);
  private static final String NAME = "contact-under-test";

  @TempDir private Path folder;

  @Test
  void contactIsMissingWhileTheBrokerIsAwayAndNotBeforeNorAfter() throws Exception {
    int port = Ports.anyFree();
    LocalKafka kafka = LocalKafka.start(new Workspace(folder), port);
    Properties client = new Properties();
    client.putAll(Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, kafka.bootstrapServers()));
    BrokerContact contact = new BrokerContact(client, NAME, PAUSE);
    contact.open(3);
    try {
      TimeUnit.MILLISECONDS.sleep(8 * PAUSE.toMillis());
      assertThat(contact.lostMs()).isEqualTo(Contact.NEVER);

      kafka.close();
      long away = System.currentTimeMillis();
      await()
          .atMost(Duration.ofSeconds(30))
          .untilAsserted(() -> assertThat(contact.lostMs()).isGreaterThan(away + 2_000));

      kafka = LocalKafka.start(new Workspace(folder), port);
      await()
          .atMost(Duration.ofSeconds(60))
          .untilAsserted(
              () ->
                  assertThat(System.currentTimeMillis() - contact.lostMs())
                      .isGreaterThan(8 * PAUSE.toMillis()));
    } finally {
      contact.close();
      kafka.close();
    }
    await()
        .atMost(Duration.ofSeconds(30))
        .untilAsserted(
            () ->
                assertThat(Thread.getAllStackTraces().keySet())
                    .as("threads of a contact that is closed")
                    .noneMatch(thread -> thread.getName().contains(NAME)));
  }
}
