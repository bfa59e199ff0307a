package io.gradflow.cli;

import io.gradflow.dashboard.Dashboard;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.io.PrintWriter;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Predicate;

/** The demo as a person has it that watches: broker, Flink, jobs, training and the page. */
final class DemoOnPage implements AutoCloseable {
  private final LocalStack stack;
  private final DemoSession session;
  private final Thread training;
  private Dashboard page;

  private DemoOnPage(LocalStack stack, DemoSession session, Thread training, Dashboard page) {
    this.stack = stack;
    this.session = session;
    this.training = training;
    this.page = page;
  }

  /** Starts it with a healthy training that does not end by itself. */
  static DemoOnPage start(TrainingPolicy policy) {
    Progress progress = new Progress(new PrintWriter(System.err, true, StandardCharsets.UTF_8));
    LocalStack stack =
        LocalStack.start(
            new LocalStack.Settings(
                Workspace.current(), OptionalInt.of(0), OptionalInt.of(0), 2, 4),
            progress);
    LocalJobs jobs = LocalJobs.start(stack);
    String brokers = stack.kafka().bootstrapServers();
    DemoSession session =
        DemoSession.begin(new DemoPlan(Scenario.HEALTHY, policy, Optional.empty()), brokers);
    Thread training =
        new Thread(
            () -> {
              try {
                session.train(jobs);
              } catch (InterruptedException e) {
                // Closed.
              }
            },
            "demo");
    training.setDaemon(true);
    training.start();
    return new DemoOnPage(
        stack, session, training, LocalPage.start(brokers, Ports.anyFree(), Optional.of(session)));
  }

  DemoSession session() {
    return session;
  }

  String brokers() {
    return stack.kafka().bootstrapServers();
  }

  /** Where the page is, with a run and whatever else the address says. */
  String address(String hash) {
    return page.uri() + "#" + hash;
  }

  URI uri() {
    return page.uri();
  }

  /** Ends the page's server, waits as said, and starts another in its place. */
  void restartServer(Runnable meanwhile) {
    int port = page.uri().getPort();
    page.close();
    meanwhile.run();
    page = LocalPage.start(brokers(), port, Optional.of(session));
  }

  /** A value of a topic. */
  record Recorded<T>(long timestamp, T value) {}

  /** All values of a topic that are wanted, in order, with the times of their records. */
  <T> List<Recorded<T>> recorded(Codec<T> codec, Predicate<T> wanted) {
    List<Recorded<T>> values = new ArrayList<>();
    WriterSchemas writers = WriterSchemas.known();
    Decoder<T> decoder = codec.decoder(writers);
    try (TopicReader reader = new TopicReader(brokers(), writers)) {
      reader
          .withRaw(
              codec.topic(),
              record -> {
                T value = decoder.decode(record.value(), null).value();
                if (wanted.test(value)) {
                  values.add(new Recorded<>(record.timestamp(), value));
                }
              })
          .readToEnd();
    }
    return values;
  }

  @Override
  public void close() {
    page.close();
    training.interrupt();
    session.close();
    stack.close();
  }
}
