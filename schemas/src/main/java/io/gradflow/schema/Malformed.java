package io.gradflow.schema;

/** Carries an {@link Undecodable} out of nested reading; never leaves this package. */
final class Malformed extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private final Undecodable.Reason reason;

  Malformed(Undecodable.Reason reason, String sentence) {
    // No stack trace: hostile input must not make decoding slow.
    super(sentence, null, false, false);
    this.reason = reason;
  }

  static Malformed bytes(String sentence) {
    return new Malformed(Undecodable.Reason.MALFORMED, sentence);
  }

  static Malformed header(String sentence) {
    return new Malformed(Undecodable.Reason.BAD_HEADER, sentence);
  }

  static Malformed columns(String sentence) {
    return new Malformed(Undecodable.Reason.BAD_COLUMNS, sentence);
  }

  Undecodable.Reason reason() {
    return reason;
  }
}
