//! How the stand-in behaves, and what it has seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::invocations::{AsyncFault, Invocations};

/// What `PUT /_behaviour` takes. Each field has a default, so that `{}` is a
/// model that answers at once, always, without end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// How long each call takes.
    pub latency_ms: u64,
    /// Quotas, as Bedrock has them: at the start of a call its input tokens and
    /// its maxTokens are taken from the minute's tokens. 0 is no quota.
    pub tokens_per_minute: u64,
    pub requests_per_minute: u64,
    /// How many tokens of the quota an output token counts when a call ends; 0
    /// is 1.
    pub output_token_factor: u64,
    /// The first that applies to a call is what happens to it.
    pub faults: Vec<Fault>,
    /// Of the faults' chance.
    pub seed: u64,
    /// How long each invocation of StartAsyncInvoke takes.
    pub async_latency_ms: u64,
    /// The first that applies to a start, a get or an invocation happens to it.
    pub async_faults: Vec<AsyncFault>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub kind: Kind,
    /// Only this job's calls.
    #[serde(default)]
    pub job_id: Option<String>,
    /// Only calls of jobs whose id has this in it.
    #[serde(default)]
    pub job_id_contains: Option<String>,
    /// In how many of its calls, from 0 to 1.
    #[serde(default = "always")]
    pub rate: f64,
    /// In no more calls than this.
    #[serde(default)]
    pub times: Option<u64>,
    /// In no more calls of each job than this.
    #[serde(default)]
    pub times_per_job: Option<u64>,
}

fn always() -> f64 {
    1.0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 429 ThrottlingException.
    Throttling,
    /// 429 ModelNotReadyException.
    NotReady,
    /// 503 ServiceUnavailableException.
    Unavailable,
    /// 500 InternalServerException.
    ServerError,
    /// 408 ModelTimeoutException.
    ModelTimeout,
    /// 424 ModelErrorException.
    ModelError,
    /// 400 ValidationException.
    Validation,
    /// 403 AccessDeniedException.
    AccessDenied,
    /// No answer.
    Hang,
    /// 200 with bytes that are no JSON.
    Garbage,
    /// 200 whose bytes break off.
    Truncated,
    /// An answer with stop reason `guardrail_intervened`.
    Guardrail,
    /// An answer cut at maxTokens.
    MaxTokens,
    /// An answer that does not fit the schema.
    Unfit,
    /// An answer that fits the schema and is longer than a row holds.
    Long,
    /// Text in place of the tool's call.
    NoTool,
}

/// One call, for the log.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    pub job_id: String,
    pub attempt: String,
    pub model_id: String,
    pub max_tokens: u64,
    pub temperature: Option<f64>,
    /// `answered`, or the fault; `null` while it runs.
    pub outcome: Option<String>,
    /// Milliseconds since the server began.
    pub began_ms: u64,
    pub ended_ms: Option<u64>,
    /// What an answered call took from the quota's tokens in the end.
    pub counted_tokens: Option<u64>,
}

#[derive(Default)]
struct Seen {
    behaviour: Behaviour,
    random: Option<fastrand::Rng>,
    in_flight: u64,
    peak_in_flight: u64,
    throttled: u64,
    log: Vec<Entry>,
    tokens: Bucket,
    requests: Bucket,
    /// How often each fault, by its place, has met each job.
    met: BTreeMap<(usize, String), u64>,
}

/// A minute's worth that fills up as time goes.
#[derive(Default)]
struct Bucket {
    filled: Option<(Instant, f64)>,
}

impl Bucket {
    fn take(&mut self, per_minute: u64, wanted: u64, now: Instant) -> bool {
        if per_minute == 0 {
            return true;
        }
        let full = per_minute as f64;
        let (at, level) = self.filled.unwrap_or((now, full));
        let level = (level + full * (now - at).as_secs_f64() / 60.0).min(full);
        let granted = level >= wanted as f64;
        self.filled = Some((now, if granted { level - wanted as f64 } else { level }));
        granted
    }

    fn correct(&mut self, per_minute: u64, taken: u64, counted: u64) {
        if let Some((_, level)) = &mut self.filled {
            *level = (*level + taken as f64 - counted as f64).min(per_minute as f64);
        }
    }
}

/// The server's state.
#[derive(Clone)]
pub struct Server {
    seen: Arc<Mutex<Seen>>,
    invocations: Invocations,
    begun: Instant,
}

/// What a call is told to do.
pub struct Orders {
    pub latency: Duration,
    pub fault: Option<Kind>,
}

/// A call that is being answered; ends when it is dropped.
pub struct Running {
    server: Server,
    place: usize,
    outcome: &'static str,
}

impl Server {
    pub fn new(behaviour: Behaviour, invocations: Invocations) -> Self {
        let seen = Seen { behaviour, ..Seen::default() };
        Self { seen: Arc::new(Mutex::new(seen)), invocations, begun: Instant::now() }
    }

    pub fn invocations(&self) -> &Invocations {
        &self.invocations
    }

    pub fn async_latency(&self) -> Duration {
        Duration::from_millis(self.seen().behaviour.async_latency_ms)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder panics")
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    /// Writes a call down, and says what becomes of it. `tokens` is what the
    /// call reserves.
    pub fn begin(&self, mut call: Entry, tokens: u64) -> (Running, Orders) {
        call.began_ms = self.now_ms();
        let job_id = call.job_id.clone();
        let mut seen = self.seen();
        let place = seen.log.len();
        seen.log.push(call);
        seen.in_flight += 1;
        seen.peak_in_flight = seen.peak_in_flight.max(seen.in_flight);
        let fault = seen.quota_fault(tokens).or_else(|| seen.told_fault(&job_id));
        if fault == Some(Kind::Throttling) {
            seen.throttled += 1;
        }
        let latency = Duration::from_millis(seen.behaviour.latency_ms);
        let running = Running { server: self.clone(), place, outcome: "let go by the caller" };
        (running, Orders { latency, fault })
    }

    pub fn counts(&self) -> Value {
        let seen = self.seen();
        let mut by_job: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in &seen.log {
            *by_job.entry(&entry.job_id).or_default() += 1;
        }
        json!({
            "total": seen.log.len(),
            "in_flight": seen.in_flight,
            "peak_in_flight": seen.peak_in_flight,
            "throttled": seen.throttled,
            "by_job": by_job,
            "async": self.invocations.counts(),
        })
    }

    pub fn log(&self) -> Vec<Entry> {
        self.seen().log.clone()
    }

    pub fn reset(&self) {
        let mut seen = self.seen();
        let in_flight = seen.in_flight;
        *seen = Seen { in_flight, peak_in_flight: in_flight, ..Seen::default() };
        self.invocations.reset();
    }
}

impl Seen {
    fn quota_fault(&mut self, tokens: u64) -> Option<Kind> {
        let (now, behaviour) = (Instant::now(), &self.behaviour);
        let granted = self.requests.take(behaviour.requests_per_minute, 1, now)
            && self.tokens.take(behaviour.tokens_per_minute, tokens, now);
        (!granted).then_some(Kind::Throttling)
    }

    fn told_fault(&mut self, job_id: &str) -> Option<Kind> {
        let seed = self.behaviour.seed;
        let random = self.random.get_or_insert_with(|| fastrand::Rng::with_seed(seed));
        let met = &mut self.met;
        let (place, fault) = self.behaviour.faults.iter_mut().enumerate().find(|(place, fault)| {
            let so_far = || met.get(&(*place, job_id.to_owned())).copied().unwrap_or(0);
            fault.times != Some(0)
                && fault.job_id.as_deref().is_none_or(|only| only == job_id)
                && fault.job_id_contains.as_deref().is_none_or(|part| job_id.contains(part))
                && fault.times_per_job.is_none_or(|times| so_far() < times)
                && random.f64() < fault.rate
        })?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        if fault.times_per_job.is_some() {
            *met.entry((place, job_id.to_owned())).or_default() += 1;
        }
        Some(fault.kind)
    }
}

impl Running {
    pub fn end(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }

    /// Bedrock corrects what it took when the call began, once it has ended.
    ///
    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html>
    pub fn count(&self, taken: u64, input_tokens: u64, output_tokens: u64) {
        let mut seen = self.server.seen();
        let Behaviour { tokens_per_minute, output_token_factor, .. } = seen.behaviour;
        let counted = input_tokens + output_tokens * output_token_factor.max(1);
        seen.tokens.correct(tokens_per_minute, taken, counted);
        if let Some(entry) = seen.log.get_mut(self.place) {
            entry.counted_tokens = Some(counted);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended_ms = self.server.now_ms();
        let mut seen = self.server.seen();
        seen.in_flight = seen.in_flight.saturating_sub(1);
        // A reset may have forgotten it.
        if let Some(entry) = seen.log.get_mut(self.place) {
            entry.outcome = Some(self.outcome.to_owned());
            entry.ended_ms = Some(ended_ms);
        }
    }
}

pub async fn show(State(server): State<Server>) -> Json<Behaviour> {
    Json(server.seen().behaviour.clone())
}

pub async fn change(State(server): State<Server>, Json(behaviour): Json<Behaviour>) -> Json<Behaviour> {
    let mut seen = server.seen();
    seen.random = None;
    seen.met.clear();
    seen.tokens = Bucket::default();
    seen.requests = Bucket::default();
    seen.behaviour = behaviour.clone();
    server.invocations.behave(behaviour.async_faults.clone());
    Json(behaviour)
}
