-- Per run and five minutes: how many steps, how complete, how they closed, and how large the gradient was.
SELECT
  runId, attempt, `stream`,
  TO_TIMESTAMP_LTZ(epoch5 * 300, 0) AS since,
  COUNT(*) AS steps,
  MIN(completeness) AS minCompleteness,
  AVG(CASE WHEN closedBy = 'COMPLETE' THEN 0.0E0 ELSE 1.0E0 END) AS notCompleteShare,
  PERCENTILE(globalNorm, 0.95) AS p95GlobalNorm
FROM (SELECT *, UNIX_TIMESTAMP(CAST(written AS STRING)) / 300 AS epoch5 FROM steps)
GROUP BY runId, attempt, `stream`, epoch5;
