package io.gradflow.cli;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.util.OptionalInt;

/** TCP ports of the loopback interface. */
final class Ports {
  /** The flag that chooses the broker's port, on every command that starts one. */
  static final String KAFKA_OPTION = "--kafka-port";

  /** The flag that chooses the port of Flink's page, on every command that starts Flink. */
  static final String FLINK_OPTION = "--flink-port";

  /** The flag that chooses the port of gradflow's page, on every command that starts all. */
  static final String PAGE_OPTION = "--page-port";

  private static final int USUAL_OF_KAFKA = 9092;
  private static final int USUAL_OF_FLINK = 8081;
  private static final int USUAL_OF_PAGE = 8080;

  private Ports() {}

  /**
   * The broker's port.
   *
   * @param wanted 0 for any free one; empty for the usual one, or any free one if that is taken
   */
  static int ofKafka(OptionalInt wanted) {
    return choose(wanted, USUAL_OF_KAFKA, "the local broker", KAFKA_OPTION);
  }

  /**
   * The port of Flink's page.
   *
   * @param wanted 0 for any free one; empty for the usual one, or any free one if that is taken
   */
  static int ofFlink(OptionalInt wanted) {
    return choose(wanted, USUAL_OF_FLINK, "Flink's web page", FLINK_OPTION);
  }

  /**
   * The port of gradflow's page.
   *
   * @param wanted 0 for any free one; empty for the usual one, or any free one if that is taken
   */
  static int ofPage(OptionalInt wanted) {
    return choose(wanted, USUAL_OF_PAGE, "gradflow's page", PAGE_OPTION);
  }

  private static int choose(OptionalInt wanted, int usual, String who, String option) {
    if (wanted.isPresent()) {
      return wanted.getAsInt() == 0 ? anyFree() : require(wanted.getAsInt(), who, option);
    }
    return isFree(usual) ? usual : anyFree();
  }

  /** Whether nobody listens on the port right now. */
  static boolean isFree(int port) {
    try (ServerSocket socket = new ServerSocket()) {
      socket.setReuseAddress(true);
      socket.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  /** A port nobody listened on a moment ago. */
  static int anyFree() {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    } catch (IOException e) {
      throw new CommandFailed("no free TCP port on the loopback interface: " + e.getMessage(), e);
    }
  }

  /**
   * The port that was asked for, which must be free.
   *
   * @param who what is going to listen there, as the subject of a sentence
   * @param option the flag that chooses another port
   */
  private static int require(int port, String who, String option) {
    if (!isFree(port)) {
      throw new CommandFailed(
          "port %d is in use, and %s needs it: stop what listens there, or choose another with %s"
              .formatted(port, who, option));
    }
    return port;
  }
}
