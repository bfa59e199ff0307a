package io.gradflow.sql;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.flink.table.api.TableEnvironment;

/** The files of deploy/sql, and what Flink's SQL client does with them. */
public final class SqlFiles {
  private static final Path FOLDER = Path.of("../deploy/sql");
  private static final Pattern COMMENT = Pattern.compile("(?m)--.*$");
  private static final Pattern STATEMENT_END = Pattern.compile("(?m);\\s*$");
  private static final Pattern SET = Pattern.compile("SET '(.+)' = '(.+)'");

  private SqlFiles() {}

  /** The statements of tables.sql, in order. */
  public static List<String> tables() {
    return statements(FOLDER.resolve("tables.sql"));
  }

  /** The files of queries, by name. */
  public static List<Path> queries() {
    try (Stream<Path> files = Files.list(FOLDER.resolve("queries"))) {
      return files.sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The statements of a file, without comments. */
  public static List<String> statements(Path file) {
    try {
      String text = COMMENT.matcher(Files.readString(file)).replaceAll("");
      return STATEMENT_END.splitAsStream(text).map(String::strip).filter(s -> !s.isEmpty()).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Runs a statement that answers nothing. */
  public static void run(TableEnvironment environment, String statement) {
    Matcher set = SET.matcher(statement);
    if (set.matches()) {
      environment.getConfig().set(set.group(1), set.group(2));
    } else {
      environment.executeSql(statement);
    }
  }
}
