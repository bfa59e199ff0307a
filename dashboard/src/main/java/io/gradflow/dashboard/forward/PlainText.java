package io.gradflow.dashboard.forward;

/** Text of users, made fit for places that show one line. */
final class PlainText {
  private PlainText() {}

  /**
   * The text without anything that could steer a terminal or break a line, which becomes {@code ?},
   * cut to so many characters.
   */
  static String of(String text, int most) {
    int length = text.codePointCount(0, text.length());
    StringBuilder plain = new StringBuilder();
    text.codePoints()
        .limit(length > most ? most - 1 : most)
        .map(PlainText::harmless)
        .forEach(plain::appendCodePoint);
    return length > most ? plain.append('…').toString() : plain.toString();
  }

  private static int harmless(int codePoint) {
    return switch (Character.getType(codePoint)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.SURROGATE,
          Character.UNASSIGNED ->
          '?';
      default -> codePoint;
    };
  }
}
