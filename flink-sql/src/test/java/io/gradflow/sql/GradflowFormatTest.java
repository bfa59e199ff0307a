package io.gradflow.sql;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is said of a table when a query of it is planned, with Flink's own Kafka connector. */
class GradflowFormatTest {
  private TableEnvironment tables;

  @BeforeEach
  void start() {
    tables = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
  }

  @Test
  void columnsOfAnyFieldsInAnyOrderAreTaken() {
    define(
        "signals ROW<run ROW<zClip DOUBLE, cosine DOUBLE>>, step BIGINT NOT NULL, missingRanks BYTES,"
            + " l2 ARRAY<DOUBLE>, events ARRAY<ROW<type STRING NOT NULL, attributes MAP<STRING, STRING>>>",
        "gradient-steps",
        "");

    assertThat(tables.explainSql("SELECT * FROM t")).contains("TableSourceScan");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          step INT                     | column step: expected BIGINT, got INT
          runId VARCHAR(10)            | column runId: expected STRING, got VARCHAR(10)
          missingRanks VARBINARY(8)    | column missingRanks: expected BYTES, got VARBINARY(8)
          loss DECIMAL(10, 2)          | column loss: expected DOUBLE, got DECIMAL(10, 2)
          loss DOUBLE NOT NULL         | column loss: expected DOUBLE, got DOUBLE NOT NULL
          l2 DOUBLE                    | column l2: expected ARRAY<DOUBLE>, got DOUBLE
          l2 ARRAY<FLOAT>              | column l2[]: expected DOUBLE, got FLOAT
          l2 ARRAY<DOUBLE NOT NULL>    | column l2[]: expected DOUBLE, got DOUBLE NOT NULL
          evidence ROW<ranks BIGINT>   | column evidence.ranks: expected ARRAY<INT>, got BIGINT
          events ARRAY<ROW<at STRING>> | column events[].at: expected BIGINT, got STRING
          events ARRAY<ROW<attributes MAP<INT, STRING>>> | column events[].attributes (keys): expected STRING, got INT
          run_id STRING                | column run_id: expected a field of GradientStep, got none of that name: write runId, as the field is called
          evidence ROW<norm DOUBLE>    | column evidence.norm: expected a field of RankEvidence, got none of that name: its fields are ranks, localNorm,
          """)
  void aColumnThatNoRecordFillsIsNamed(String column, String message) {
    define(column.replace("at STRING", "`at` STRING"), "gradient-steps", "");

    assertThatThrownBy(() -> tables.explainSql("SELECT * FROM t"))
        .hasStackTraceContaining("ValidationException: " + message);
  }

  @Test
  void theRecordIsThatOfTheTopicUnlessSaid() {
    define("runId STRING", "eu.gradient-steps", "");
    assertThatThrownBy(() -> tables.explainSql("SELECT * FROM t"))
        .hasStackTraceContaining(
            "table default_catalog.default_database.t: expected one of gradflow's topics of Avro"
                + " values, got 'eu.gradient-steps': set 'value.gradflow.record'"
                + " ('gradflow.record' beside 'format') to one of GradientAlert, GradientBlock,");

    define("runId STRING", "eu.gradient-steps", ", 'value.gradflow.record' = 'GradientStep'");
    assertThat(tables.explainSql("SELECT * FROM t")).contains("TableSourceScan");

    define("runId STRING", "eu.gradient-steps", ", 'value.gradflow.record' = 'Step'");
    assertThatThrownBy(() -> tables.explainSql("SELECT * FROM t"))
        .hasStackTraceContaining(
            "expected 'record' of format 'gradflow' to be one of GradientAlert,")
        .hasStackTraceContaining("got 'Step'");

    define("v STRING", "gradient-dead-letters", "");
    assertThatThrownBy(() -> tables.explainSql("SELECT * FROM t"))
        .hasStackTraceContaining("got 'gradient-dead-letters'");
  }

  @Test
  void aRegistryIsAnAddressAndOtherOptionsAreRefused() {
    define(
        "runId STRING",
        "gradient-steps",
        ", 'value.gradflow.schema.registry.url' = 'http://registry:8081'");
    assertThat(tables.explainSql("SELECT * FROM t")).contains("TableSourceScan");

    define(
        "runId STRING",
        "gradient-steps",
        ", 'value.gradflow.schema.registry.url' = 'registry:8081'");
    assertThatThrownBy(() -> tables.explainSql("SELECT * FROM t"))
        .hasStackTraceContaining(
            "expected 'gradflow.schema.registry.url' to be like http://registry:8081, got"
                + " 'registry:8081'");

    define(
        "runId STRING", "gradient-steps", ", 'value.gradflow.registry' = 'http://registry:8081'");
    assertThatThrownBy(() -> tables.explainSql("SELECT * FROM t"))
        .hasStackTraceContaining("value.gradflow.registry");
  }

  @Test
  void nothingIsWritten() {
    define("runId STRING", "gradient-steps", "");

    assertThatThrownBy(() -> tables.explainSql("INSERT INTO t VALUES ('x')"))
        .hasStackTraceContaining(
            "table default_catalog.default_database.t: expected a query, got an INSERT: format"
                + " 'gradflow' reads the topics, which only trainers and gradflow's jobs write");
  }

  private void define(String columns, String topic, String options) {
    tables.executeSql("DROP TABLE IF EXISTS t");
    tables.executeSql(
        ("CREATE TABLE t (%s) WITH ('connector' = 'kafka', 'topic' = '%s',"
                + " 'properties.bootstrap.servers' = 'broker:9092',"
                + " 'scan.startup.mode' = 'earliest-offset', 'value.format' = 'gradflow' %s)")
            .formatted(columns, topic, options));
  }
}
