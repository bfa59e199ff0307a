package io.gradflow.jobs;

import io.gradflow.operators.detect.Contact;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.common.errors.RetriableException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Whether a broker answers, asked again and again. A source waits in silence for a broker that is
 * away, and so cannot be told from one of which every run has stopped.
 */
public final class BrokerContact implements Contact {
  private static final Logger LOG = LoggerFactory.getLogger(BrokerContact.class);
  private static final Duration CLOSING = Duration.ofSeconds(5);

  private final Properties client;
  private final String clientIdPrefix;
  private final Duration pause;

  private transient volatile long lostMs;
  private transient Thread thread;

  /**
   * Asks nobody before it is opened.
   *
   * @param client how a Kafka client connects
   * @param clientIdPrefix before the index of the subtask
   * @param pause between two questions, and how long an answer may take
   */
  public BrokerContact(Properties client, String clientIdPrefix, Duration pause) {
    this.client = client;
    this.clientIdPrefix = clientIdPrefix;
    this.pause = pause;
  }

  @Override
  public void open(int subtask) {
    Properties properties = new Properties();
    properties.putAll(client);
    properties.setProperty(AdminClientConfig.CLIENT_ID_CONFIG, clientIdPrefix + "-" + subtask);
    Admin admin = Admin.create(properties);
    lostMs = NEVER;
    thread = new Thread(() -> watch(admin), clientIdPrefix + "-" + subtask);
    thread.setDaemon(true);
    thread.start();
  }

  @Override
  public long lostMs() {
    return lostMs;
  }

  @Override
  public void close() {
    if (thread == null) {
      return;
    }
    thread.interrupt();
    try {
      // It still loads classes of the job, whose class loader goes after this.
      thread.join(CLOSING.toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    thread = null;
  }

  private void watch(Admin admin) {
    boolean isLost = false;
    try {
      while (true) {
        boolean answers = answers(admin);
        if (!answers) {
          lostMs = System.currentTimeMillis();
        }
        if (answers == isLost) {
          isLost = !answers;
          LOG.warn(
              isLost
                  ? "No broker answers: runs that are silent meanwhile have not stalled"
                  : "A broker answers again: runs are awaited anew");
        }
        // Nobody tells that a broker has gone: it is asked at this pace, on a thread of its own.
        Thread.sleep(pause.toMillis());
      }
    } catch (InterruptedException e) {
      // Closed.
    } finally {
      admin.close(Duration.ZERO);
    }
  }

  /** A refusal is an answer too. */
  private boolean answers(Admin admin) throws InterruptedException {
    try {
      DescribeClusterOptions options = new DescribeClusterOptions();
      options.timeoutMs((int) pause.toMillis());
      admin.describeCluster(options).clusterId().get();
      return true;
    } catch (ExecutionException e) {
      return !(e.getCause() instanceof RetriableException);
    }
  }
}
