//! The state of the stand-in: its behaviour, its quota, and the record of the
//! calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};

use crate::behaviour::{Behaviour, FaultKind};
use crate::invocations::Invocations;
use crate::language_model::LanguageModel;

/// One Converse call, as `GET /_calls/log` returns it.
#[derive(Debug, Clone, Serialize)]
pub struct CallRecord {
    pub job_id: String,
    pub attempt: String,
    /// `call` of `requestMetadata`.
    pub call: String,
    /// `generation` of `requestMetadata`.
    pub generation: String,
    pub model_id: String,
    /// `tool`, `any`, `auto`, `json_schema` or `text`: how the request asks for the answer.
    pub form: &'static str,
    /// `additionalModelRequestFields`.
    pub request_fields: Value,
    /// The text of the last tool result, or of the text block after the task: what the
    /// caller says about an earlier answer.
    pub complaint: Option<String>,
    pub max_tokens: u64,
    pub temperature: Option<f64>,
    /// The stop reason, the error code or the fault; `null` while the call runs.
    pub outcome: Option<String>,
    /// Milliseconds since the stand-in started.
    pub began_ms: u64,
    pub ended_ms: Option<u64>,
    /// Tokens that an answered call counted against the quota when it ended.
    pub counted_tokens: Option<u64>,
}

#[derive(Default)]
struct ServerState {
    behaviour: Behaviour,
    random: Option<fastrand::Rng>,
    in_flight: u64,
    peak_in_flight: u64,
    throttled: u64,
    log: Vec<CallRecord>,
    tokens: TokenBucket,
    requests: TokenBucket,
    /// How often each fault (by its index) has hit each job.
    hits_by_job: BTreeMap<(usize, String), u64>,
}

/// A token bucket whose capacity is one minute's quota.
#[derive(Default)]
struct TokenBucket {
    /// The level at the last take; a bucket that was never used is full.
    level: Option<(Instant, f64)>,
}

impl TokenBucket {
    /// Takes `amount` if the bucket holds that much. A quota of 0 grants everything.
    fn try_take(&mut self, per_minute: u64, amount: u64, now: Instant) -> bool {
        if per_minute == 0 {
            return true;
        }
        let full = per_minute as f64;
        let (at, level) = self.level.unwrap_or((now, full));
        let level = (level + full * (now - at).as_secs_f64() / 60.0).min(full);
        let granted = level >= amount as f64;
        self.level = Some((now, if granted { level - amount as f64 } else { level }));
        granted
    }

    /// Replaces the tokens taken at a call's start by those that the call counted.
    fn correct(&mut self, per_minute: u64, taken: u64, counted: u64) {
        if let Some((_, level)) = &mut self.level {
            *level = (*level + taken as f64 - counted as f64).min(per_minute as f64);
        }
    }
}

/// The state that all handlers share.
#[derive(Clone)]
pub struct Server {
    state: Arc<Mutex<ServerState>>,
    invocations: Invocations,
    language_model: Option<LanguageModel>,
    started: Instant,
}

/// The latency and the fault of one call.
pub struct CallPlan {
    pub latency: Duration,
    pub fault: Option<FaultKind>,
}

/// A call in flight. Dropping it writes the call's outcome and end to the log.
pub struct InFlightCall {
    server: Server,
    /// Index of the call in the log.
    index: usize,
    outcome: &'static str,
}

impl Server {
    pub fn new(behaviour: Behaviour, invocations: Invocations, language_model: Option<LanguageModel>) -> Self {
        let state = ServerState { behaviour, ..ServerState::default() };
        Self { state: Arc::new(Mutex::new(state)), invocations, language_model, started: Instant::now() }
    }

    pub fn language_model(&self) -> Option<&LanguageModel> {
        self.language_model.as_ref()
    }

    pub fn invocations(&self) -> &Invocations {
        &self.invocations
    }

    pub fn async_latency(&self) -> Duration {
        Duration::from_millis(self.state().behaviour.async_latency_ms)
    }

    fn state(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().expect("no thread panics while it holds the lock")
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Logs a call and decides its latency and fault. `tokens` is the amount that
    /// the call reserves.
    pub fn begin_call(&self, mut call: CallRecord, tokens: u64) -> (InFlightCall, CallPlan) {
        call.began_ms = self.now_ms();
        let job_id = call.job_id.clone();
        let mut state = self.state();
        let index = state.log.len();
        state.log.push(call);
        state.in_flight += 1;
        state.peak_in_flight = state.peak_in_flight.max(state.in_flight);
        let fault = state.check_quota(tokens).or_else(|| state.next_fault(&job_id));
        if fault == Some(FaultKind::Throttling) {
            state.throttled += 1;
        }
        let latency = Duration::from_millis(state.behaviour.latency_ms);
        let call = InFlightCall { server: self.clone(), index, outcome: "dropped by the caller" };
        (call, CallPlan { latency, fault })
    }

    /// Logs a call that the model refuses before it works on it.
    pub fn refuse_call(&self, mut call: CallRecord) {
        call.began_ms = self.now_ms();
        call.ended_ms = Some(call.began_ms);
        call.outcome = Some("refused".to_owned());
        self.state().log.push(call);
    }

    pub fn counts(&self) -> Value {
        let state = self.state();
        let mut by_job: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in &state.log {
            *by_job.entry(&entry.job_id).or_default() += 1;
        }
        json!({
            "total": state.log.len(),
            "in_flight": state.in_flight,
            "peak_in_flight": state.peak_in_flight,
            "throttled": state.throttled,
            "by_job": by_job,
            "async": self.invocations.counts(),
        })
    }

    pub fn log(&self) -> Vec<CallRecord> {
        self.state().log.clone()
    }

    pub fn reset(&self) {
        let mut state = self.state();
        let in_flight = state.in_flight;
        *state = ServerState { in_flight, peak_in_flight: in_flight, ..ServerState::default() };
        self.invocations.reset();
    }
}

impl ServerState {
    fn check_quota(&mut self, tokens: u64) -> Option<FaultKind> {
        let (now, behaviour) = (Instant::now(), &self.behaviour);
        let granted = self.requests.try_take(behaviour.requests_per_minute, 1, now)
            && self.tokens.try_take(behaviour.tokens_per_minute, tokens, now);
        (!granted).then_some(FaultKind::Throttling)
    }

    /// The first configured fault that matches, counted as one more hit.
    fn next_fault(&mut self, job_id: &str) -> Option<FaultKind> {
        let seed = self.behaviour.seed;
        let random = self.random.get_or_insert_with(|| fastrand::Rng::with_seed(seed));
        let hits = &mut self.hits_by_job;
        let (index, fault) = self.behaviour.faults.iter_mut().enumerate().find(|(index, fault)| {
            let hits_so_far = || hits.get(&(*index, job_id.to_owned())).copied().unwrap_or(0);
            fault.times != Some(0)
                && fault.job_id.as_deref().is_none_or(|only| only == job_id)
                && fault.job_id_contains.as_deref().is_none_or(|text| job_id.contains(text))
                && fault.times_per_job.is_none_or(|times| hits_so_far() < times)
                && random.f64() < fault.rate
        })?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        if fault.times_per_job.is_some() {
            *hits.entry((index, job_id.to_owned())).or_default() += 1;
        }
        Some(fault.kind)
    }
}

impl InFlightCall {
    pub fn set_outcome(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }

    /// Settles the quota when a call ends: the reserved tokens are replaced by
    /// those that Bedrock counts.
    ///
    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html>
    pub fn settle(&self, reserved: u64, input_tokens: u64, output_tokens: u64) {
        let mut state = self.server.state();
        let Behaviour { tokens_per_minute, output_token_factor, .. } = state.behaviour;
        let counted = input_tokens + output_tokens * output_token_factor.max(1);
        state.tokens.correct(tokens_per_minute, reserved, counted);
        if let Some(entry) = state.log.get_mut(self.index) {
            entry.counted_tokens = Some(counted);
        }
    }
}

impl Drop for InFlightCall {
    fn drop(&mut self) {
        let ended_ms = self.server.now_ms();
        let mut state = self.server.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        // A reset may have cleared the log meanwhile.
        if let Some(entry) = state.log.get_mut(self.index) {
            entry.outcome = Some(self.outcome.to_owned());
            entry.ended_ms = Some(ended_ms);
        }
    }
}

/// `GET /_behaviour`.
pub async fn show_behaviour(State(server): State<Server>) -> Json<Behaviour> {
    Json(server.state().behaviour.clone())
}

/// `PUT /_behaviour`. A change refills the quota and restarts the faults' counts and random numbers.
pub async fn change_behaviour(State(server): State<Server>, Json(behaviour): Json<Behaviour>) -> Json<Behaviour> {
    let mut state = server.state();
    state.random = None;
    state.hits_by_job.clear();
    state.tokens = TokenBucket::default();
    state.requests = TokenBucket::default();
    state.behaviour = behaviour.clone();
    server.invocations.set_faults(behaviour.async_faults.clone());
    Json(behaviour)
}
