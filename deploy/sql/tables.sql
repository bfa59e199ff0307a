-- gradflow's topics as tables of Flink SQL: sql-client.sh -i tables.sql
--
-- What is to be edited is in the first statement: where the brokers are, and how much is read.

CREATE TABLE gradient_topic (
  kafkaPartition INT METADATA FROM 'partition' VIRTUAL,
  kafkaOffset BIGINT METADATA FROM 'offset' VIRTUAL,
  written TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  arrived AS PROCTIME(),
  WATERMARK FOR written AS written - INTERVAL '10' SECOND
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',
  'scan.startup.mode' = 'earliest-offset',
  -- Up to what is there when the query starts. 'unbounded', with the runtime mode below: for ever.
  'scan.bounded.mode' = 'latest-offset',
  'value.format' = 'gradflow'
);

-- One answer, and the end. 'streaming': the answer as of now, corrected as records come.
SET 'execution.runtime-mode' = 'batch';
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'table.local-time-zone' = 'UTC';

-- Of streaming queries: a partition without records holds nothing up, and what nobody has asked for in two days is forgotten.
SET 'table.exec.source.idle-timeout' = '10 s';
SET 'table.exec.state.ttl' = '2 d';

-- Columns have the names of the fields, described in schemas/src/main/avro. What a table does not declare is not decoded.

-- Left out, because rows are long enough without them: events (they are in gradient_runs), of evidence the outliers, the least
-- coherent ranks and the histograms, of signals the histograms.
CREATE TABLE gradient_steps (
  runId STRING, attempt BIGINT, `stream` STRING, step BIGINT, manifestId BIGINT, part INT, parts INT, firstLayer INT,
  revision BIGINT, closedBy STRING, late BOOLEAN, completeness DOUBLE, worldSize INT, missingRanks BYTES,
  conflictingRanks BYTES, incompleteLayers ARRAY<INT>, incompleteCompleteness ARRAY<DOUBLE>, globalNorm DOUBLE,
  l1 ARRAY<DOUBLE>, l2 ARRAY<DOUBLE>, linf ARRAY<DOUBLE>, rms ARRAY<DOUBLE>, finiteL2 ARRAY<DOUBLE>,
  zeros ARRAY<BIGINT>, nonFiniteLayers ARRAY<INT>, nans ARRAY<BIGINT>, posInfs ARRAY<BIGINT>, negInfs ARRAY<BIGINT>,
  firstNonFiniteRank ARRAY<INT>, noNormLayers ARRAY<INT>, noNormReasons ARRAY<STRING>,
  evidence ROW<
    ranks ARRAY<INT>, localNorm ARRAY<DOUBLE>, arrivalLagMs ARRAY<BIGINT>, dropped ARRAY<BIGINT>,
    localSquares ARRAY<DOUBLE>, localRanks ARRAY<INT>, replicaSpread ARRAY<FLOAT>, reducedNorm ARRAY<DOUBLE>,
    reportedNorm ARRAY<DOUBLE>, coherence ARRAY<FLOAT>, sketchCoherence ARRAY<FLOAT>, spectrum ARRAY<DOUBLE>,
    effectiveRanks DOUBLE, rankWeight ARRAY<DOUBLE>, rankClipCoef ARRAY<DOUBLE>, rankLoss ARRAY<DOUBLE>,
    writtenAt BIGINT, hosts ARRAY<STRING>, hostOf ARRAY<INT>, devices ARRAY<STRING>, deviceOf ARRAY<INT>>,
  loss DOUBLE, validationLoss DOUBLE, learningRates ARRAY<DOUBLE>, lossScale DOUBLE, stepSkipped BOOLEAN,
  clipMode STRING, clipNorm DOUBLE, clipCoef DOUBLE, clipApplied BOOLEAN, reportedGlobalNorm DOUBLE, weight DOUBLE,
  signals ROW<
    mean ARRAY<DOUBLE>, subnormals ARRAY<BIGINT>, minNonzeroAbs ARRAY<DOUBLE>, weightNorm ARRAY<DOUBLE>,
    updateNorm ARRAY<DOUBLE>, cosine ARRAY<FLOAT>, cosineError ARRAY<FLOAT>, gradientSquare ARRAY<DOUBLE>,
    noiseTrace ARRAY<DOUBLE>, saturation ARRAY<FLOAT>, activations ARRAY<BIGINT>, saturated ARRAY<BIGINT>,
    mismatchedLayers ARRAY<INT>,
    run ROW<
      cosineSince BIGINT, cosine DOUBLE, cosineError DOUBLE, gradientSquare DOUBLE, noiseTrace DOUBLE,
      noiseScale DOUBLE, headroom DOUBLE, underflow DOUBLE, advisedLossScale DOUBLE, clippedFraction DOUBLE,
      clipCoefficient DOUBLE, advisedClip DOUBLE, autoClip DOUBLE, zClip DOUBLE, adaGcLayers INT, adaGcNorm DOUBLE,
      depthSlope DOUBLE, depthT DOUBLE, depthDrop DOUBLE>>
) WITH ('topic' = 'gradient-steps') LIKE gradient_topic;

CREATE TABLE gradient_windows (
  runId STRING, attempt BIGINT, `stream` STRING, manifestId BIGINT, layer STRING, layerIndex INT, firstStep BIGINT,
  `length` INT, `open` BOOLEAN, steps INT, firstSeen BIGINT, lastSeen BIGINT, completeness DOUBLE,
  l2 ROW<mean DOUBLE, `min` DOUBLE, `max` DOUBLE, last DOUBLE, p50 DOUBLE, p95 DOUBLE>,
  log2Rms ROW<mean DOUBLE, `min` DOUBLE, `max` DOUBLE, last DOUBLE, p50 DOUBLE, p95 DOUBLE>, slope DOUBLE,
  nonFinite INT, zeros BIGINT,
  signals ROW<
    snr DOUBLE, crest DOUBLE, updateRatio DOUBLE, trustRatio DOUBLE, cosine DOUBLE, saturation DOUBLE,
    mostSaturation DOUBLE, saturatedFraction DOUBLE, subnormalFraction DOUBLE, gradientSquare DOUBLE,
    noiseTrace DOUBLE, noiseScale DOUBLE,
    magnitudes ROW<
      steps INT, bins ARRAY<INT>, counts ARRAY<BIGINT>, zeros BIGINT, p01 DOUBLE, p50 DOUBLE, p99 DOUBLE>,
    loss ROW<correlation DOUBLE, `lag` INT, pairs INT>, learningRate ROW<correlation DOUBLE, `lag` INT, pairs INT>,
    partner STRING, partnerLink ROW<correlation DOUBLE, `lag` INT, pairs INT>>
) WITH ('topic' = 'gradient-windows') LIKE gradient_topic;

CREATE TABLE gradient_alerts (
  alertId STRING, incidentId STRING, transition INT, runId STRING, attempt BIGINT, `stream` STRING, state STRING,
  kind STRING, severity STRING, openedStep BIGINT, lastStep BIGINT, onsetStep BIGINT, resolvedStep BIGINT,
  rootLayer STRING, rootRank INT, host STRING, device STRING,
  suspects ARRAY<ROW<layer STRING, `rank` INT, score DOUBLE, host STRING, device STRING>>,
  chain ARRAY<ROW<step BIGINT, kind STRING, layer STRING, `rank` INT, observed DOUBLE>>,
  evidence ROW<
    observed DOUBLE, threshold DOUBLE, unit STRING, tailSteps ARRAY<BIGINT>, tail ARRAY<DOUBLE>>,
  message STRING, advice STRING, blindSpots ARRAY<STRING>, confidence DOUBLE, policyVersion BIGINT, timed BOOLEAN,
  detectedAt BIGINT, cause STRING, account STRING, lossBefore DOUBLE, lossAfter DOUBLE, changes ARRAY<STRING>,
  lastGoodStep BIGINT, lastCheckpoint BIGINT, nextAction STRING,
  detected AS TO_TIMESTAMP_LTZ(detectedAt, 3)
) WITH ('topic' = 'gradient-alerts') LIKE gradient_topic;

CREATE TABLE gradient_runs (
  runId STRING, attempt BIGINT, `stream` STRING, step BIGINT, type STRING, `at` BIGINT,
  attributes MAP<STRING, STRING>,
  happened AS TO_TIMESTAMP_LTZ(`at`, 3)
) WITH ('topic' = 'gradient-runs') LIKE gradient_topic;

CREATE TABLE gradient_manifests (
  runId STRING, attempt BIGINT, `stream` STRING, manifestId BIGINT, part INT, parts INT, firstLayer INT,
  layerCount INT, worldSize INT, mesh ARRAY<ROW<name STRING, size INT>>,
  reporting ARRAY<ROW<stage STRING, ranks ARRAY<INT>, `every` INT, columnEvery MAP<STRING, INT>>>, reduceOp STRING,
  gradientDtype STRING, reductionDtype STRING, masterDtype STRING, optimizer STRING, adamEps DOUBLE,
  layers ARRAY<ROW<
    name STRING, block STRING, depth INT, kind STRING, elements BIGINT, dtype STRING, trainable BOOLEAN,
    sparse BOOLEAN, zeroInit BOOLEAN, tiedTo STRING, placement ARRAY<STRING>>>
) WITH ('topic' = 'gradient-manifests') LIKE gradient_topic;

-- Views say n = 1 of each row. They sort by one column: with two, Flink 2.2 takes the rows for final in streaming queries.

-- Every step once, in its highest revision. Of a step of several parts, part 0 says all that is not of single layers.
CREATE VIEW steps AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY runId, attempt, `stream`, step ORDER BY revision DESC) AS n
  FROM gradient_steps WHERE part = 0
) WHERE n = 1;

-- Every window once, as it was published last.
CREATE VIEW windows AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY runId, attempt, `stream`, layer, firstStep ORDER BY kafkaOffset DESC) AS n
  FROM gradient_windows
) WHERE n = 1;

-- Every transition of every incident once: alerts are delivered at least once. Rows are only added.
CREATE VIEW alert_transitions AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY alertId ORDER BY arrived ASC) AS n FROM gradient_alerts
) WHERE n = 1;

-- Every incident once, as of its last transition.
CREATE VIEW incidents AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY incidentId ORDER BY transition DESC) AS n
  FROM gradient_alerts
) WHERE n = 1;
