-- Per kind: how many incidents, how many of them are over, and how long these took.
SELECT
  i.kind,
  COUNT(*) AS incidents,
  COUNT(CASE WHEN i.state = 'RESOLVED' THEN 1 END) AS resolved,
  AVG(CASE WHEN i.state = 'RESOLVED' THEN (i.detectedAt - o.openedAt) / 1000.0E0 END) AS meanSeconds,
  AVG(CASE WHEN i.state = 'RESOLVED' THEN CAST(i.resolvedStep - i.openedStep AS DOUBLE) END) AS meanSteps
FROM incidents i
JOIN (SELECT incidentId, MIN(detectedAt) AS openedAt FROM gradient_alerts GROUP BY incidentId) o
  ON o.incidentId = i.incidentId
WHERE i.severity <> 'INFO'
GROUP BY i.kind
ORDER BY incidents DESC, kind LIMIT 100;
