package io.gradflow.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.CloseableIterator;

/** The files of deploy/sql, run as Flink's SQL client runs them. */
final class SqlFiles {
  private static final Path FOLDER = Path.of("../deploy/sql");
  private static final Pattern COMMENT = Pattern.compile("(?m)--.*$");
  private static final Pattern STATEMENT_END = Pattern.compile("(?m);\\s*$");
  private static final Pattern SET = Pattern.compile("SET '(.+)' = '(.+)'");
  private static final String EDITED = "'localhost:9092'";

  private SqlFiles() {}

  /** An environment after {@code tables.sql}, edited for these brokers and this runtime mode. */
  static TableEnvironment tables(String bootstrapServers, String mode) throws IOException {
    Configuration settings = new Configuration();
    settings.setString("execution.runtime-mode", mode);
    settings.setString("parallelism.default", "1");
    TableEnvironment tables =
        TableEnvironment.create(
            EnvironmentSettings.newInstance().withConfiguration(settings).build());
    String text = Files.readString(FOLDER.resolve("tables.sql"));
    if (text.split(EDITED, -1).length != 2) {
      throw new AssertionError("tables.sql: expected the brokers " + EDITED + " once");
    }
    for (String statement : statements(text.replace(EDITED, "'" + bootstrapServers + "'"))) {
      Matcher set = SET.matcher(statement);
      if (!set.matches()) {
        tables.executeSql(statement);
      } else if (!set.group(1).equals("execution.runtime-mode")) {
        // The client makes a new environment for another mode; this one has it from the start.
        tables.getConfig().set(set.group(1), set.group(2));
      }
    }
    return tables;
  }

  /** The one query of {@code queries/<name>.sql}. */
  static String query(String name) {
    try {
      List<String> statements =
          statements(Files.readString(FOLDER.resolve("queries").resolve(name + ".sql")));
      if (statements.size() != 1) {
        throw new AssertionError(name + ".sql: expected one query, got " + statements.size());
      }
      return statements.get(0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The rows that a query has in the end, in no order; those of a changing answer settled. */
  static List<Map<String, Object>> rows(TableEnvironment tables, String query) throws Exception {
    List<Row> rows = new ArrayList<>();
    try (CloseableIterator<Row> results = tables.executeSql(query).collect()) {
      while (results.hasNext()) {
        Row row = results.next();
        RowKind kind = row.getKind();
        row.setKind(RowKind.INSERT);
        if (kind == RowKind.INSERT || kind == RowKind.UPDATE_AFTER) {
          rows.add(row);
        } else if (!rows.remove(row)) {
          throw new AssertionError("retracts what was never there: " + row);
        }
      }
    }
    return rows.stream().map(SqlFiles::byName).toList();
  }

  private static Map<String, Object> byName(Row row) {
    Map<String, Object> values = new java.util.HashMap<>();
    row.getFieldNames(true).forEach(name -> values.put(name, row.getField(name)));
    return values;
  }

  private static List<String> statements(String text) {
    return STATEMENT_END
        .splitAsStream(COMMENT.matcher(text).replaceAll(""))
        .map(String::strip)
        .filter(statement -> !statement.isEmpty())
        .toList();
  }
}
