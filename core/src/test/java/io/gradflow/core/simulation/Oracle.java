package io.gradflow.core.simulation;

import static io.gradflow.core.simulation.Difference.unless;

import io.gradflow.core.Rejection;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.Lane;
import io.gradflow.core.norm.LaneStep;
import io.gradflow.core.norm.Limits;
import io.gradflow.core.norm.ShardFate;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepDelta;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.core.simulation.Ledger.GroupBook;
import io.gradflow.core.simulation.Ledger.GroupLaneBook;
import io.gradflow.core.simulation.Ledger.GroupStepBook;
import io.gradflow.core.simulation.Ledger.RunBook;
import io.gradflow.core.simulation.Ledger.StepBook;
import io.gradflow.core.window.LayerWindow;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * Sees everything: what was read, in which order, and what the machines made of it. It decides by
 * the contract alone which shards count, knows of every delta and every step which shards must be
 * in it, and has {@link Truth} compare the numbers.
 *
 * <p>When a step closes is left to the machines, within limits: in order, never for want of a shard
 * that came in time, and in the end all of them. A shard may be refused only for the reason that
 * the contract gives.
 */
final class Oracle {
  /** A step of any run. */
  record RunStep(String runId, LaneStep at) {}

  /** A window of a layer. */
  record WindowKey(String runId, Lane lane, long firstStep, int layer) {}

  private final Workload workload;
  private final Consumer<String> trace;

  /** Goes back when the machines do. */
  Ledger ledger = new Ledger();

  /** What was published, in the order in which readers find it. */
  final Map<String, List<Step>> steps = new LinkedHashMap<>();

  /** The highest revision published. */
  private final Map<RunStep, Long> highest = new HashMap<>();

  private final Map<WindowKey, LayerWindow> windows = new LinkedHashMap<>();

  /** Records that were ever read. */
  private final Set<Sent> read = new HashSet<>();

  /** Steps of which something was refused or discarded by rule, be it before a crash. */
  private final Set<RunStep> curtailed = new HashSet<>();

  private long now;
  private boolean ending;

  Oracle(Workload workload, Consumer<String> trace) {
    this.workload = workload;
    this.trace = trace;
  }

  @SuppressWarnings("AnnotateFormatMethod") // the annotation would be a dependency
  private void trace(String format, Object... args) {
    if (trace != null) {
      trace.accept("    " + format.formatted(args));
    }
  }

  // --- A rank group at work ----------------------------------------------------------------------

  private RankGroup groupKey;
  private GroupBook group;
  private final Deque<Sent> arriving = new ArrayDeque<>();
  private final Map<LaneStep, Deque<Sent>> owed = new HashMap<>();
  private final List<String> refusals = new ArrayList<>();
  private final List<String> rejections = new ArrayList<>();

  /** The limit that kept out what is arriving; null while none did. */
  private Limits.Kind refused;

  /** The manifest that the group is just being told of; null if none. */
  private Long learning;

  /** Whether a step has just been closed to make room. */
  private boolean forRoom;

  private void begin(RankGroup key, long at) {
    groupKey = key;
    refused = null;
    learning = null;
    group = ledger.groups.computeIfAbsent(key, k -> new GroupBook());
    now = at;
  }

  /** A rank group is about to get a shard. */
  void combining(RankGroup key, Sent sent, long at) {
    begin(key, at);
    read.add(sent);
    arriving.add(sent);
    expect(ShardFate.RECEIVED, 1);
  }

  /** A rank group is about to be told something. */
  void told(RankGroup key, GroupNotice notice, long at) {
    begin(key, at);
    if (notice.layout() != null) {
      long manifest = notice.layout().manifestId();
      learning = group.manifests.add(manifest) ? (Long) manifest : null;
      for (var waiting : List.copyOf(group.waiting)) {
        if (waiting.sent().shard.manifestId() == manifest) {
          group.waiting.remove(waiting);
          arriving.add(waiting.sent());
        }
      }
    }
  }

  /** A rank group is about to look at its deadlines. */
  void woken(RankGroup key, long at) {
    begin(key, at);
  }

  /** A rank group is about to hear that its input has ended. */
  void ended(RankGroup key, long at) {
    begin(key, at);
    ending = true;
  }

  /** The rank group has done what it did. */
  void combined() {
    if (refused != null && learning != null) {
      group.manifests.remove(learning);
      refusals.add("no-room null");
    }
    while (!arriving.isEmpty()) {
      take(arriving.poll());
    }
    unless(rejections.equals(refusals), "expected the rejections %s, got %s", refusals, rejections);
    refusals.clear();
    rejections.clear();
    unless(owed.isEmpty(), "expected revisions with %s, got none", owed.values());
    for (ShardFate fate : ShardFate.values()) {
      unless(
          ledger.counted(fate) == ledger.expected(fate),
          "shards %s: expected %d, got %d",
          fate,
          ledger.expected(fate),
          ledger.counted(fate));
    }
    for (var lane : List.copyOf(group.lanes.entrySet())) {
      if (lane.getKey().attempt() < group.attempt) {
        for (var step : lane.getValue().steps.entrySet()) {
          unless(step.getValue().closed, "step %d is open though fenced", step.getKey());
        }
        group.lanes.remove(lane.getKey());
      }
    }
    ending = false;
  }

  /** The state of a rank group is gone. */
  void forgotten(RankGroup key) {
    GroupBook book = ledger.groups.remove(key);
    if (book != null) {
      unless(book.waiting.isEmpty(), "shards that waited for a manifest were forgotten");
      for (GroupLaneBook lane : book.lanes.values()) {
        unless(
            lane.steps.values().stream().allMatch(step -> step.closed),
            "open steps were forgotten");
      }
    }
  }

  private void expect(ShardFate fate, long shards) {
    ledger.expected.merge(fate, shards, Long::sum);
  }

  private void refuse(Sent sent, String reason) {
    expect(ShardFate.REJECTED, 1);
    refusals.add(reason + " " + sent.shard.origin());
    if (sent.worth == Sent.Worth.VALID) {
      curtail(sent);
    }
  }

  /** A limit of the subtask is reported once, however many shards it costs. */
  private void keepOut(Sent sent) {
    if (refused == Limits.Kind.LAYERS) {
      long layers = layersHeld() + sent.plan.manifest.layerCount();
      unless(
          layers > workload.combining.limits().layers(), "%s kept out at %d layers", sent, layers);
    }
    expect(ShardFate.REJECTED, 1);
    String report = "no-room " + sent.shard.origin();
    if (rejections.contains(report)) {
      refusals.add(report);
    }
    curtail(sent);
  }

  /** Of all lanes of all groups that are not fenced. */
  private long layersHeld() {
    long layers = 0;
    for (GroupBook book : ledger.groups.values()) {
      for (Lane lane : book.lanes.keySet()) {
        if (lane.attempt() == book.attempt) {
          layers += plan(lane.manifestId()).manifest.layerCount();
        }
      }
    }
    return layers;
  }

  private void curtail(Sent sent) {
    unless(!workload.calm, "a calm run was curtailed of %s", sent);
    curtailed.add(new RunStep(sent.shard.id().runId(), sent.laneStep()));
  }

  private void curtail(LaneStep at) {
    unless(!workload.calm, "a calm run was curtailed at %s", at);
    curtailed.add(new RunStep(runId, at));
  }

  /** What the contract says of a shard. */
  private void take(Sent sent) {
    Shard shard = sent.shard;
    if (shard.id().attempt() < group.attempt) {
      refuse(sent, "fenced");
      return;
    }
    if (!group.manifests.contains(shard.manifestId())) {
      if (group.waiting.size() >= workload.combining.waitingShards()) {
        refuse(sent, "no-manifest");
      } else if (refused != null && learning == null) {
        keepOut(sent);
      } else {
        group.waiting.add(new Ledger.Waiting(sent, now));
      }
      return;
    }
    if (sent.worth != Sent.Worth.VALID) {
      refuse(sent, sent.worth == Sent.Worth.BAD ? "bad-shard" : "not-due");
      return;
    }
    group.attempt = Math.max(group.attempt, shard.id().attempt());
    if (refused != null) {
      keepOut(sent);
      return;
    }
    GroupLaneBook lane = group.lanes.computeIfAbsent(sent.lane(), l -> new GroupLaneBook());
    long number = shard.id().step();
    lane.misses.computeIfAbsent(shard.stage(), s -> new HashMap<>()).remove(shard.rank());
    GroupStepBook step = lane.steps.get(number);
    if (step == null) {
      step = new GroupStepBook();
      step.firstAt = now;
      if (number <= lane.lastClosed) {
        if (lane.closed.size() >= workload.combining.rememberedSteps()
            && number < lane.closed.first()) {
          refuse(sent, "too-late");
          return;
        }
        step.closed = true;
        close(lane, number);
      }
      lane.steps.put(number, step);
    }
    Sent known = step.seen.get(sent.identity());
    if (known == null) {
      step.seen.put(sent.identity(), sent);
      if (!sent.counts()) {
        expect(step.closed ? ShardFate.LATE : ShardFate.MERGED, 1);
      } else if (step.closed) {
        expect(ShardFate.LATE, 1);
        owed.computeIfAbsent(sent.laneStep(), at -> new ArrayDeque<>()).add(sent);
        unless(!workload.calm, "%s was missed", sent);
      } else {
        step.pending.add(sent);
      }
    } else if (sent.repeats(known)) {
      expect(ShardFate.DUPLICATE, 1);
    } else {
      expect(ShardFate.CONFLICT, 1);
      (step.closed ? lane.conflicting : step.conflicting).add(shard.rank());
    }
  }

  private void close(GroupLaneBook lane, long step) {
    lane.closed.add(step);
    while (lane.closed.size() > workload.combining.rememberedSteps()) {
      lane.steps.remove(lane.closed.pollFirst());
    }
  }

  /** A rank group has sent something on. Returns it with what must be in it. */
  Parcel delta(StepDelta delta) {
    LaneStep at = delta.lane().at(delta.id().step());
    if (delta.closedBy() == null) {
      while (!owed.containsKey(at) && !arriving.isEmpty()) {
        take(arriving.poll());
      }
      Deque<Sent> late = owed.get(at);
      unless(late != null, "a revision of %s without a late shard", delta.id());
      Sent sent = late.poll();
      if (late.isEmpty()) {
        owed.remove(at);
      }
      return new Parcel(delta, List.of(sent), Set.of());
    }
    if (learning == null && !workload.narrow) {
      // The shard is in, but for what it fences. Closing to make room for it comes before.
      while (!arriving.isEmpty() && arriving.peek().shard.id().attempt() <= at.attempt()) {
        take(arriving.poll());
      }
    }
    while (!isReady(at, delta) && !arriving.isEmpty()) {
      take(arriving.poll());
    }
    GroupStepBook step = book(at);
    unless(step != null && !step.closed, "%s closes and is not open", delta.id());
    trace(
        "%s closes %s by %s with %d",
        groupKey, delta.id(), delta.closedBy(), delta.sums().contributions());
    unless(
        step.pending.size() == delta.sums().contributions(),
        "%s closes: expected %d shards, got %d",
        delta.id(),
        step.pending.size(),
        delta.sums().contributions());
    GroupLaneBook lane = group.lanes.get(delta.lane());
    unless(at.step() > lane.lastClosed, "%s closes after %d", delta.id(), lane.lastClosed);
    mayClose(delta, lane, step);
    lane.lastClosed = at.step();
    expect(ShardFate.MERGED, step.pending.size());
    step.conflicting.addAll(lane.conflicting);
    lane.conflicting.clear();
    Parcel parcel = new Parcel(delta, List.copyOf(step.pending), Set.copyOf(step.conflicting));
    step.pending.clear();
    step.closed = true;
    close(lane, at.step());
    return parcel;
  }

  /** A step may not close for want of what was on its way. */
  private void mayClose(StepDelta delta, GroupLaneBook lane, GroupStepBook step) {
    Plan plan = plan(delta.manifestId());
    boolean allAwaited = true;
    for (Stage stage : Stage.values()) {
      Map<Integer, Integer> misses = lane.misses.computeIfAbsent(stage, s -> new HashMap<>());
      int first = delta.group() * Layout.GROUP_SIZE;
      int end = Math.min(plan.manifest.worldSize(), first + Layout.GROUP_SIZE);
      for (int rank = first; rank < end; rank++) {
        if (plan.isDue(stage, rank, delta.id().step()) && !isIn(step.pending, stage, rank)) {
          allAwaited &= misses.getOrDefault(rank, 0) >= workload.combining.patienceSteps();
          if (delta.closedBy() != ClosedBy.FINISHED) {
            misses.merge(rank, 1, Integer::sum);
          }
        }
      }
    }
    long open = now - step.firstAt;
    boolean may =
        switch (delta.closedBy()) {
          case COMPLETE -> allAwaited;
          case QUORUM -> !allAwaited && open >= workload.combining.quorumWait().toMillis();
          case TIMEOUT ->
              !allAwaited && (ending || forRoom || open >= workload.combining.timeout().toMillis());
          case FINISHED -> !allAwaited;
        };
    lane.certain &= learning == null && !workload.narrow;
    unless(
        may || !lane.certain,
        "%s closes by %s, open for %d ms, all awaited ranks in: %s",
        delta.id(),
        delta.closedBy(),
        open,
        allAwaited);
  }

  private static boolean isIn(List<Sent> pending, Stage stage, int rank) {
    int parts = 0;
    int of = 1;
    for (Sent sent : pending) {
      if (sent.shard.rank() == rank && sent.shard.stage() == stage) {
        parts++;
        of = sent.shard.parts();
      }
    }
    return parts == of;
  }

  private GroupStepBook book(LaneStep at) {
    GroupLaneBook lane = group.lanes.get(new Lane(at.attempt(), at.stream(), at.manifestId()));
    return lane == null ? null : lane.steps.get(at.step());
  }

  private boolean isReady(LaneStep at, StepDelta delta) {
    GroupStepBook step = book(at);
    if (step == null || step.pending.size() < delta.sums().contributions()) {
      return false;
    }
    for (ShardFate fate : ShardFate.values()) {
      int closing = fate == ShardFate.MERGED ? delta.sums().contributions() : 0;
      if (ledger.expected(fate) + closing < ledger.counted(fate)) {
        return false;
      }
    }
    return true;
  }

  void rejection(Rejection rejection) {
    trace("rejects %s: %s", rejection.origin(), rejection.reason());
    for (var waiting : group.waiting) {
      if (waiting.sent().shard.origin().equals(rejection.origin())
          && rejection.reason().equals("no-manifest")) {
        long wait = workload.combining.manifestWait().toMillis();
        unless(
            ending || now - waiting.since() >= wait,
            "%s: expected to wait %d ms for a manifest, waited %d",
            waiting.sent(),
            wait,
            now - waiting.since());
        group.waiting.remove(waiting);
        expect(ShardFate.REJECTED, 1);
        curtail(waiting.sent());
        return;
      }
    }
    rejections.add(rejection.reason() + " " + rejection.origin());
  }

  void count(ShardFate fate, long shards) {
    ledger.counted.merge(fate, shards, Long::sum);
  }

  /** A limit of the subtask kept something out. */
  void refused(Limits.Kind limit) {
    unless(!workload.calm, "%s kept something out of a calm run", limit);
    refused = limit;
  }

  void closedForRoom() {
    unless(!workload.calm, "a step was closed for room in a calm run");
    forRoom = true;
  }

  /** Checks the law of the counters against what is really held. */
  void law(long open) {
    long accounted = open;
    for (ShardFate fate : ShardFate.values()) {
      accounted += fate == ShardFate.RECEIVED ? 0 : ledger.counted(fate);
    }
    unless(
        ledger.counted(ShardFate.RECEIVED) == accounted,
        "received = merged + duplicate + conflict + late + rejected + open does not hold: %s, open %d",
        ledger.counted,
        open);
  }

  // --- A run at work -----------------------------------------------------------------------------

  private String runId;
  private RunBook run;
  private final Deque<Parcel> parcels = new ArrayDeque<>();
  private final List<StepDelta> fenced = new ArrayList<>();

  private void begin(String id) {
    runId = id;
    run = ledger.runs.computeIfAbsent(id, k -> new RunBook());
  }

  /** A run is about to get a delta. */
  void assembling(String id, Parcel parcel) {
    begin(id);
    parcels.add(parcel);
  }

  /** A run is about to be told something. */
  void told(RunNotice notice) {
    begin(notice.runId());
    if (notice.manifest() != null) {
      long manifest = notice.manifest().manifestId();
      run.manifests.add(manifest);
      for (Parcel parcel : List.copyOf(run.waiting)) {
        if (parcel.delta().manifestId() == manifest) {
          run.waiting.remove(parcel);
          parcels.add(parcel);
        }
      }
    }
  }

  /** A run is about to look at its deadlines, or to hear that its input has ended. */
  void woken(String id) {
    begin(id);
  }

  /** The run has done what it did. */
  void assembled() {
    while (!parcels.isEmpty()) {
      take(parcels.poll());
    }
    unless(fenced.isEmpty(), "expected fenced deltas to be dropped: %s", fenced);
    for (LaneStep at : List.copyOf(run.steps.keySet())) {
      if (at.attempt() < run.attempt) {
        settled(at);
        run.steps.remove(at);
      }
    }
  }

  /** The state of a run is gone. */
  void forgotten(String id) {
    RunBook book = ledger.runs.get(id);
    if (book != null) {
      begin(id);
      run.steps.keySet().forEach(this::settled);
      run.steps.clear();
      unless(run.waiting.isEmpty(), "deltas that waited for a manifest were forgotten");
    }
  }

  private void take(Parcel parcel) {
    StepDelta delta = parcel.delta();
    if (delta.id().attempt() < run.attempt) {
      fenced.add(delta);
      return;
    }
    if (!run.manifests.contains(delta.manifestId())) {
      run.waiting.add(parcel);
      return;
    }
    run.attempt = Math.max(run.attempt, delta.id().attempt());
    StepBook step =
        run.steps.computeIfAbsent(delta.lane().at(delta.id().step()), at -> new StepBook());
    step.contents.addAll(parcel.contents());
    step.conflicting.addAll(parcel.conflicting());
  }

  /** A delta could not be used. */
  void dropped(StepDelta delta) {
    Parcel dropped = null;
    while (dropped == null && !parcels.isEmpty()) {
      Parcel parcel = parcels.poll();
      take(parcel);
      dropped = isSame(parcel.delta(), delta) ? parcel : null;
    }
    unless(dropped != null, "%s was dropped and had not come", delta.id());
    trace("drops group %d of %s", delta.group(), delta.id());
    curtail(delta.lane().at(delta.id().step()));
    if (fenced.removeIf(other -> isSame(other, delta))) {
      return;
    }
    LaneStep at = delta.lane().at(delta.id().step());
    StepBook step = run.steps.get(at);
    long above =
        run.steps.keySet().stream()
            .filter(other -> isSameLane(other, at) && other.step() > at.step())
            .count();
    dropped.contents().forEach(step.contents::remove);
    unless(
        isTorn(at, step) || above >= workload.assembling.rememberedSteps(),
        "%s was dropped without need",
        delta.id());
    if (step.contents.isEmpty()) {
      run.steps.remove(at);
    }
  }

  /** Deltas come in order: the first that looks like it is the one, be it a copy. */
  private static boolean isSame(StepDelta one, StepDelta other) {
    return one.id().equals(other.id())
        && one.manifestId() == other.manifestId()
        && one.group() == other.group()
        && one.closedBy() == other.closedBy();
  }

  private static boolean isSameLane(LaneStep one, LaneStep other) {
    return one.attempt() == other.attempt()
        && one.manifestId() == other.manifestId()
        && one.stream().equals(other.stream());
  }

  /** A step of the run, or a revision of one, was published. */
  void step(Step step) {
    LaneStep at =
        new LaneStep(step.id().attempt(), step.id().stream(), step.manifestId(), step.id().step());
    while (!isReady(run.steps.get(at), step) && !parcels.isEmpty()) {
      take(parcels.poll());
    }
    StepBook book = run.steps.get(at);
    unless(book != null, "%s was published and nothing had come", step.id());
    trace("publishes %s revision %d by %s", step.id(), step.revision(), step.closedBy());
    try {
      unless(
          step.revision() == book.contents.size(),
          "revision: expected %d, got %d",
          book.contents.size(),
          step.revision());
      unless(step.revision() > book.revision, "revision %d again", step.revision());
      inOrder(step, book, at);
      Truth.check(plan(step.manifestId()), step, book.contents, book.conflicting);
    } catch (Difference e) {
      throw new Difference(step.id() + " revision " + step.revision() + ": " + e.getMessage());
    }
    book.revision = step.revision();
    highest.merge(new RunStep(runId, at), step.revision(), Math::max);
    steps.computeIfAbsent(runId, id -> new ArrayList<>()).add(step);
  }

  private void inOrder(Step step, StepBook book, LaneStep at) {
    Lane lane = new Lane(at.attempt(), at.stream(), at.manifestId());
    long last = run.lastPublished.getOrDefault(lane, -1L);
    if (book.revision >= 0) {
      unless(step.late() == book.late, "late: expected %s as before", book.late);
    } else if (step.late()) {
      unless(last > at.step() || run.torn > 0, "late, and the last before it was %d", last);
      book.late = true;
    } else {
      unless(last < at.step(), "published after %d", last);
      run.lastPublished.put(lane, at.step());
      if (workload.calm) {
        unless(step.completeness() == 1, "a calm run was incomplete: %s", step.completeness());
      }
    }
  }

  private static boolean isReady(StepBook book, Step step) {
    return book != null && book.contents.size() >= step.revision();
  }

  private Plan plan(long manifestId) {
    for (Plan plan : workload.plans) {
      if (plan.manifest.manifestId() == manifestId) {
        return plan;
      }
    }
    throw new Difference("manifest %016x is unknown".formatted(manifestId));
  }

  /** A torn step was discarded. */
  void torn() {
    run.torn++;
  }

  /** Whether a step may have been discarded as torn by the start of reading. */
  private boolean isTorn(LaneStep at, StepBook step) {
    return step.revision < 0
        && step.contents.stream().noneMatch(sent -> sent.shard.previousStep() < 0)
        && run.steps.entrySet().stream()
            .noneMatch(
                other ->
                    isSameLane(other.getKey(), at)
                        && other.getValue().revision >= 0
                        && !other.getValue().late
                        && other.getKey().step() < at.step());
  }

  /** A step that must have left: published as it is, or discarded because it was torn. */
  private void settled(LaneStep at) {
    StepBook step = run.steps.get(at);
    if (step.revision < 0) {
      unless(isTorn(at, step), "%s was never published", at);
      curtail(at);
    } else {
      unless(
          step.revision == step.contents.size(),
          "%s was published with %d of %d shards",
          at,
          step.revision,
          step.contents.size());
    }
  }

  // --- Windows -----------------------------------------------------------------------------------

  /** A step is about to be rolled into its window. */
  void rolling(Step step) {
    Lane lane = new Lane(step.id().attempt(), step.id().stream(), step.manifestId());
    RunBook book = ledger.runs.computeIfAbsent(step.id().runId(), k -> new RunBook());
    TreeMap<Long, Step> rows = book.rows.computeIfAbsent(lane, l -> new TreeMap<>());
    long number = step.id().step();
    if (!step.late() && !isOver(book, lane, number)) {
      rows.put(number, step);
    }
  }

  /** Whether the window of the step has been closed by a later one. */
  private boolean isOver(RunBook book, Lane lane, long step) {
    TreeMap<Long, Step> rows = book.rows.get(lane);
    return (!rows.isEmpty() && first(rows.lastKey()) > first(step))
        || book.rows.keySet().stream().anyMatch(other -> other.attempt() > lane.attempt());
  }

  private long first(long step) {
    return step - step % workload.windows.length();
  }

  /** A window of a layer was published. */
  void window(LayerWindow window) {
    Lane lane = new Lane(window.attempt(), window.stream(), window.manifestId());
    RunBook book = ledger.runs.get(window.runId());
    List<Step> rows = rows(book, lane, window.firstStep());
    WindowTruth.check(window, rows);
    windows.put(
        new WindowKey(window.runId(), lane, window.firstStep(), window.layerIndex()), window);
  }

  private List<Step> rows(RunBook book, Lane lane, long firstStep) {
    return List.copyOf(
        book.rows
            .getOrDefault(lane, new TreeMap<>())
            .subMap(firstStep, firstStep + workload.windows.length())
            .values());
  }

  /** A step is in no window. */
  void left(Step step) {
    Lane lane = new Lane(step.id().attempt(), step.id().stream(), step.manifestId());
    RunBook book = ledger.runs.get(step.id().runId());
    unless(step.late() || isOver(book, lane, step.id().step()), "%s is in no window", step.id());
  }

  // --- In the end --------------------------------------------------------------------------------

  /** All that was read must have come out, and nothing else. */
  void finished() {
    for (RankGroup key : List.copyOf(ledger.groups.keySet())) {
      forgotten(key);
    }
    for (String id : ledger.runs.keySet()) {
      forgotten(id);
    }
    Map<RunStep, Set<Sent.Identity>> all = new HashMap<>();
    Set<RunStep> heardOf = new HashSet<>();
    for (Sent sent : read) {
      if (sent.worth == Sent.Worth.VALID) {
        RunStep at = new RunStep(sent.shard.id().runId(), sent.laneStep());
        heardOf.add(at);
        if (sent.counts()) {
          all.computeIfAbsent(at, a -> new HashSet<>()).add(sent.identity());
        }
      }
    }
    for (RunStep at : heardOf) {
      if (!curtailed.contains(at)) {
        // Of a step that nothing came of but micro-batches there is nothing to publish.
        int expected = all.getOrDefault(at, Set.of()).size();
        unless(
            Math.max(0, highest.getOrDefault(at, -1L)) == expected,
            "%s: expected %d contributions at last, got %d",
            at,
            expected,
            highest.getOrDefault(at, -1L));
      }
    }
    for (RunStep at : highest.keySet()) {
      unless(heardOf.contains(at), "%s was published and never sent", at);
    }
    ledger.runs.forEach(this::windowsEnded);
  }

  private void windowsEnded(String id, RunBook book) {
    book.rows.forEach(
        (lane, rows) -> {
          for (long number : rows.keySet()) {
            long first = first(number);
            LayerWindow window = windows.get(new WindowKey(id, lane, first, 0));
            unless(window != null, "the window from %d of %s is missing", first, lane);
            unless(!window.open(), "the window from %d of %s is open", first, lane);
            unless(
                window.steps() == rows(book, lane, first).size(),
                "the window from %d of %s: expected %d steps, got %d",
                first,
                lane,
                rows(book, lane, first).size(),
                window.steps());
          }
        });
  }
}
