package io.gradflow.operators.detect;

import java.io.Serializable;

/**
 * Whether a subtask could hear its runs at all: while where they publish cannot be reached, nobody
 * is silent. Opened and closed with the subtask that asks.
 */
public interface Contact extends Serializable {
  /** What {@link #lostMs} is while contact was never missing. */
  long NEVER = Long.MIN_VALUE;

  /** Nothing is ever missing. */
  Contact ALWAYS =
      new Contact() {
        @Override
        public void open(int subtask) {}

        @Override
        public long lostMs() {
          return NEVER;
        }

        @Override
        public void close() {}
      };

  /** Begins to watch, as the subtask of that index. */
  void open(int subtask);

  /** When contact was missing last, in ms since the epoch; {@link #NEVER} if it was not. */
  long lostMs();

  /** Ends what {@link #open} began; may come without it. */
  void close();
}
