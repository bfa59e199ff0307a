-- Per run and five minutes: how many steps, how complete, how they closed, and how large the gradient was.
SELECT
  runId, attempt, `stream`,
  TO_TIMESTAMP_LTZ(fiveMinutes * 300, 0) AS since,
  COUNT(*) AS steps,
  MIN(completeness) AS minCompleteness,
  AVG(CASE WHEN closedBy = 'COMPLETE' THEN 0.0E0 ELSE 1.0E0 END) AS notCompleteShare,
  PERCENTILE(globalNorm, 0.95) AS p95GlobalNorm
FROM (SELECT *, EXTRACT(EPOCH FROM written) / 300 AS fiveMinutes FROM steps)
GROUP BY runId, attempt, `stream`, fiveMinutes
ORDER BY since DESC, runId, attempt, `stream` LIMIT 1000;
