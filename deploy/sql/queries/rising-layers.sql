-- The ten layers of each run whose norm rose most from the last window but one to the last, in octaves of their median RMS.
-- Windows in which no layer had a norm, as after a NaN, do not count.
SELECT runId, attempt, `stream`, layer, firstStep, previousL2, l2, riseOctaves
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY runId, attempt, `stream` ORDER BY riseOctaves DESC) AS place
  FROM (
    SELECT
      w.runId, w.attempt, w.`stream`, w.layer, w.firstStep,
      p.l2.p50 AS previousL2, w.l2.p50 AS l2, w.log2Rms.p50 - p.log2Rms.p50 AS riseOctaves
    FROM windows w
    JOIN (SELECT runId, attempt, `stream`, MAX(firstStep) AS firstStep FROM windows
      WHERE log2Rms.p50 IS NOT NULL GROUP BY runId, attempt, `stream`) newest
      ON newest.runId = w.runId AND newest.attempt = w.attempt AND newest.`stream` = w.`stream`
        AND newest.firstStep = w.firstStep
    JOIN windows p
      ON p.runId = w.runId AND p.attempt = w.attempt AND p.`stream` = w.`stream` AND p.layer = w.layer
        AND p.firstStep = w.firstStep - w.`length`
    WHERE w.log2Rms.p50 IS NOT NULL AND p.log2Rms.p50 IS NOT NULL
  )
)
WHERE place <= 10
ORDER BY runId, attempt, `stream`, riseOctaves DESC LIMIT 1000;
