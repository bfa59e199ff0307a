package io.gradflow.cli;

import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * The terminal on standard output, or the knowledge that there is none.
 *
 * <p>Frames are drawn on the alternate screen, so that what was on the terminal before is there
 * again afterwards.
 */
final class Terminal {
  /** The system property by which the launcher says that standard output is a terminal. */
  static final String PROPERTY = "gradflow.terminal";

  private static final long SIZE_HOLDS_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final PrintWriter out;
  private final Map<String, String> environment;
  private Size size = new Size(100, 30);
  private long sizeRead;
  private boolean open;

  /**
   * Draws nothing yet.
   *
   * @param out standard output
   * @param environment of the process
   */
  Terminal(PrintWriter out, Map<String, String> environment) {
    this.out = out;
    this.environment = environment;
  }

  /** Columns and lines. */
  record Size(int columns, int lines) {}

  /** Whether frames can be drawn in place. */
  boolean isLive() {
    return Boolean.getBoolean(PROPERTY) && !environment.getOrDefault("TERM", "dumb").equals("dumb");
  }

  /** Whether styles are welcome: see no-color.org. */
  boolean isStyled() {
    return environment.getOrDefault("NO_COLOR", "").isEmpty();
  }

  /** The size now: as the environment says, else as the terminal does, else 100 by 30. */
  synchronized Size size() {
    long now = System.nanoTime();
    if (sizeRead == 0 || now - sizeRead > SIZE_HOLDS_NANOS) {
      size = readSize();
      sizeRead = now;
    }
    return size;
  }

  private Size readSize() {
    Size said =
        parse(
            environment.getOrDefault("LINES", "") + " " + environment.getOrDefault("COLUMNS", ""));
    if (said != null) {
      return said;
    }
    try {
      Process stty =
          new ProcessBuilder("stty", "size")
              .redirectInput(new File("/dev/tty"))
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      Size asked =
          parse(new String(stty.getInputStream().readAllBytes(), StandardCharsets.US_ASCII));
      return asked == null ? size : asked;
    } catch (IOException e) {
      return size; // No such program, or no terminal: the size known so far will do.
    }
  }

  /** Two positive numbers, lines first, or null. */
  private static Size parse(String text) {
    String[] parts = text.strip().split("\\s+", -1);
    if (parts.length != 2 || !parts[0].matches("\\d{1,5}") || !parts[1].matches("\\d{1,5}")) {
      return null;
    }
    Size parsed = new Size(Integer.parseInt(parts[1]), Integer.parseInt(parts[0]));
    return parsed.columns > 0 && parsed.lines > 0 ? parsed : null;
  }

  /** Shows the lines in place of the last frame. */
  synchronized void draw(List<String> frame) {
    StringBuilder text = new StringBuilder();
    if (!open) {
      text.append("\033[?1049h\033[?25l"); // alternate screen, no cursor
      open = true;
    }
    text.append("\033[H");
    for (int i = 0; i < frame.size(); i++) {
      text.append(i == 0 ? "" : "\r\n").append(frame.get(i)).append("\033[K");
    }
    text.append("\033[J");
    out.print(text);
    out.flush();
  }

  /** Gives the screen back, with a last frame left on it. */
  synchronized void leave(List<String> lastFrame) {
    if (!open) {
      return;
    }
    open = false;
    out.print("\033[0m\033[?25h\033[?1049l");
    lastFrame.forEach(line -> out.print(line + "\n"));
    out.flush();
  }
}
