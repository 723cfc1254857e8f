//! Admission: a call begins when the model's quota has room for it.
//!
//! A document is admitted before its job is claimed, so that one that has to
//! wait costs no write, and what is then known of its size decides before the
//! call. One that would wait for longer than [`QUOTA_WAIT`] is given back to the
//! queue, uncharged.
//!
//! ```text
//! message ─ admit ─ claim → fetch → admit ─ call ─ settle
//!             └ again, when the quota is free    └ what was not used serves the next
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as Turn;
use tracing::warn;

use super::result::store_unavailable;
use crate::aws::Unavailable;
use crate::aws::queue::JobsQueue;
use crate::aws::quota::{Quotas, Reservation};
use crate::clock::{now, until};
use crate::domain::backoff::full_jitter;
use crate::domain::ending::AttemptError;
use crate::domain::limits::{BACKLOG_KNOWN, QUOTA_WAIT};
use crate::domain::quota::{Quota, Slot, tokens_of};
use crate::domain::quota_share::Share;
use crate::domain::row::Usage;

/// Keeps the calls of one model to its quota.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    quota: Quota,
    quotas: Quotas,
    model_id: String,
    max_tokens: u64,
    queue: JobsQueue,
    share: Arc<Mutex<Share>>,
    /// One reservation at a time: those that wait for it find theirs in it.
    turn: Arc<Turn<()>>,
    backlogs: Arc<Turn<Backlogs>>,
}

type Backlogs = HashMap<Option<String>, (Timestamp, u64)>;

/// What a call has reserved. Dropped before the call, it serves another.
#[derive(Debug)]
pub(super) struct Permit {
    share: Arc<Mutex<Share>>,
    quota: Quota,
    /// What Bedrock takes when the call begins.
    reserved: SignedDuration,
    /// What it is expected to count in the end.
    taken: SignedDuration,
}

/// What a call has reserved that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    share: Arc<Mutex<Share>>,
    quota: Quota,
    reserved: SignedDuration,
    taken: SignedDuration,
}

/// Why a call may not begin.
#[derive(Debug)]
pub(super) enum NotAdmitted {
    /// The quota is used up; the message is wanted again after that.
    OverQuota(Duration),
    /// The quotas' table did not answer.
    Unavailable(Unavailable),
}

impl From<NotAdmitted> for AttemptError {
    fn from(not: NotAdmitted) -> Self {
        match not {
            NotAdmitted::OverQuota(after) => Self::OverQuota(after),
            NotAdmitted::Unavailable(error) => store_unavailable(error),
        }
    }
}

/// For whom a call is admitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    /// The ARN of the queue that the message came from.
    pub source: Option<&'a str>,
    /// How often it came.
    pub receive_count: u32,
    /// When the call must have begun.
    pub latest_start: Timestamp,
}

impl Admission {
    pub fn new(quota: Quota, quotas: Quotas, model_id: String, max_tokens: i32, queue: JobsQueue) -> Self {
        Self {
            quota,
            quotas,
            model_id,
            max_tokens: u64::try_from(max_tokens).unwrap_or_default(),
            queue,
            share: Arc::default(),
            turn: Arc::default(),
            backlogs: Arc::default(),
        }
    }

    /// Whether this model's calls are kept to the quota.
    pub fn is_of(&self, model_id: &str) -> bool {
        model_id == self.model_id
    }

    /// Makes a permit what Bedrock will take when the call begins; from none, it
    /// admits a call. `input_bytes` are of the whole request, where it is text of
    /// known size; `max_tokens` are of the answer, where they are not the
    /// function's own.
    pub async fn admit(
        &self,
        permit: Option<Permit>,
        input_bytes: Option<usize>,
        max_tokens: Option<i32>,
        asker: Asker<'_>,
    ) -> Result<Permit, NotAdmitted> {
        let input_tokens = input_bytes.map_or_else(|| self.share().input_tokens(), tokens_of);
        let max_tokens = max_tokens.and_then(|own| u64::try_from(own).ok()).unwrap_or(self.max_tokens);
        let wanted = self.quota.reserved(input_tokens, max_tokens);
        let least = self.quota.settled(Usage { input_tokens, output_tokens: 0 });
        let mut permit = permit.unwrap_or_else(|| self.permit());
        let missing = wanted - permit.reserved;
        if missing > SignedDuration::ZERO {
            permit.taken += self.take(missing, least, asker).await?;
        } else {
            let kept = permit.taken.as_secs_f64() * wanted.as_secs_f64() / permit.reserved.as_secs_f64();
            let unused = permit.taken - SignedDuration::from_micros((kept * 1e6) as i64);
            permit.taken -= unused;
            self.share().put_back(unused);
        }
        permit.reserved = wanted;
        Ok(permit)
    }

    /// Takes from what the function holds, or reserves, and waits until it may.
    /// Gives what it took for a call that takes `reserved` when it begins, and
    /// counts `least` at least.
    async fn take(
        &self,
        reserved: SignedDuration,
        least: SignedDuration,
        asker: Asker<'_>,
    ) -> Result<SignedDuration, NotAdmitted> {
        let latest_start = asker.latest_start.min(now() + QUOTA_WAIT);
        if let Some(taken) = self.take_held(reserved) {
            return Ok(taken);
        }
        let part = self.share().part();
        let _turn = {
            let _waiting = Waiting::new(&self.share, part_of(reserved, part));
            self.turn.lock().await
        };
        if let Some(taken) = self.take_held(reserved) {
            return Ok(taken);
        }
        if self.share().is_full(now()) {
            return Err(self.over_quota(reserved, least, asker).await);
        }
        let row = self.quotas.read(&self.model_id).await.map_err(NotAdmitted::Unavailable)?;
        let (taken, wanted) = {
            let mut share = self.share();
            if let Some(part) = row.part {
                share.hear(part);
            }
            let taken = part_of(reserved, share.part());
            if share.take(taken, now()) {
                return Ok(taken);
            }
            let (to_reserve, part) = (share.to_reserve(taken), share.part_to_tell());
            (taken, Reservation { taken: to_reserve, now: now(), latest_start, part })
        };
        match self.quotas.reserve(&self.model_id, row, wanted).await {
            Ok(Slot::From(start)) => {
                tokio::time::sleep(until(start)).await;
                self.share().add(wanted.taken - taken, now());
                Ok(taken)
            }
            Ok(Slot::Full(free_at)) => {
                self.share().full(free_at);
                Err(self.over_quota(reserved, least, asker).await)
            }
            Err(error) => Err(NotAdmitted::Unavailable(error)),
        }
    }

    /// Takes what is there, once it is known what part counts.
    fn take_held(&self, reserved: SignedDuration) -> Option<SignedDuration> {
        let mut share = self.share();
        let taken = part_of(reserved, Some(share.part()?));
        share.take(taken, now()).then_some(taken)
    }

    /// While it is not known what part a call counts, the least is assumed:
    /// documents that come too early are given back again, and what comes too late
    /// leaves the quota unused.
    async fn over_quota(&self, reserved: SignedDuration, least: SignedDuration, asker: Asker<'_>) -> NotAdmitted {
        let backlog = self.backlog(asker.source).await;
        let otherwise = full_jitter(asker.receive_count, fastrand::f64());
        let mut share = self.share();
        let taken = share.part().map_or(least, |part| part_of(reserved, Some(part)));
        NotAdmitted::OverQuota(share.return_after(taken, now(), backlog, otherwise, fastrand::f64()))
    }

    /// About how many messages wait, asked now and then.
    async fn backlog(&self, source: Option<&str>) -> Option<u64> {
        let mut backlogs = self.backlogs.lock().await;
        let source_known = source.map(str::to_owned);
        if let Some((read_at, messages)) = backlogs.get(&source_known)
            && now() < *read_at + BACKLOG_KNOWN
        {
            return Some(*messages);
        }
        match self.queue.backlog(source).await {
            Ok(messages) => {
                backlogs.insert(source_known, (now(), messages));
                Some(messages)
            }
            Err(error) => {
                warn!(service = error.service, code = error.code, "how many messages wait is not known");
                None
            }
        }
    }

    fn permit(&self) -> Permit {
        let nothing = SignedDuration::ZERO;
        Permit { share: self.share.clone(), quota: self.quota, reserved: nothing, taken: nothing }
    }

    fn share(&self) -> MutexGuard<'_, Share> {
        locked(&self.share)
    }
}

impl Permit {
    /// The call begins: unless it is settled, what was taken counts as used. A
    /// throttled call slows all down by that much.
    pub fn begin(mut self) -> Begun {
        let taken = std::mem::take(&mut self.taken);
        Begun { share: self.share.clone(), quota: self.quota, reserved: self.reserved, taken }
    }
}

impl Begun {
    /// The call ended with an answer: what it did not use serves the next.
    pub fn settle(self, usage: Usage, elapsed: Duration) {
        let counted = self.quota.counted(self.reserved, usage, elapsed);
        let mut share = locked(&self.share);
        share.put_back(self.taken - counted);
        share.learn(usage.input_tokens, self.reserved, counted);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        locked(&self.share).put_back(self.taken);
    }
}

/// A call that waits for its turn.
struct Waiting<'a> {
    share: &'a Mutex<Share>,
    taken: SignedDuration,
}

impl<'a> Waiting<'a> {
    fn new(share: &'a Mutex<Share>, taken: SignedDuration) -> Self {
        locked(share).wait(taken);
        Self { share, taken }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(self.share).wait(-self.taken);
    }
}

/// All of it until a part is known.
fn part_of(reserved: SignedDuration, part: Option<f64>) -> SignedDuration {
    SignedDuration::from_micros((reserved.as_secs_f64() * part.unwrap_or(1.0) * 1e6).ceil() as i64)
}

/// No holder leaves it half changed.
fn locked(share: &Mutex<Share>) -> MutexGuard<'_, Share> {
    share.lock().unwrap_or_else(PoisonError::into_inner)
}
