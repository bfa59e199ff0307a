package io.gradflow.cli;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;

/** TCP ports of the loopback interface. */
final class Ports {
  private Ports() {}

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
  static int require(int port, String who, String option) {
    if (!isFree(port)) {
      throw new CommandFailed(
          "port %d is in use, and %s needs it: stop what listens there, or choose another with %s"
              .formatted(port, who, option));
    }
    return port;
  }
}
