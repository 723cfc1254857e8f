//! Tests of the module above.

use super::*;
use crate::domain::document::DocumentRecord;
use crate::domain::document::location::S3Location;
use crate::domain::failure::Failure;
use crate::domain::hold::HoldTarget;

const HOUR: Duration = Duration::from_secs(3_600);

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn pending() -> StoredJob {
    let at = S3Location { bucket: "b".into(), key: "k".into(), version_id: None, sha256: None };
    let document = DocumentRecord::unread(&at);
    StoredJob { document, request_hash: Some("h".into()), ..StoredJob::new("j".parse().unwrap(), start()) }
}

fn named(job_id: &str) -> StoredJob {
    StoredJob { job_id: job_id.parse().unwrap(), ..pending() }
}

#[test]
fn job_is_due_an_hour_after_its_last_change() {
    let job = pending();
    assert_eq!(judge(&job, start() + HOUR - Duration::from_millis(1)), Strand::Waits);
    assert_eq!(judge(&job, start() + HOUR), Strand::Candidate { idle_since: start() });
    let later = start() + 2 * HOUR;
    let changed = [
        StoredJob { updated_at: later, ..job.clone() },
        StoredJob { not_before: Some(later), ..job.clone() },
        StoredJob { resent_at: Some(later), ..job.clone() },
        StoredJob { state: State::Processing { lease_until: later }, ..job },
    ];
    for job in changed {
        assert_eq!(judge(&job, later + HOUR / 2), Strand::Waits, "{job:?}");
        assert_eq!(judge(&job, later + HOUR), Strand::Candidate { idle_since: later }, "{job:?}");
    }
}

#[test]
fn further_messages_of_the_sweep_are_four_times_apart() {
    let hours = |resends| {
        let job = StoredJob { resends, resent_at: Some(start()), ..pending() };
        (1..).find(|hours| is_due(&job, start() + *hours * HOUR)).unwrap()
    };
    assert_eq!([0, 1, 2, 3].map(hours), [1, 4, 16, 64]);
    assert_eq!(sweep_wait(u32::MAX), sweep_wait(SWEEP_STEPS_MAX));
}

#[test]
fn waiting_and_ended_jobs_are_left_alone() {
    let late = start() + 1_000 * HOUR;
    let held = StoredJob { waiting_for: Some(HoldTarget::Store), ..pending() };
    assert_eq!(judge(&held, late), Strand::Waits);
    let cancelled = StoredJob { state: State::Cancelled { completed_at: start() }, ..pending() };
    assert_eq!(judge(&cancelled, late), Strand::Ended);
}

#[test]
fn message_older_than_its_queue_keeps_it_is_lost() {
    let late = start() + QUEUE_RETENTION;
    assert_eq!(judge(&pending(), late), Strand::Lost);
    let before = late - Duration::from_secs(1);
    assert_eq!(judge(&pending(), before), Strand::Candidate { idle_since: start() });
}

#[test]
fn missing_upload_ends_after_its_time() {
    let upload = StoredJob { document: DocumentRecord::default(), ..pending() };
    let end = start() + UPLOAD_TIME + UPLOAD_MARGIN;
    assert_eq!(judge(&upload, end - Duration::from_secs(1)), Strand::AwaitsUpload { is_over: false });
    assert_eq!(judge(&upload, end), Strand::AwaitsUpload { is_over: true });
    let others = [
        StoredJob { request_hash: None, ..upload.clone() },
        StoredJob { attempt: 1, ..upload.clone() },
        StoredJob { state: State::Processing { lease_until: start() }, ..upload },
    ];
    assert!(others.iter().all(|job| !awaits_upload(job)));
}

#[test]
fn queues_explain_as_many_jobs_as_they_have_messages() {
    // 100,000 jobs that merely wait, with the duplicates and the messages of other producers.
    assert_eq!(lost_messages(100_000, 100_000), 0);
    assert_eq!(lost_messages(100_000, 100_250), 0);
    assert_eq!(lost_messages(100_001, 100_000), 1);
    assert_eq!(lost_messages(2_000, 0), 2_000);
}

/// The jobs that one walk sends while the queues have `depth` messages.
fn stranded(found: Found, depth: u64) -> Vec<JobId> {
    let lost = lost_messages(found.expected, depth);
    found.stranded(lost)
}

#[test]
fn sweep_sends_the_oldest_jobs_that_no_message_explains() {
    let now = start() + 5 * HOUR;
    let found = || {
        let mut found = Found::new(0);
        for n in 0..1_000u32 {
            let at = start() + Duration::from_secs(u64::from(n));
            found.add(&StoredJob { created_at: at, updated_at: at, ..named(&format!("j{n}")) }, now);
        }
        found
    };
    assert!(stranded(found(), 1_000).is_empty(), "all merely wait");
    assert_eq!(stranded(found(), 998), ["j0", "j1"].map(|id| id.parse().unwrap()));
    assert_eq!(stranded(found(), 0).len(), 1_000);
}

#[test]
fn waiting_jobs_by_the_hundred_thousand_are_not_sent_again() {
    let now = start() + 30 * HOUR;
    let mut found = Found::new(0);
    for n in 0..100_000u32 {
        let at = start() + Duration::from_millis(u64::from(n));
        found.add(&StoredJob { created_at: at, updated_at: at, ..named(&format!("j{n}")) }, now);
    }
    // The queue delivers the oldest of them now, in about their order.
    let held = State::Processing { lease_until: now + HOUR };
    found.add(&StoredJob { state: held, attempt: 1, ..named("front") }, now);
    assert_eq!(found.expected, 100_001);
    assert!(stranded(found, 100_001).is_empty());
}

#[test]
fn overtaken_job_is_sent_although_the_queue_is_full() {
    let now = start() + 5 * HOUR;
    let mut found = Found::new(0);
    found.add(&named("lost"), now);
    let held = State::Processing { lease_until: now + HOUR };
    let created_at = start() + 2 * HOUR;
    found.add(&StoredJob { state: held, attempt: 1, created_at, ..named("front") }, now);
    let younger = start() + 3 * HOUR;
    found.add(&StoredJob { created_at: younger, updated_at: younger, ..named("waits") }, now);
    assert_eq!(stranded(found, 1_000), ["lost".parse().unwrap()]);
}

#[test]
fn retry_sends_no_second_message_within_a_minute() {
    let second = Duration::from_secs(1);
    assert!(!has_recent_message(&pending(), start()), "the producer may have crashed before it sent one");
    let released = StoredJob { attempt: 1, not_before: Some(start() + 10 * second), ..pending() };
    assert!(has_recent_message(&released, start() + 69 * second));
    assert!(!has_recent_message(&released, start() + 70 * second));
    let sent = StoredJob { resent_at: Some(start()), ..pending() };
    assert!(has_recent_message(&sent, start() + 59 * second));
    assert!(!has_recent_message(&sent, start() + 60 * second));
    let held = StoredJob { waiting_for: Some(HoldTarget::Store), ..pending() };
    assert!(has_recent_message(&held, start() + 100 * HOUR));
}

#[test]
fn letter_is_stale_once_its_job_ended_or_was_queued_again() {
    let at = |attempt, generation, state| StoredJob { attempt, generation, state, ..pending() };
    let failed = || State::Failed { error: Failure::new("c", "m"), completed_at: start() };
    let running = || State::Processing { lease_until: start() };
    assert!(!is_stale_letter(&at(3, 0, failed()), Some(3)), "the letter of the failure");
    assert!(!is_stale_letter(&at(3, 0, running()), Some(3)), "the job is failed next");
    assert!(is_stale_letter(&at(3, 3, State::Pending), Some(3)), "a caller retried the job");
    assert!(is_stale_letter(&at(4, 3, running()), Some(3)), "a redrive runs");
    assert!(is_stale_letter(&at(5, 3, failed()), Some(3)), "the later failure has its own letter");
    assert!(!is_stale_letter(&at(5, 3, failed()), Some(5)));
    assert!(!is_stale_letter(&at(5, 3, failed()), None), "a letter without its attempt");
    let cancelled = State::Cancelled { completed_at: start() };
    assert!(is_stale_letter(&at(5, 3, cancelled), None));
}
