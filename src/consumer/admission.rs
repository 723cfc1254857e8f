//! Admission: a model call begins when the model's quota admits it.
//!
//! A document is admitted before its job is claimed, so that a document that must
//! wait costs no write to the jobs table. After the fetch, the document is admitted
//! again with its real size. Docket rejects a document that would wait longer than
//! [`QUOTA_MAX_WAIT`]: its message is retried later, and its attempt is not charged.
//!
//! ```text
//! message ─ admit ─ claim ─ fetch ─ admit again ─ call ─ settle
//!             │                         │                   └ unused quota → pool → later calls
//!             │                         └ over quota: release the job, uncharged
//!             └ over quota: retry the message later, unclaimed
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as AsyncMutex;
use tracing::warn;

pub(super) use super::permit::Permit;
use super::permit::{WaitingCall, lock};
use crate::aws::Unavailable;
use crate::aws::queue::JobsQueue;
use crate::aws::quota::{Quotas, Reservation};
use crate::clock::{now, until};
use crate::domain::backoff::full_jitter;
use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::Usage;
use crate::domain::limits::{BACKLOG_TTL, QUOTA_MAX_WAIT, QUOTA_TURN_TIMEOUT};
use crate::domain::quota::gcra::{Fit, Quota, Slot, estimate_tokens};
use crate::domain::quota::reservation_pool::ReservationPool;
use crate::metrics::{Meter, table};

/// Keeps the calls of one model to its quota. Clones share one reservation pool.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    quota: Quota,
    quotas: Quotas,
    model_id: String,
    max_tokens: u64,
    queue: JobsQueue,
    pool: Arc<Mutex<ReservationPool>>,
    /// The lock for reservations: one at a time. A reservation also covers the calls
    /// that wait for this lock.
    turn: Arc<AsyncMutex<()>>,
    backlogs: Arc<AsyncMutex<Backlogs>>,
    meter: Meter,
}

/// The estimated messages of each queue, with the time of the estimate; `None`
/// when SQS did not answer.
type Backlogs = HashMap<Option<String>, (Timestamp, Option<u64>)>;

/// How long this environment sends no request to the quotas table after a failed one.
const TABLE_PAUSE: Duration = Duration::from_secs(1);

/// Why a call may not begin.
#[derive(Debug)]
pub(super) enum NotAdmitted {
    /// The quota is exhausted; retry the message after this delay.
    OverQuota(Duration),
    /// The quotas table did not answer.
    Unavailable(Unavailable),
    /// The invocation has too little time left.
    NoTime,
    /// The call is estimated at more than two minutes of the quota.
    NeverFits,
}

impl From<NotAdmitted> for AttemptError {
    fn from(reason: NotAdmitted) -> Self {
        match reason {
            NotAdmitted::OverQuota(after) => Self::OverQuota(after),
            NotAdmitted::Unavailable(error) => error.into(),
            NotAdmitted::NoTime => Self::NoTime,
            NotAdmitted::NeverFits => Self::Permanent(Failure::new(
                codes::DOCUMENT_TOO_LARGE,
                "one call would use more tokens than the model's quota has in a minute (parameter \
                 ModelTokensPerMinute): lower ChunkMaxBytes or MaxTokens",
            )),
        }
    }
}

/// The delivery for which a call is admitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdmissionRequest<'a> {
    /// The ARN of the queue that delivered the message.
    pub source: Option<&'a str>,
    /// How often SQS delivered the message.
    pub receive_count: u32,
    /// The latest time at which the call may begin.
    pub latest_start: Timestamp,
}

impl Admission {
    pub fn new(
        quota: Quota,
        quotas: Quotas,
        model_id: String,
        max_tokens: i32,
        queue: JobsQueue,
        meter: Meter,
    ) -> Self {
        Self {
            quota,
            quotas,
            model_id,
            max_tokens: u64::try_from(max_tokens).unwrap_or_default(),
            queue,
            pool: Arc::default(),
            turn: Arc::default(),
            backlogs: Arc::default(),
            meter,
        }
    }

    /// Whether the quota limits this model.
    pub fn applies_to(&self, model_id: &str) -> bool {
        model_id == self.model_id
    }

    /// Admits a call, or adjusts the permit of an admitted call to its real size.
    ///
    /// `input_bytes` is the size of the whole request, where it is text of known
    /// size. `max_tokens` overrides the consumer's setting.
    pub async fn admit(
        &self,
        permit: Option<Permit>,
        input_bytes: Option<usize>,
        max_tokens: Option<i32>,
        request: AdmissionRequest<'_>,
    ) -> Result<Permit, NotAdmitted> {
        let input_tokens = input_bytes.map_or_else(|| self.pool().expected_input_tokens(), estimate_tokens);
        let max_tokens = max_tokens.and_then(|own| u64::try_from(own).ok()).unwrap_or(self.max_tokens);
        let fit = self.quota.fit(input_tokens, max_tokens);
        if fit == Fit::Never {
            return Err(NotAdmitted::NeverFits);
        }
        let deducted = self.quota.deducted(input_tokens, max_tokens);
        let minimum = self.quota.used(Usage { input_tokens, output_tokens: 0 });
        // The estimate of an unknown size only decides how long a document waits.
        let floor = input_bytes.map_or(SignedDuration::ZERO, |_| minimum);
        let mut permit = permit.unwrap_or_else(|| Permit::empty(&self.pool, self.quota));
        let missing = deducted - permit.deducted;
        if missing > SignedDuration::ZERO {
            let floor = (floor - permit.drawn).max(SignedDuration::ZERO);
            permit.drawn += self.draw(Demand { deducted: missing, minimum, floor }, request).await?;
        } else {
            let kept = permit.drawn.as_secs_f64() * deducted.as_secs_f64() / permit.deducted.as_secs_f64();
            let kept = SignedDuration::from_micros((kept * 1e6) as i64).max(floor);
            let unused = (permit.drawn - kept).max(SignedDuration::ZERO);
            permit.drawn -= unused;
            self.pool().return_unused(unused);
        }
        (permit.deducted, permit.fit) = (deducted, fit);
        Ok(permit)
    }

    /// Draws quota from the pool, or reserves more and waits until the call may
    /// begin. Returns the drawn quota time.
    async fn draw(&self, demand: Demand, request: AdmissionRequest<'_>) -> Result<SignedDuration, NotAdmitted> {
        if now() > request.latest_start {
            return Err(NotAdmitted::NoTime);
        }
        if let Some(drawn) = self.try_draw(demand) {
            return Ok(drawn);
        }
        let fraction = self.pool().counted_fraction();
        let turn = {
            let _waiting = WaitingCall::new(&self.pool, demand.amount(fraction));
            tokio::time::timeout(QUOTA_TURN_TIMEOUT.min(until(request.latest_start)), self.turn.lock()).await
        };
        let Ok(turn) = turn else {
            return Err(self.over_quota(demand, request).await);
        };
        if let Some(drawn) = self.try_draw(demand) {
            return Ok(drawn);
        }
        if self.pool().is_exhausted(now()) {
            drop(turn);
            return Err(self.over_quota(demand, request).await);
        }
        let row = match self.quotas.read(&self.model_id).await {
            Ok(row) => row,
            Err(error) => return Err(self.unavailable(error)),
        };
        let at = now();
        let latest_start = request.latest_start.min(at + QUOTA_MAX_WAIT);
        if at > latest_start {
            return Err(NotAdmitted::NoTime);
        }
        let (amount, reservation) = {
            let mut pool = self.pool();
            if let Some(fraction) = row.counted_fraction {
                pool.adopt_fraction(fraction);
            }
            let amount = demand.amount(pool.counted_fraction());
            if pool.try_draw(amount, now()) {
                return Ok(amount);
            }
            let reserved = pool.amount_to_reserve(amount);
            (amount, Reservation { reserved, now: at, latest_start, counted_fraction: pool.fraction_to_share() })
        };
        match self.quotas.reserve(&self.model_id, row, reservation).await {
            Ok(Slot::Admit { at }) => {
                let reserved_ms = u64::try_from(reservation.reserved.as_millis()).unwrap_or_default();
                self.meter.add(table::QUOTA_RESERVED_MS, reserved_ms);
                tokio::time::sleep(until(at)).await;
                self.pool().deposit(reservation.reserved - amount, now());
                Ok(amount)
            }
            Ok(Slot::Reject { retry_at }) => {
                self.pool().mark_exhausted(retry_at);
                drop(turn);
                Err(self.over_quota(demand, request).await)
            }
            Err(error) => Err(self.unavailable(error)),
        }
    }

    /// Pauses requests to the quotas table, so that waiting calls do not each fail on it.
    fn unavailable(&self, error: Unavailable) -> NotAdmitted {
        self.pool().mark_exhausted(now() + TABLE_PAUSE);
        NotAdmitted::Unavailable(error)
    }

    /// Draws from the pool, once the counted fraction is known.
    fn try_draw(&self, demand: Demand) -> Option<SignedDuration> {
        let mut pool = self.pool();
        let amount = demand.amount(Some(pool.counted_fraction()?));
        pool.try_draw(amount, now()).then_some(amount)
    }

    /// Decides when the message of a rejected call returns.
    ///
    /// While the counted fraction is unknown, the minimum is assumed. Documents that
    /// return too early are rejected again; late ones would leave the quota idle.
    async fn over_quota(&self, demand: Demand, request: AdmissionRequest<'_>) -> NotAdmitted {
        let backlog = self.backlog(request.source).await;
        let otherwise = full_jitter(request.receive_count, fastrand::f64());
        let mut pool = self.pool();
        let amount = pool.counted_fraction().map_or(demand.minimum, |fraction| demand.amount(Some(fraction)));
        NotAdmitted::OverQuota(pool.retry_after(amount, now(), backlog, otherwise, fastrand::f64()))
    }

    /// The estimated messages of a queue, cached for [`BACKLOG_TTL`].
    async fn backlog(&self, source: Option<&str>) -> Option<u64> {
        let mut backlogs = self.backlogs.lock().await;
        let key = source.map(str::to_owned);
        if let Some((read_at, messages)) = backlogs.get(&key)
            && now() < *read_at + BACKLOG_TTL
        {
            return *messages;
        }
        let messages = self.queue.backlog(source).await;
        if let Err(error) = &messages {
            warn!(service = error.service, code = error.code, "the queue's backlog could not be read");
        }
        let messages = messages.ok();
        backlogs.insert(key, (now(), messages));
        messages
    }

    fn pool(&self) -> MutexGuard<'_, ReservationPool> {
        lock(&self.pool)
    }
}

/// The quota time that a call needs.
#[derive(Debug, Clone, Copy)]
struct Demand {
    /// The quota time that Bedrock deducts when the call begins.
    deducted: SignedDuration,
    /// The least quota time that the call can use, by the estimate of its input.
    minimum: SignedDuration,
    /// The least amount to draw for any counted fraction; zero while the
    /// document's size is unknown.
    floor: SignedDuration,
}

impl Demand {
    /// The amount to draw: the entire deduction until the counted fraction is known.
    fn amount(&self, counted_fraction: Option<f64>) -> SignedDuration {
        let amount = self.deducted.as_secs_f64() * counted_fraction.unwrap_or(1.0);
        SignedDuration::from_micros((amount * 1e6).ceil() as i64).max(self.floor)
    }
}
