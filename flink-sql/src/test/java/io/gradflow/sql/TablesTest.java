package io.gradflow.sql;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class TablesTest {
  @ParameterizedTest
  @ValueSource(strings = {"batch", "streaming"})
  void everyQueryIsPlannedInBothModes(String mode) {
    TableEnvironment tables = TableEnvironment.create(EnvironmentSettings.newInstance().build());
    SqlFiles.tables().forEach(statement -> SqlFiles.run(tables, statement));
    tables.getConfig().set("execution.runtime-mode", mode);
    for (Path query : SqlFiles.queries()) {
      for (String s : SqlFiles.statements(query)) {
        try { System.out.println(query + " " + tables.explainSql(s).length()); } catch (Exception e) { Throwable t=e; while(t!=null){System.out.println(query+" "+mode+" "+t); t=t.getCause();} }
      }
    }
    for (String v: List.of("steps","windows","alert_transitions","incidents")) {
        try { System.out.println(v + tables.explainSql("SELECT * FROM "+v, org.apache.flink.table.api.ExplainDetail.CHANGELOG_MODE)); } catch (Exception e) { Throwable t=e; while(t!=null){System.out.println(v+" "+mode+" "+t); t=t.getCause();} }
    }
  }
}
