package io.gradflow.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.LongConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Many clients of the page's stream of events on one thread, each of which notes the steps it is
 * told of and when.
 */
final class StreamClients implements AutoCloseable {
  private static final int WAIT_MILLIS = 100;
  private static final int LINE = 2000;
  private static final Pattern STEP = Pattern.compile("\"step\":(\\d+)");

  private final Selector selector;
  private final Thread thread = new Thread(this::read, "stream clients");
  private final List<SocketChannel> stopped = new ArrayList<>();
  private final List<Client> clients = new ArrayList<>();
  private final AtomicLongArray steps;
  private final Collection<Long> delays = new ConcurrentLinkedQueue<>();
  private final AtomicLongArray sentNanos;
  private volatile boolean closed;

  private final class Client {
    private final int index;
    private final StringBuilder frame = new StringBuilder();
    private final StringBuilder line = new StringBuilder();
    private boolean headed;
    private int left;
    private boolean step;

    Client(int index) {
      this.index = index;
    }

    /** What has arrived: HTTP's chunks, of which the lines are put together again. */
    void take(ByteBuffer bytes) {
      while (bytes.hasRemaining()) {
        if (left > 0) {
          left--;
          body((char) (bytes.get() & 0xFF));
          continue;
        }
        char c = (char) (bytes.get() & 0xFF);
        if (c != '\n') {
          frame.append(c);
          continue;
        }
        String text = frame.toString().trim();
        frame.setLength(0);
        if (!headed) {
          headed = text.isEmpty();
        } else if (!text.isEmpty()) {
          left = Integer.parseInt(text, 16);
        }
      }
    }

    private void body(char c) {
      if (c != '\n') {
        // Nothing that is asked for stands further back in a line.
        if (line.length() < LINE) {
          line.append(c);
        }
        return;
      }
      if (line.indexOf("event:") == 0) {
        step = line.substring("event:".length()).trim().equals("step");
      } else if (step && line.indexOf("data:") == 0) {
        Matcher number = STEP.matcher(line);
        if (number.find()) {
          told(Long.parseLong(number.group(1)));
        }
      }
      line.setLength(0);
    }

    private void told(long number) {
      steps.incrementAndGet(index);
      long sent = number < sentNanos.length() ? sentNanos.get((int) number) : 0;
      if (sent != 0) {
        delays.add(System.nanoTime() - sent);
      }
    }
  }

  /**
   * Connects.
   *
   * @param stream address of the events
   * @param count clients that read
   * @param stoppedCount further ones that never read
   * @param maxSteps steps beyond are not timed
   */
  StreamClients(URI stream, int count, int stoppedCount, int maxSteps) {
    this.steps = new AtomicLongArray(count);
    this.sentNanos = new AtomicLongArray(maxSteps);
    try {
      this.selector = Selector.open();
      for (int i = 0; i < count; i++) {
        SocketChannel channel = connect(stream);
        Client client = new Client(i);
        clients.add(client);
        channel.configureBlocking(false);
        channel.register(selector, SelectionKey.OP_READ, client);
      }
      for (int i = 0; i < stoppedCount; i++) {
        stopped.add(connect(stream));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    thread.setDaemon(true);
    thread.start();
  }

  private static SocketChannel connect(URI stream) throws IOException {
    SocketChannel channel = SocketChannel.open();
    channel.setOption(StandardSocketOptions.SO_RCVBUF, 1 << 16);
    channel.connect(new InetSocketAddress(stream.getHost(), stream.getPort()));
    String request =
        "GET %s?%s HTTP/1.1\r\nHost: %s:%d\r\nAccept: text/event-stream\r\n\r\n"
            .formatted(
                stream.getRawPath(), stream.getRawQuery(), stream.getHost(), stream.getPort());
    channel.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.US_ASCII)));
    return channel;
  }

  /** What notes that a step is being sent now. */
  LongConsumer sending() {
    return step -> {
      if (step < sentNanos.length()) {
        sentNanos.set((int) step, System.nanoTime());
      }
    };
  }

  private void read() {
    ByteBuffer buffer = ByteBuffer.allocate(1 << 18);
    try {
      while (!closed) {
        selector.select(WAIT_MILLIS);
        for (SelectionKey key : selector.selectedKeys()) {
          buffer.clear();
          if (((SocketChannel) key.channel()).read(buffer) < 0) {
            key.cancel();
          }
          ((Client) key.attachment()).take(buffer.flip());
        }
        selector.selectedKeys().clear();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** How many steps each client was told of so far. */
  long[] steps() {
    return clients.stream().mapToLong(client -> steps.get(client.index)).toArray();
  }

  /** From sending a step to Kafka to a client that has read it, ms, ascending. */
  double[] delays() {
    return delays.stream().mapToDouble(nanos -> nanos / 1e6).sorted().toArray();
  }

  @Override
  public void close() {
    closed = true;
    try {
      thread.join(5_000);
      for (SelectionKey key : selector.keys()) {
        key.channel().close();
      }
      for (SocketChannel channel : stopped) {
        channel.close();
      }
      selector.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
