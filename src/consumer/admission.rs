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
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as Turn;
use tracing::warn;

pub(super) use super::permit::Permit;
use super::permit::{Waiting, locked};
use super::result::store_unavailable;
use crate::aws::Unavailable;
use crate::aws::queue::JobsQueue;
use crate::aws::quota::{Quotas, Reservation};
use crate::clock::{now, until};
use crate::domain::backoff::full_jitter;
use crate::domain::ending::AttemptError;
use crate::domain::failure::{Failure, codes};
use crate::domain::limits::{BACKLOG_KNOWN, QUOTA_TURN_WAIT, QUOTA_WAIT};
use crate::domain::quota::{Fit, Quota, Slot, tokens_of};
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

/// Each queue's number of messages, when it was asked for last; `None` when there
/// was no answer.
type Backlogs = HashMap<Option<String>, (Timestamp, Option<u64>)>;

/// How long nobody here asks a table that did not answer.
const TABLE_PAUSE: Duration = Duration::from_secs(1);

/// Why a call may not begin.
#[derive(Debug)]
pub(super) enum NotAdmitted {
    /// The quota is used up; the message is wanted again after that.
    OverQuota(Duration),
    /// The quotas' table did not answer.
    Unavailable(Unavailable),
    /// There is no time left in which it could begin.
    NoTime,
    /// A minute's worth of the quota is less than it takes.
    NeverFits,
}

impl From<NotAdmitted> for AttemptError {
    fn from(not: NotAdmitted) -> Self {
        match not {
            NotAdmitted::OverQuota(after) => Self::OverQuota(after),
            NotAdmitted::Unavailable(error) => store_unavailable(error),
            NotAdmitted::NoTime => Self::NoTime,
            NotAdmitted::NeverFits => Self::Permanent(Failure::new(
                codes::DOCUMENT_TOO_LARGE,
                "one call would take more than the model's tokens of a minute (parameter ModelTokensPerMinute): \
                 lower PartMaxBytes or MaxTokens",
            )),
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
        let fit = self.quota.fit(input_tokens, max_tokens);
        if fit == Fit::Never {
            return Err(NotAdmitted::NeverFits);
        }
        let wanted = self.quota.reserved(input_tokens, max_tokens);
        let least = self.quota.settled(Usage { input_tokens, output_tokens: 0 });
        // Of a size that is not known the estimate tells only how long to wait.
        let floor = input_bytes.map_or(SignedDuration::ZERO, |_| least);
        let mut permit = permit.unwrap_or_else(|| self.permit());
        let missing = wanted - permit.reserved;
        if missing > SignedDuration::ZERO {
            let floor = (floor - permit.taken).max(SignedDuration::ZERO);
            permit.taken += self.take(Need { reserved: missing, least, floor }, asker).await?;
        } else {
            let kept = permit.taken.as_secs_f64() * wanted.as_secs_f64() / permit.reserved.as_secs_f64();
            let kept = SignedDuration::from_micros((kept * 1e6) as i64).max(floor);
            let unused = (permit.taken - kept).max(SignedDuration::ZERO);
            permit.taken -= unused;
            self.share().put_back(unused);
        }
        (permit.reserved, permit.fit) = (wanted, fit);
        Ok(permit)
    }

    /// Takes from what the function holds, or reserves, and waits until it may.
    /// Gives what it took.
    async fn take(&self, need: Need, asker: Asker<'_>) -> Result<SignedDuration, NotAdmitted> {
        if now() > asker.latest_start {
            return Err(NotAdmitted::NoTime);
        }
        if let Some(taken) = self.take_held(need) {
            return Ok(taken);
        }
        let part = self.share().part();
        let turn = {
            let _waiting = Waiting::new(&self.share, need.taken(part));
            tokio::time::timeout(QUOTA_TURN_WAIT.min(until(asker.latest_start)), self.turn.lock()).await
        };
        let Ok(turn) = turn else {
            return Err(self.over_quota(need, asker).await);
        };
        if let Some(taken) = self.take_held(need) {
            return Ok(taken);
        }
        if self.share().is_full(now()) {
            drop(turn);
            return Err(self.over_quota(need, asker).await);
        }
        let row = match self.quotas.read(&self.model_id).await {
            Ok(row) => row,
            Err(error) => return Err(self.unavailable(error)),
        };
        let at = now();
        let latest_start = asker.latest_start.min(at + QUOTA_WAIT);
        if at > latest_start {
            return Err(NotAdmitted::NoTime);
        }
        let (taken, wanted) = {
            let mut share = self.share();
            if let Some(part) = row.part {
                share.hear(part);
            }
            let taken = need.taken(share.part());
            if share.take(taken, now()) {
                return Ok(taken);
            }
            let (to_reserve, part) = (share.to_reserve(taken), share.part_to_tell());
            (taken, Reservation { taken: to_reserve, now: at, latest_start, part })
        };
        match self.quotas.reserve(&self.model_id, row, wanted).await {
            Ok(Slot::From(start)) => {
                tokio::time::sleep(until(start)).await;
                self.share().add(wanted.taken - taken, now());
                Ok(taken)
            }
            Ok(Slot::Full(free_at)) => {
                self.share().full(free_at);
                drop(turn);
                Err(self.over_quota(need, asker).await)
            }
            Err(error) => Err(self.unavailable(error)),
        }
    }

    /// Those that wait for the same table do not each find out for themselves.
    fn unavailable(&self, error: Unavailable) -> NotAdmitted {
        self.share().full(now() + TABLE_PAUSE);
        NotAdmitted::Unavailable(error)
    }

    /// Takes what is there, once it is known what part counts.
    fn take_held(&self, need: Need) -> Option<SignedDuration> {
        let mut share = self.share();
        let taken = need.taken(Some(share.part()?));
        share.take(taken, now()).then_some(taken)
    }

    /// While it is not known what part a call counts, the least is assumed:
    /// documents that come too early are given back again, and what comes too late
    /// leaves the quota unused.
    async fn over_quota(&self, need: Need, asker: Asker<'_>) -> NotAdmitted {
        let backlog = self.backlog(asker.source).await;
        let otherwise = full_jitter(asker.receive_count, fastrand::f64());
        let mut share = self.share();
        let taken = share.part().map_or(need.least, |part| need.taken(Some(part)));
        NotAdmitted::OverQuota(share.return_after(taken, now(), backlog, otherwise, fastrand::f64()))
    }

    /// About how many messages wait, asked now and then.
    async fn backlog(&self, source: Option<&str>) -> Option<u64> {
        let mut backlogs = self.backlogs.lock().await;
        let source_known = source.map(str::to_owned);
        if let Some((read_at, messages)) = backlogs.get(&source_known)
            && now() < *read_at + BACKLOG_KNOWN
        {
            return *messages;
        }
        let messages = self.queue.backlog(source).await;
        if let Err(error) = &messages {
            warn!(service = error.service, code = error.code, "how many messages wait is not known");
        }
        let messages = messages.ok();
        backlogs.insert(source_known, (now(), messages));
        messages
    }

    fn permit(&self) -> Permit {
        Permit::of_nothing(&self.share, self.quota)
    }

    fn share(&self) -> MutexGuard<'_, Share> {
        locked(&self.share)
    }
}

/// What a call wants of the quota.
#[derive(Debug, Clone, Copy)]
struct Need {
    /// What Bedrock takes when it begins.
    reserved: SignedDuration,
    /// What it counts at least, by the estimate of its input.
    least: SignedDuration,
    /// What it counts at least whatever part others count: nothing while its size is
    /// not known.
    floor: SignedDuration,
}

impl Need {
    /// What to take for it: all of it until a part is known.
    fn taken(&self, part: Option<f64>) -> SignedDuration {
        let part = self.reserved.as_secs_f64() * part.unwrap_or(1.0);
        SignedDuration::from_micros((part * 1e6).ceil() as i64).max(self.floor)
    }
}
