package io.gradflow.cli;

/**
 * One line of a terminal, clipped to a width in columns, with ANSI styles unless told otherwise.
 *
 * <p>Text is any text: control and formatting characters are shown as {@code ?}, so that a run's
 * name cannot steer the terminal. Every character counts as one column.
 */
final class StyledLine {
  /** How a piece of text stands out; each is told apart without its colour too. */
  enum Style {
    PLAIN(""),
    STRONG("1"),
    FAINT("2"),
    /** Above: orange, which stays apart from the blue of below for every kind of colour vision. */
    HIGH("38;5;208"),
    LOW("38;5;39"),
    /** What is broken: bold and reversed, so that it is the heaviest cell also without colour. */
    BROKEN("1;7");

    private final String code;

    Style(String code) {
      this.code = code;
    }
  }

  private final StringBuilder text = new StringBuilder();
  private final int width;
  private final boolean styled;
  private int column;

  StyledLine(int width, boolean styled) {
    this.width = width;
    this.styled = styled;
  }

  /** A text of any length with nothing in it that could steer a terminal. */
  static String plain(String text) {
    return new StyledLine(Integer.MAX_VALUE, false).add(text).toString();
  }

  /** How many columns are left. */
  int room() {
    return width - column;
  }

  StyledLine add(String piece) {
    return add(Style.PLAIN, piece);
  }

  /** Appends what fits of the piece. */
  StyledLine add(Style style, String piece) {
    int length = Math.min(piece.codePointCount(0, piece.length()), room());
    if (length <= 0) {
      return this;
    }
    boolean escape = styled && !style.code.isEmpty();
    if (escape) {
      text.append("\033[").append(style.code).append('m');
    }
    piece.codePoints().limit(length).map(StyledLine::harmless).forEach(text::appendCodePoint);
    if (escape) {
      text.append("\033[0m");
    }
    column += length;
    return this;
  }

  /** Appends the piece cut or filled with blanks to so many columns; a cut shows as {@code …}. */
  StyledLine addPadded(Style style, String piece, int columns) {
    int length = piece.codePointCount(0, piece.length());
    if (length > columns) {
      return add(style, piece.substring(0, piece.offsetByCodePoints(0, columns - 1)) + "…");
    }
    return add(style, piece + " ".repeat(columns - length));
  }

  /** Appends the piece at the right end of the line, or what fits of it. */
  StyledLine addRight(String piece) {
    int length = piece.codePointCount(0, piece.length());
    return add(" ".repeat(Math.max(0, room() - length))).add(piece);
  }

  private static int harmless(int codePoint) {
    return switch (Character.getType(codePoint)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.SURROGATE ->
          '?';
      default -> codePoint;
    };
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
