//! The sweep: sends the messages of jobs again whose message may be lost, and the lost control
//! messages of holds. It ends jobs that wait for nothing, and deletes stale dead letters.
//! EventBridge sends its control message on a schedule.
//!
//! `domain::job::stranded` has the rules.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tracing::info;

use crate::aws::Unavailable;
use crate::aws::queue::{DeadLetterQueue, ReceivedLetter};
use crate::aws::requeue::Requeue;
use crate::aws::uploaded_objects::UploadedObjects;
use crate::clock::now;
use crate::domain::document::DocumentRecord;
use crate::domain::failure::{Failure, codes};
use crate::domain::hold::{Hold, HoldTarget};
use crate::domain::ids::JobId;
use crate::domain::job::outcome::{Acknowledged, Outcome};
use crate::domain::job::stored::StoredJob;
use crate::domain::job::stranded::{Found, Strand, is_stale_letter, judge, waits_long};
use crate::domain::job::sweep_walk::SweepWalk;
use crate::domain::limits::{
    CONCURRENT_RESENDS, HOLD_PROBE_MARGIN, RESPONSE_MARGIN, STORE_RESERVE, SWEEP_AGAIN_DELAY, SWEEP_JOBS_MAX,
    SWEEP_LETTER_VISIBILITY, SWEEP_LETTERS_MAX, SWEEP_PAGE, SWEEP_TIME,
};
use crate::domain::message::control::Control;
use crate::metrics::{Meter, table};

/// Runs sweeps.
#[derive(Debug, Clone)]
pub(super) struct Sweep {
    pub requeue: Requeue,
    pub uploads: UploadedObjects,
    pub dead_letters: DeadLetterQueue,
}

/// The effects of one invocation of the sweep.
#[derive(Debug, Default)]
struct Effects {
    resent: usize,
    failed: usize,
    letters_deleted: usize,
    /// The targets for which a job has waited long.
    targets: HashSet<HoldTarget>,
}

impl Sweep {
    /// Sweeps the unfinished jobs of one part of a walk.
    ///
    /// An invocation that has too little time sends the message of the next one.
    pub async fn run(&self, walk: SweepWalk, deadline: Timestamp, meter: &Meter) -> Result<Outcome, Unavailable> {
        let end = (deadline - STORE_RESERVE - RESPONSE_MARGIN).min(now() + SWEEP_TIME);
        let (mut found, mut effects) = (Found::new(walk.expected), Effects::default());
        let mut position = walk.after.clone();
        loop {
            let (job_ids, next) = self.requeue.jobs.all_unfinished(position, SWEEP_PAGE).await?;
            let rows = self.requeue.jobs.get_many_without_results(&job_ids).await?;
            self.look(rows, &mut found, &mut effects).await?;
            position = next;
            if position.is_none() || now() >= end {
                break;
            }
        }
        let expected = found.expected;
        let (mut stranded, mut revived, mut lost) = (Vec::new(), 0, 0);
        let holds = self.requeue.jobs.list_holds().await?;
        meter.raise(table::HOLDS_OPEN, holds.len() as f64);
        if expected > 0 {
            revived = self.revive(&holds, std::mem::take(&mut effects.targets), walk.is_first()).await?;
            lost = walk.lost(expected, self.messages_of_jobs(&holds).await?);
            if !walk.only_counts(position.as_ref()) {
                stranded = found.stranded(lost);
            }
        }
        let is_cut = stranded.len() >= SWEEP_JOBS_MAX;
        let resent_before = effects.resent;
        let remains = self.send_all(stranded, end, &mut effects).await? || is_cut;
        let next = walk.next(position, expected, lost, effects.resent - resent_before);
        let has_more = next.is_some() || remains;
        if has_more {
            // A sweep from the start waits until the queue's counts include the new messages.
            let delay = if next.is_some() { Duration::ZERO } else { SWEEP_AGAIN_DELAY };
            self.requeue.queue.send_control(&Control::Sweep(next.unwrap_or_default()), delay).await?;
        }
        if walk.is_first() {
            effects.letters_deleted = self.delete_stale_letters(end).await?;
        }
        let Effects { resent, failed, letters_deleted, .. } = effects;
        info!(unfinished = expected, resent, failed, revived, letters_deleted, has_more, "unfinished jobs were swept");
        Ok(Outcome::Acknowledge(Acknowledged::Swept))
    }

    /// Sends the control messages again that the waiting jobs need: the overdue probes of holds,
    /// once a sweep, and the message that resends the jobs of a hold or a pause that has ended.
    /// Returns their number.
    async fn revive(&self, holds: &[Hold], targets: HashSet<HoldTarget>, is_first: bool) -> Result<usize, Unavailable> {
        let Requeue { jobs, queue, .. } = &self.requeue;
        let overdue = holds.iter().filter(|hold| is_first && now() > hold.next_probe_at + HOLD_PROBE_MARGIN);
        let probe = |hold: &Hold| Control::Probe { target: hold.target.clone(), number: hold.probe };
        let mut messages: Vec<Control> = overdue.map(probe).collect();
        for target in targets {
            let is_blocked = match &target {
                HoldTarget::Batch(batch_id) => {
                    jobs.get_batch(batch_id).await?.is_some_and(|batch| batch.paused_on_hold().is_some())
                }
                HoldTarget::Model(_) | HoldTarget::Store => holds.iter().any(|hold| hold.target == target),
            };
            if !is_blocked {
                messages.push(Control::Resend { target, last_look: false });
            }
        }
        for message in &messages {
            queue.send_control(message, Duration::ZERO).await?;
        }
        Ok(messages.len())
    }

    /// The messages of the queues without those that belong to no job: this one, and the
    /// probes of holds.
    async fn messages_of_jobs(&self, holds: &[Hold]) -> Result<u64, Unavailable> {
        Ok(self.requeue.queue.depth().await?.saturating_sub(1 + holds.len() as u64))
    }

    /// Judges jobs. Those whose messages are certainly lost, and uploads whose time is over,
    /// are handled at once.
    async fn look(&self, rows: Vec<StoredJob>, found: &mut Found, effects: &mut Effects) -> Result<(), Unavailable> {
        let now = now();
        let mut urgent = Vec::new();
        for row in rows {
            if waits_long(&row, now) {
                effects.targets.extend(row.waiting_for.clone());
            }
            match judge(&row, now) {
                Strand::Waits | Strand::Candidate { .. } => found.add(&row, now),
                Strand::Lost | Strand::AwaitsUpload { is_over: true } => urgent.push(row),
                Strand::AwaitsUpload { is_over: false } | Strand::Ended => {}
            }
        }
        let handled = stream::iter(urgent).map(async |row| match judge(&row, now) {
            Strand::AwaitsUpload { .. } => self.end_upload(row).await,
            _ => self.send_lost(row).await,
        });
        let handled: Vec<_> = handled.buffer_unordered(CONCURRENT_RESENDS).collect().await;
        for handled in handled {
            match handled? {
                Handled::Uploaded(row) => found.add(&row, now),
                Handled::Sent => effects.resent += 1,
                Handled::Failed => effects.failed += 1,
            }
        }
        Ok(())
    }

    /// Finds the document of an upload whose time is over, or fails its job.
    async fn end_upload(&self, row: StoredJob) -> Result<Handled, Unavailable> {
        if let Some(location) = self.uploads.find(&row.job_id, row.priority).await? {
            let document = DocumentRecord::unread(&location);
            self.requeue.jobs.set_uploaded(&row, &document).await?;
            return Ok(Handled::Uploaded(Box::new(StoredJob { document, ..row })));
        }
        let message = "no document arrived before the upload's URL expired; create another upload";
        self.fail(&row, &Failure::new(codes::UPLOAD_EXPIRED, message)).await
    }

    async fn send_lost(&self, row: StoredJob) -> Result<Handled, Unavailable> {
        if self.send(&row).await? {
            return Ok(Handled::Sent);
        }
        let message = "no queue has the job's message any more, and the document came in this message; submit it again";
        self.fail(&row, &Failure::new(codes::MESSAGE_LOST, message)).await
    }

    async fn fail(&self, row: &StoredJob, failure: &Failure) -> Result<Handled, Unavailable> {
        self.requeue.jobs.fail_stranded(row, failure, now()).await?;
        Ok(Handled::Failed)
    }

    /// Sends the messages of jobs that still need one. Returns whether some remain at `end`.
    async fn send_all(&self, jobs: Vec<JobId>, end: Timestamp, effects: &mut Effects) -> Result<bool, Unavailable> {
        for jobs in jobs.chunks(SWEEP_PAGE / 4) {
            if now() >= end {
                return Ok(true);
            }
            let rows = self.requeue.jobs.get_many_without_results(jobs).await?.into_iter();
            let rows = rows.filter(|row| matches!(judge(row, now()), Strand::Candidate { .. } | Strand::Lost));
            let sent = stream::iter(rows).map(async |row| self.send(&row).await);
            let sent: Vec<_> = sent.buffer_unordered(CONCURRENT_RESENDS).collect().await;
            for sent in sent {
                effects.resent += usize::from(sent?);
            }
        }
        Ok(false)
    }

    /// Sends one message. False if none can be made.
    async fn send(&self, row: &StoredJob) -> Result<bool, Unavailable> {
        let is_sent = self.requeue.send(row, None).await?;
        if is_sent {
            self.requeue.jobs.mark_resent(row, now()).await?;
        }
        Ok(is_sent)
    }

    /// Deletes the dead letters of jobs that ended otherwise or were queued again. The others
    /// return to the queue.
    async fn delete_stale_letters(&self, end: Timestamp) -> Result<usize, Unavailable> {
        let (mut received, mut deleted, mut kept) = (0, 0, Vec::new());
        while received < SWEEP_LETTERS_MAX && now() < end {
            let letters = self.dead_letters.receive(SWEEP_LETTER_VISIBILITY).await?;
            if letters.is_empty() {
                break;
            }
            received += letters.len();
            let job_ids: Vec<JobId> = letters.iter().filter_map(|letter| letter.job_id.clone()).collect();
            let rows = self.requeue.jobs.get_many_without_results(&job_ids).await?;
            let is_stale = |letter: &ReceivedLetter| {
                let row = rows.iter().find(|row| Some(&row.job_id) == letter.job_id.as_ref());
                row.is_some_and(|row| is_stale_letter(row, letter.failed_attempt))
            };
            let (stale, current): (Vec<_>, Vec<_>) = letters.into_iter().partition(is_stale);
            for letter in &stale {
                self.dead_letters.delete(letter).await?;
            }
            deleted += stale.len();
            kept.extend(current);
        }
        // A redrive moves visible letters alone.
        let put_back = stream::iter(kept).map(async |letter| self.dead_letters.put_back(&letter).await);
        let put_back: Vec<_> = put_back.buffer_unordered(CONCURRENT_RESENDS).collect().await;
        put_back.into_iter().collect::<Result<(), _>>()?;
        Ok(deleted)
    }
}

/// The effect on one job.
enum Handled {
    /// The job's document has arrived, so it should have a message.
    Uploaded(Box<StoredJob>),
    Sent,
    Failed,
}
