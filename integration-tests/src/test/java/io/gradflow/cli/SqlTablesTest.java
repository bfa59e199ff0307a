package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.schema.Topic;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.avro.Schema;
import org.apache.flink.table.api.ExplainDetail;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.catalog.Column;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.MapType;
import org.apache.flink.table.types.logical.RowType;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;
import org.junit.jupiter.params.provider.ValueSource;

/** The tables of deploy/sql beside the schemas of the topics. Needs no broker. */
class SqlTablesTest {
  /** What gradient_steps leaves out on purpose; tables.sql says why. */
  private static final Set<String> LEFT_OUT =
      Set.of(
          "events",
          "evidence.coherencePerLayer",
          "evidence.histogramBins",
          "evidence.histogramCounts",
          "evidence.histogramOffsets",
          "evidence.leastCoherence",
          "evidence.leastCoherentRanks",
          "evidence.outlierLog2Rms",
          "evidence.outlierRanks",
          "evidence.outliersPerLayer",
          "signals.histogramBins",
          "signals.histogramCounts",
          "signals.histogramOffsets");

  private static TableEnvironment tables;

  @BeforeAll
  static void define() throws Exception {
    tables = SqlFiles.tables("broker:9092", "streaming");
  }

  @ParameterizedTest
  @EnumSource(
      mode = Mode.INCLUDE,
      names = {"STEPS", "WINDOWS", "ALERTS", "RUNS", "MANIFESTS"})
  void declareEveryFieldByItsNameAndTypeButThoseLeftOutOnPurpose(Topic topic) {
    Map<String, String> fields = new TreeMap<>();
    topic.schema().getFields().forEach(field -> collect(field.name(), field.schema(), fields));
    if (topic == Topic.STEPS) {
      Set<String> gone = new TreeSet<>(LEFT_OUT);
      gone.removeIf(name -> fields.keySet().stream().noneMatch(f -> isWithin(name, f)));
      assertThat(gone).as("what is left out is a field").isEqualTo(new TreeSet<>(LEFT_OUT));
      fields.keySet().removeIf(f -> LEFT_OUT.stream().anyMatch(name -> isWithin(name, f)));
    }
    Map<String, String> columns = new TreeMap<>();
    for (Column column :
        tables.from(topic.topicName().replace('-', '_')).getResolvedSchema().getColumns()) {
      if (column.isPhysical()) {
        collect(column.getName(), column.getDataType().getLogicalType(), columns);
      }
    }

    assertThat(columns).isEqualTo(fields);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gradient_steps",
        "gradient_windows",
        "gradient_alerts",
        "gradient_runs",
        "gradient_manifests"
      })
  void theFormatFillsEveryColumn(String table) {
    assertThat(tables.explainSql("SELECT * FROM " + table)).contains("TableSourceScan");
  }

  @Test
  void transitionsAreOnlyAddedAndTheOtherViewsAreCorrected() {
    assertThat(lastMode("alert_transitions")).isEqualTo("[I]");
    for (String view : List.of("steps", "windows", "incidents")) {
      assertThat(lastMode(view)).as(view).isEqualTo("[I,UA,D]");
    }
  }

  private static boolean isWithin(String name, String field) {
    return field.equals(name) || field.startsWith(name + ".") || field.startsWith(name + "[");
  }

  /** How a view changes, as the planner has it. */
  private static String lastMode(String view) {
    String plan = tables.explainSql("SELECT * FROM " + view, ExplainDetail.CHANGELOG_MODE);
    String physical = plan.substring(plan.indexOf("== Optimized Physical Plan =="));
    String root = physical.lines().skip(1).findFirst().orElseThrow();
    return root.substring(root.lastIndexOf("changelogMode=") + 14, root.length() - 1);
  }

  private static void collect(String path, Schema schema, Map<String, String> fields) {
    switch (schema.getType()) {
      case UNION ->
          schema.getTypes().stream()
              .filter(branch -> branch.getType() != Schema.Type.NULL)
              .forEach(branch -> collect(path, branch, fields));
      case RECORD ->
          schema
              .getFields()
              .forEach(field -> collect(path + "." + field.name(), field.schema(), fields));
      case ARRAY -> collect(path + "[]", schema.getElementType(), fields);
      case MAP -> collect(path + "{}", schema.getValueType(), fields);
      default -> fields.put(path, sqlType(schema.getType()));
    }
  }

  private static void collect(String path, LogicalType type, Map<String, String> columns) {
    if (type instanceof RowType row) {
      row.getFields()
          .forEach(field -> collect(path + "." + field.getName(), field.getType(), columns));
    } else if (type instanceof ArrayType array) {
      collect(path + "[]", array.getElementType(), columns);
    } else if (type instanceof MapType map) {
      collect(path + "{}", map.getValueType(), columns);
    } else {
      columns.put(path, type.asSummaryString());
    }
  }

  private static String sqlType(Schema.Type type) {
    return switch (type) {
      case BYTES -> "BYTES";
      case LONG -> "BIGINT";
      default -> {
        assertThat(
                Arrays.asList(
                    Schema.Type.STRING,
                    Schema.Type.INT,
                    Schema.Type.FLOAT,
                    Schema.Type.DOUBLE,
                    Schema.Type.BOOLEAN))
            .contains(type);
        yield type.name();
      }
    };
  }
}
