"""The cases of the negative control: a safeguard each, and the tests that notice its absence."""
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    # The safeguard, as in "without …".
    name: str
    source: str
    # Must occur exactly once in the source.
    old: str
    new: str
    # Each is a test target (`claim`) or one test of a target (`claim::stale_worker_cannot_complete`).
    tests: tuple[str, ...]

    def find_errors(self, root: Path) -> list[str]:
        """Reasons why the case does not fit the sources below `root`."""
        test_errors = [error for test in self.tests for error in self.find_test_errors(root, test)]
        return self.find_source_errors(root) + test_errors

    def find_source_errors(self, root: Path) -> list[str]:
        path = root / self.source
        if not path.exists():
            return [f"case {self.name!r}: {self.source} does not exist"]
        count = path.read_text().count(self.old)
        if count != 1:
            return [f"case {self.name!r}: {self.source} contains {self.old!r} {count} times, not once"]
        return []

    def find_test_errors(self, root: Path, test: str) -> list[str]:
        target, _, function = test.partition("::")
        sources = [path for path in [root / "tests" / f"{target}.rs"] if path.exists()]
        if (root / "tests" / target / "main.rs").exists():
            sources += (root / "tests" / target).glob("*.rs")
        if not sources:
            return [f"case {self.name!r}: there is no test target {target!r} in tests/"]
        if function and not any(re.search(rf"\bfn {function}\b", path.read_text()) for path in sources):
            return [f"case {self.name!r}: the test target {target!r} has no `fn {function}`"]
        return []


CLAIM = "src/aws/jobs/claim.rs"
ENDINGS = "src/aws/jobs/endings.rs"
GATE = "src/consumer/gate.rs"
FENCE = 'format!("{status} = {processing} AND {attempt} = {fence}")'

CASES = [
    Case(
        "the zeros of counts that alarms compare",
        "src/consumer/measures.rs",
        "always.into_iter().for_each(|metric| meter.add(metric, 0));",
        "let _ = always;",
        ("metric_lines::functions_write_the_metrics_of_the_table",),
    ),
    Case(
        "the count of open holds by the sweep",
        "src/consumer/sweep.rs",
        "meter.raise(table::HOLDS_OPEN, holds.len() as f64);",
        "",
        ("metric_lines::functions_write_the_metrics_of_the_table",),
    ),
    Case(
        "the charge of a paid chunk that is not stored",
        "src/consumer/document_work.rs",
        "unsaved: Some(cause) }) => return Err(self.chunks_not_stored(error, cause).await),",
        "unsaved: Some(_) }) => return Err(error),",
        ("hold::refused_chunks_are_paid_for_a_bounded_number_of_times",),
    ),
    Case(
        "the compressed result on the stored job",
        "src/consumer/result_store.rs",
        "Err(error) if pack(&result).is_some() => {",
        "Err(error) if pack(&result).is_some() && false => {",
        ("hold::paid_large_result_is_stored_on_its_job_if_it_fits",),
    ),
    Case(
        "the charge of lone jobs alone",
        "src/domain/job/claim.rs",
        "if !row.ran_alone {",
        "if false {",
        ("protocol::innocent_jobs_survive_every_death_of_the_culprit", "claim", "deaths"),
    ),
    Case(
        "the rule that a suspect runs alone",
        "src/domain/job/suspect.rs",
        "State::Processing { lease_until } => *lease_until <= now && job.invocation.is_none(),",
        "State::Processing { .. } => false,",
        ("protocol::innocent_jobs_survive_every_death_of_the_culprit",),
    ),
    Case(
        "the return of a suspect's message when its lease ends",
        "src/consumer/suspects.rs",
        "if redelivered.is_empty() {",
        "if redelivered.is_empty() || records.len() < 2 {",
        ("deaths",),
    ),
    Case(
        "the count of the messages that explain waiting jobs",
        "src/domain/job/stranded.rs",
        "expected.saturating_sub(depth)",
        "expected.saturating_sub(0 * depth)",
        ("stranded::jobs_that_merely_wait_are_not_sent_again",),
    ),
    Case(
        "the sweep's messages",
        "src/consumer/sweep.rs",
        "let is_sent = self.requeue.send(row, None).await?;",
        "let is_sent = true;",
        ("stranded::purged_jobs_all_end_within_two_sweeps",),
    ),
    Case(
        "the recent message that a retry does not repeat",
        "src/domain/job/stranded.rs",
        "waits && !has_recent_message(row, now)",
        "waits",
        ("stranded::repeated_retries_of_a_throttled_job_do_not_amplify",),
    ),
    Case(
        "the time of the request of a batch retry",
        "src/aws/requeue.rs",
        "*completed_at <= asked_at",
        "*completed_at <= asked_at || true",
        ("stranded::control_message_continues_a_retry_at_its_cursor",),
    ),
    Case(
        "the check of a cancelled batch at a submission",
        "src/producer/changes.rs",
        "Some(batch) if batch.cancelled_at.is_some() => Err(Problem::batch_cancelled()),",
        "Some(batch) if batch.cancelled_at.is_some() && false => Err(Problem::batch_cancelled()),",
        ("stranded::cancelled_batch_takes_no_job_by_any_way",),
    ),
    Case(
        "the age of a dead letter against its job's retry",
        "src/domain/job/stranded.rs",
        "row.attempt > failed ||",
        "false && row.attempt > failed ||",
        ("stranded::dead_letters_of_recovered_jobs_are_deleted",),
    ),
    Case(
        "the fence of complete, fail and release",
        ENDINGS,
        FENCE,
        'format!("{status} = {processing} OR {attempt} <= {fence}")',
        ("claim", "interleavings"),
    ),
    Case(
        "the attempt in the fence",
        ENDINGS,
        FENCE,
        'format!("{status} = {processing} AND {attempt} >= {fence}")',
        ("claim", "interleavings"),
    ),
    Case(
        "the status in the fence",
        ENDINGS,
        FENCE,
        'format!("({status} = {processing} OR {status} <> {processing}) AND {attempt} = {fence}")',
        ("claim", "interleavings"),
    ),
    Case(
        "the lease in fail_expired_lease",
        ENDINGS,
        " AND {lease} <= {now}",
        " AND ({lease} <= {now} OR {lease} > {now})",
        ("claim",),
    ),
    Case(
        "the lease in the claim",
        CLAIM,
        "{lease} <= {now} AND {ran_alone}",
        "{lease} > :zero AND ({lease} > {now} OR {lease} <= {now}) AND {ran_alone}",
        ("claim", "interleavings"),
    ),
    Case(
        "the charged attempts in the claim",
        CLAIM,
        "{charged_attempts} < {max_attempts}",
        "({charged_attempts} < {max_attempts} OR {charged_attempts} >= {max_attempts})",
        ("claim", "interleavings"),
    ),
    Case(
        "the last moment of the lease",
        CLAIM,
        "{lease} <= {now} AND",
        "{lease} < {now} AND",
        ("claim",),
    ),
    Case(
        "the attempt of a redrive",
        "src/domain/job/claim.rs",
        "claimant.redrive_of == Some(row.attempt)",
        "claimant.redrive_of.is_some()",
        ("claim",),
    ),
    Case(
        "the owner of a worker's own write",
        ENDINGS,
        "&& row.owner.as_ref() == Some(&claim.owner)",
        "",
        ("claim",),
    ),
    Case(
        "the free attempt of a throttled call",
        "src/domain/job/ending.rs",
        "self.release(false, full_jitter(self.receive_count, self.random), reason, Some(error))",
        "self.release(true, full_jitter(self.receive_count, self.random), reason, Some(error))",
        ("consumer",),
    ),
    Case(
        "the dead letter before the stored job",
        "src/consumer/attempt.rs",
        "if let Err(error) = self.dead_letters.send(letter).await {",
        "if let Err(error) = Ok::<(), Unavailable>(drop(letter)) {",
        ("consumer",),
    ),
    Case(
        "the table's check of the index",
        "src/aws/jobs/finished.rs",
        "if self.all_ended(&first.job_ids).await?.is_none() {",
        "if !first.job_ids.is_empty() {",
        ("notifier",),
    ),
    Case(
        "the event bus's answer for each entry",
        "src/aws/events.rs",
        "if entry.event_id.is_some()",
        "if entry.event_id.is_some() || entry.error_code.is_some()",
        ("notifier",),
    ),
    Case(
        "the burst limit of a reservation",
        "src/aws/quota.rs",
        "latest_start + QUOTA_BURST",
        "latest_start + QUOTA_BURST + QUOTA_BURST",
        ("quota",),
    ),
    Case(
        "the quota before the claim",
        "src/consumer/job.rs",
        "consumer.documents.admit(&job, source, &delivery).await?",
        "consumer.documents.admit(&job, source, &delivery).await.unwrap_or(None)",
        ("quota",),
    ),
    Case(
        "the charged attempt of a document larger than the quota",
        "src/consumer/permit.rs",
        "self.fit == Fit::Marginal",
        "self.fit == Fit::Never",
        ("quota",),
    ),
    Case(
        "the free release of a held job",
        "src/domain/job/ending.rs",
        "AttemptError::OnHold(OnHold { target, reason, charged }) => Ending::Release(Release {\n            charged,",
        "AttemptError::OnHold(OnHold { target, reason, .. }) => Ending::Release(Release {\n            charged: true,",
        ("hold::access_denied_for_20_minutes_costs_no_document",),
    ),
    Case(
        "the canary after an unknown refusal",
        GATE,
        "match self.ask(model_id, begun, delivery).await {",
        "self.answered(model_id);\n        match self.ask(model_id, begun, delivery).await {",
        ("hold::model_that_refuses_every_request_fails_no_document",),
    ),
    Case(
        "the resend after a probe without a hold",
        "src/consumer/hold_control.rs",
        "(ProbeStep::Ended | ProbeStep::Probe, _) => self.start_resend(target).await,",
        "(ProbeStep::Ended | ProbeStep::Probe, _) => Ok(Outcome::Acknowledge(Acknowledged::Superseded)),",
        ("hold::jobs_are_resent_after_a_crash_at_the_end_of_the_hold",),
    ),
    Case(
        "the unchanged job at the end of a resend",
        "src/aws/jobs/holds.rs",
        '"{waiting_for} = {shard} AND {updated_at} = {as_read}"',
        '"{waiting_for} = {shard} AND ({updated_at} = {as_read} OR {updated_at} <> {as_read})"',
        ("stored_jobs::wait_is_ended_by_the_resend_that_read_it",),
    ),
    Case(
        "the budget of a schema",
        "src/domain/analysis/schema.rs",
        "check_budget(schema)?",
        "check_budget(schema).unwrap_or(1)",
        ("hostile_jobs::hostile_jobs_fail_and_innocent_jobs_complete_with_one_call", "hostile_input"),
    ),
    Case(
        "the comparison of a message's work with the stored job's",
        "src/aws/jobs/work.rs",
        'condition.push(\')\');',
        'condition.push_str(&format!(" OR attribute_exists({name}))"));',
        ("other_document",),
    ),
    Case(
        "the own bucket of reserved job ids",
        "src/domain/message/s3_event.rs",
        "let own_key = (s3.bucket.name == own_bucket).then_some(&*key);",
        "let own_key = (!own_bucket.is_empty()).then_some(&*key);",
        ("other_document",),
    ),
    Case(
        "the version of a message",
        "src/domain/message/body.rs",
        "if body.is_some_and(is_newer_version) {",
        "if body.is_some_and(|body| body.is_empty() && is_newer_version(body)) {",
        ("other_document::message_and_item_of_a_newer_version_wait_unchanged",),
    ),
    Case(
        "the second erasure of a purge, after running work",
        "src/purger/mod.rs",
        "if let Some(after) = wait_for_work(work_ends_at, now()) {",
        "if let Some(after) = wait_for_work(work_ends_at, now()).filter(|_| false) {",
        ("purge::job_that_runs_during_its_purge_leaves_nothing",),
    ),
    Case(
        "the dead letters of a purge",
        "src/purger/mod.rs",
        "if self.is_of_purged_job(&letter).await? {",
        "if self.is_of_purged_job(&letter).await? && letter.body.is_empty() {",
        ("purge",),
    ),
    Case(
        "the status before a change",
        "src/domain/events.rs",
        "if before.has_ended() {",
        "if before == Status::Pending && before.has_ended() {",
        ("notifier",),
    ),
    Case(
        "the removal of encoded data",
        "src/domain/document/reading.rs",
        "    let text = remove_encoded_data(text);\n",
        "    let text = if text.is_empty() { remove_encoded_data(text) } else { text };\n",
        ("corpus",),
    ),
    Case(
        "the declaration of a text in UTF-8",
        "src/domain/document/reading.rs",
        "    declaration::declare_utf_8(&mut text);\n",
        "    if text.is_empty() {\n        declaration::declare_utf_8(&mut text);\n    }\n",
        ("corpus",),
    ),
    Case(
        "the ratio of a zip",
        "src/domain/document/readers/archive.rs",
        ".within(limit)",
        ".within(limit.saturating_mul(100))",
        ("corpus",),
    ),
]
