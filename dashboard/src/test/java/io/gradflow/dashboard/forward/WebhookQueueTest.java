package io.gradflow.dashboard.forward;

import static io.gradflow.dashboard.forward.AlertOf.at;
import static io.gradflow.dashboard.forward.AlertOf.incident;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.incident.Alert.State;
import io.gradflow.dashboard.forward.Outbox.Parcel;
import io.gradflow.schema.Topic;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.avro.Schema;
import org.junit.jupiter.api.Test;

class WebhookQueueTest {
  private final WebhookQueue queue =
      new WebhookQueue(new Links(Optional.of("http://page"), Optional.empty()));

  @Test
  void eachTransitionGoesOutOnceAndInOrder() {
    queue.take(incident("a", 0, State.OPENED), at(0, 10));
    queue.take(incident("b", 0, State.OPENED), at(0, 11));
    queue.take(incident("a", 1, State.RESOLVED), at(0, 12));
    queue.take(incident("a", 0, State.OPENED), at(0, 13));
    queue.take(incident("a", 1, State.RESOLVED), at(0, 14));

    assertThat(drain()).containsExactly("a#0", "b#0", "a#1");
  }

  @Test
  void whatWasToldByAnEarlierProcessIsNotToldAgain() {
    queue.remember(incident("a", 0, State.OPENED), at(0, 10));
    queue.remember(incident("a", 1, State.UPDATED), at(0, 11));
    queue.take(incident("a", 0, State.OPENED), at(0, 12));
    queue.take(incident("a", 1, State.UPDATED), at(0, 13));
    queue.take(incident("a", 2, State.RESOLVED), at(0, 14));

    assertThat(drain()).containsExactly("a#2");
  }

  @Test
  void whatIsNotSettledComesAgainAndWaits() {
    assertThat(queue.hasRoom()).isTrue();
    queue.take(incident("a", 0, State.OPENED), at(0, 10));
    queue.take(incident("b", 0, State.OPENED), at(2, 7));
    assertThat(queue.hasRoom()).isFalse();

    Optional<Parcel> first = queue.next(1);
    assertThat(queue.next(2)).isEqualTo(first);
    assertThat(queue.waiting()).containsExactly(at(0, 10), at(2, 7));

    queue.settle(3);
    assertThat(queue.waiting()).containsExactly(at(2, 7));
    queue.settle(4);
    assertThat(queue.hasRoom()).isTrue();
    assertThat(queue.next(5)).isEmpty();
  }

  @Test
  void theBodyHoldsTheWholeAlertUnderTheNamesOfItsSchema() throws Exception {
    queue.take(incident("a", 0, State.EXPIRED), at(0, 10));

    JsonNode body = new ObjectMapper().readTree(queue.next(0).orElseThrow().body());

    assertThat(body.path("version").asInt()).isEqualTo(1);
    assertThat(body.path("event").asText()).isEqualTo("expired");
    assertThat(body.path("page").asText()).isEqualTo("http://page/#run=run%20a&incident=a");
    assertThat(body.path("runbook").isNull()).isTrue();
    JsonNode alert = body.path("alert");
    assertNamesAreThoseOf(Topic.ALERTS.schema(), alert);
    assertThat(alert.path("runId").asText()).isEqualTo("run a");
    assertThat(alert.path("lossAfter").asText()).as("a number JSON has none for").isEqualTo("NaN");
    assertThat(alert.at("/evidence/tail/1").asText()).isEqualTo("NaN");
  }

  private static void assertNamesAreThoseOf(Schema schema, JsonNode node) {
    List<String> names = new ArrayList<>();
    node.fieldNames().forEachRemaining(names::add);
    assertThat(names)
        .containsExactlyInAnyOrderElementsOf(
            schema.getFields().stream().map(Schema.Field::name).toList());
    for (Schema.Field field : schema.getFields()) {
      JsonNode value = node.get(field.name());
      Schema nested = record(field.schema());
      if (nested != null) {
        assertNamesAreThoseOf(nested, value.isArray() ? value.get(0) : value);
      }
    }
  }

  private static Schema record(Schema schema) {
    return switch (schema.getType()) {
      case RECORD -> schema;
      case ARRAY -> record(schema.getElementType());
      case UNION ->
          schema.getTypes().stream()
              .map(WebhookQueueTest::record)
              .filter(found -> found != null)
              .findFirst()
              .orElse(null);
      default -> null;
    };
  }

  private List<String> drain() {
    List<String> keys = new ArrayList<>();
    for (var parcel = queue.next(0); parcel.isPresent(); parcel = queue.next(0)) {
      keys.add(parcel.get().idempotencyKey().orElseThrow());
      queue.settle(0);
    }
    return keys;
  }
}
