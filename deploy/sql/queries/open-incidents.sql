-- Open incidents of all runs: since when, for how many steps, and where they began.
SELECT
  i.severity, i.kind, i.runId, i.`stream`, i.rootLayer, i.rootRank, i.host,
  o.openedAt,
  TIMESTAMPDIFF(SECOND, o.openedAt, CURRENT_TIMESTAMP) AS ageSeconds,
  i.lastStep - i.openedStep AS ageSteps,
  i.message
FROM incidents i
JOIN (SELECT incidentId, MIN(detected) AS openedAt FROM gradient_alerts GROUP BY incidentId) o
  ON o.incidentId = i.incidentId
WHERE i.state IN ('OPENED', 'UPDATED') AND i.severity <> 'INFO'
ORDER BY o.openedAt DESC LIMIT 1000;
