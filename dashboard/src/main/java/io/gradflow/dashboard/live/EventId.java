package io.gradflow.dashboard.live;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The id of an event: how much its client has been told of each of its streams. Holds no text of
 * users.
 *
 * @param era of the topics: offsets of topics that were made anew say nothing
 * @param lanes one for each stream that the client follows, in its order
 */
public record EventId(int era, List<Lane> lanes) {
  private static final int MOST_CHARACTERS = 400;

  /**
   * One stream's part.
   *
   * @param tag of the stream: an id of other streams says nothing of these
   */
  public record Lane(int tag, Position position) {
    /** The lane of a stream. */
    public static Lane of(RunStream stream, Position position) {
      return new Lane(stream.tag(), position);
    }

    /** Whether it is of this stream. */
    public boolean isOf(RunStream stream) {
      return tag == stream.tag();
    }
  }

  /** Reads an id; empty if it is none of ours. */
  public static Optional<EventId> parse(String text) {
    if (text == null || text.length() > MOST_CHARACTERS) {
      return Optional.empty();
    }
    String[] pieces = text.split("_", -1);
    try {
      List<Lane> lanes = new ArrayList<>();
      for (int i = 1; i < pieces.length; i++) {
        String[] numbers = pieces[i].split("\\.", -1);
        if (numbers.length != 6) {
          return Optional.empty();
        }
        lanes.add(
            new Lane(
                Integer.parseUnsignedInt(numbers[0], 16),
                new Position(
                    Long.parseLong(numbers[1]),
                    Long.parseLong(numbers[2]),
                    Long.parseLong(numbers[3]),
                    Long.parseLong(numbers[4]),
                    Long.parseUnsignedLong(numbers[5], 16))));
      }
      return Optional.of(new EventId(Integer.parseUnsignedInt(pieces[0], 16), lanes));
    } catch (NumberFormatException e) {
      return Optional.empty();
    }
  }

  /** As it is sent. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder(Integer.toHexString(era));
    for (Lane lane : lanes) {
      Position at = lane.position();
      text.append('_').append(Integer.toHexString(lane.tag()));
      text.append('.').append(at.steps()).append('.').append(at.attempt());
      text.append('.').append(at.alerts()).append('.').append(at.events());
      text.append('.').append(Long.toHexString(at.manifestId()));
    }
    return text.toString();
  }
}
