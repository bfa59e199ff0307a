package io.gradflow.schema;

/** Hostile text, made fit for a sentence: quoted, short, without control characters. */
final class Excerpt {
  private static final int LENGTH = 60;

  private Excerpt() {}

  static String of(String text) {
    String start = text.length() <= LENGTH ? text : text.substring(0, LENGTH) + "...";
    return '"' + start.replaceAll("\\p{Cntrl}", "?") + '"';
  }
}
