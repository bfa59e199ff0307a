package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Rule;

/** {@link Rule} on the wire. */
final class RuleMapping implements Codec.Mapping<Rule> {

  @Override
  public String key(Rule rule) {
    // The kind too: a scope has one rule for each detector, and compaction keeps one per key.
    return Topic.key(rule.scope(), rule.kind());
  }

  @Override
  public Row toRow(Rule rule, RowType type) {
    return type.row()
        .set("scope", rule.scope())
        .set("kind", rule.kind().name())
        .set("policyVersion", rule.policyVersion())
        .set("mode", rule.mode().name())
        .set("thresholds", rule.thresholds());
  }

  @Override
  public Rule fromRow(Row row, Origin origin) {
    return new Rule(
        Checks.name(row, "scope"),
        row.constant("kind", FindingKind.class),
        Checks.notNegative(row, "policyVersion"),
        row.constant("mode", Rule.Mode.class),
        row.map("thresholds"));
  }
}
