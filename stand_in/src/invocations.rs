//! The invocations of StartAsyncInvoke, the requests about them, and their
//! faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A fault of a request or an invocation, and to which ones it applies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsyncFault {
    pub kind: AsyncKind,
    #[serde(default)]
    pub on: FaultTarget,
    /// Only where the output's S3 URI contains this text, such as a job id.
    #[serde(default)]
    pub output_contains: Option<String>,
    /// Maximum number of times.
    #[serde(default)]
    pub times: Option<u64>,
    /// The failure message of a failed invocation.
    #[serde(default)]
    pub message: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultTarget {
    /// StartAsyncInvoke.
    #[default]
    Start,
    /// GetAsyncInvoke.
    Get,
    /// The invocation itself, when it starts.
    Invocation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AsyncKind {
    /// 429 ThrottlingException.
    Throttling,
    /// 503 ServiceUnavailableException.
    Unavailable,
    /// 400 ServiceQuotaExceededException.
    QuotaExceeded,
    /// 400 ConflictException.
    Conflict,
    /// 400 ValidationException.
    Validation,
    /// 403 AccessDeniedException.
    AccessDenied,
    /// 404 ResourceNotFoundException.
    NotFound,
    /// 500 InternalServerException; no invocation starts.
    ServerError,
    /// The request takes effect; its response ends too early.
    AnswerLost,
    /// The request takes effect; its response never arrives.
    Hang,
    /// The invocation fails.
    Failed,
}

/// The parameters of StartAsyncInvoke.
pub struct StartRequest {
    pub token: String,
    pub model_id: String,
    pub output: String,
    /// The unparsed body.
    pub body: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Invocation {
    pub id: String,
    pub arn: String,
    pub token: String,
    pub model_id: String,
    /// The S3 URI of the request.
    pub output: String,
    pub submitted: Timestamp,
    pub ended: Option<Timestamp>,
    /// The failure message.
    pub failure: Option<String>,
    body: Vec<u8>,
}

impl Invocation {
    pub fn status(&self) -> &'static str {
        match (self.ended, &self.failure) {
            (None, _) => "InProgress",
            (Some(_), None) => "Completed",
            (Some(_), Some(_)) => "Failed",
        }
    }

    /// The S3 URI of the invocation's own folder, which holds its output.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.output.trim_end_matches('/'), self.id)
    }

    /// As GetAsyncInvoke and ListAsyncInvokes return it.
    pub fn to_json(&self) -> Value {
        let model_arn = match self.model_id.starts_with("arn:") {
            true => self.model_id.clone(),
            false => format!("arn:aws:bedrock:us-east-1::foundation-model/{}", self.model_id),
        };
        let mut fields = json!({
            "invocationArn": self.arn,
            "modelArn": model_arn,
            "clientRequestToken": self.token,
            "status": self.status(),
            "submitTime": self.submitted.to_string(),
            "lastModifiedTime": self.ended.unwrap_or(self.submitted).to_string(),
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": self.folder()}},
        });
        if let Some(ended) = self.ended {
            fields["endTime"] = json!(ended.to_string());
        }
        if let Some(failure) = &self.failure {
            fields["failureMessage"] = json!(failure);
        }
        fields
    }
}

#[derive(Default)]
struct InvocationsState {
    faults: Vec<AsyncFault>,
    invocations: Vec<Invocation>,
    starts: u64,
    gets: u64,
    lists: u64,
    starts_by_token: BTreeMap<String, u64>,
}

/// All invocations since the start or the last reset.
#[derive(Clone)]
pub struct Invocations {
    state: Arc<Mutex<InvocationsState>>,
    /// The S3 that stores the outputs, `http://host:port`.
    s3_endpoint: Option<String>,
}

/// The effect of a StartAsyncInvoke.
pub enum Started {
    /// A new invocation.
    New(Box<Invocation>),
    /// The ARN of the invocation that the same request started before.
    Found(String),
    /// The token belongs to an invocation with another request.
    Conflict,
}

impl Invocations {
    pub fn new(s3_endpoint: Option<String>) -> Self {
        Self { state: Arc::default(), s3_endpoint }
    }

    pub fn s3_endpoint(&self) -> Option<&str> {
        self.s3_endpoint.as_deref()
    }

    fn state(&self) -> MutexGuard<'_, InvocationsState> {
        self.state.lock().expect("no thread panics while it holds the lock")
    }

    pub fn set_faults(&self, faults: Vec<AsyncFault>) {
        self.state().faults = faults;
    }

    pub fn reset(&self) {
        *self.state() = InvocationsState::default();
    }

    /// Counts a start and returns its fault.
    pub fn begin_start(&self, request: &StartRequest) -> Option<AsyncFault> {
        let mut state = self.state();
        state.starts += 1;
        *state.starts_by_token.entry(request.token.clone()).or_default() += 1;
        state.next_fault(FaultTarget::Start, &request.output)
    }

    /// Starts an invocation, unless its token is known. Two requests are the same if
    /// their bytes are: AWS does not document its comparison, and this is the
    /// strictest one.
    pub fn start(&self, request: StartRequest) -> Started {
        let mut state = self.state();
        if let Some(earlier) = state.invocations.iter().find(|earlier| earlier.token == request.token) {
            let is_same = earlier.body == request.body;
            return if is_same { Started::Found(earlier.arn.clone()) } else { Started::Conflict };
        }
        let id: String = std::iter::repeat_with(|| fastrand::alphanumeric().to_ascii_lowercase()).take(12).collect();
        let submitted = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).expect("now is in range");
        let invocation = Invocation {
            arn: format!("arn:aws:bedrock:us-east-1:000000000000:async-invoke/{id}"),
            id,
            token: request.token,
            model_id: request.model_id,
            output: request.output,
            submitted,
            ended: None,
            failure: None,
            body: request.body,
        };
        state.invocations.push(invocation.clone());
        Started::New(Box::new(invocation))
    }

    /// The failure message of an invocation that starts, if a fault applies to it.
    pub fn take_failure(&self, output: &str) -> Option<String> {
        let fault = self.state().next_fault(FaultTarget::Invocation, output)?;
        Some(fault.message.unwrap_or_else(|| "a failure that PUT /_behaviour asked for".to_owned()))
    }

    pub fn end(&self, arn: &str, failure: Option<String>) {
        let mut state = self.state();
        // A reset may have cleared the invocations meanwhile.
        if let Some(invocation) = state.invocations.iter_mut().find(|invocation| invocation.arn == arn) {
            invocation.ended = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).ok();
            invocation.failure = failure;
        }
    }

    /// Counts a get and returns its invocation and its fault.
    pub fn get(&self, arn: &str) -> (Option<Invocation>, Option<AsyncFault>) {
        let mut state = self.state();
        state.gets += 1;
        let found = state.invocations.iter().find(|invocation| invocation.arn == arn).cloned();
        let fault = state.next_fault(FaultTarget::Get, found.as_ref().map_or("", |found| &found.output));
        (found, fault)
    }

    /// Counts a list and returns all invocations in the order of submission.
    pub fn list(&self) -> Vec<Invocation> {
        let mut state = self.state();
        state.lists += 1;
        state.invocations.clone()
    }

    pub fn counts(&self) -> Value {
        let state = self.state();
        let count_by = |key: fn(&Invocation) -> &str| {
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            for invocation in &state.invocations {
                *counts.entry(key(invocation)).or_default() += 1;
            }
            json!(counts)
        };
        json!({
            "starts": state.starts,
            "gets": state.gets,
            "lists": state.lists,
            "invocations": state.invocations.len(),
            "by_status": count_by(|invocation| invocation.status()),
            "by_token": count_by(|invocation| &invocation.token),
            "by_model": count_by(|invocation| &invocation.model_id),
            "by_output": count_by(|invocation| &invocation.output),
            "starts_by_token": state.starts_by_token,
            "outputs": self.s3_endpoint.as_deref().unwrap_or("not written: no --s3-endpoint"),
        })
    }
}

impl InvocationsState {
    /// The first fault that matches, counted as one more hit.
    fn next_fault(&mut self, on: FaultTarget, output: &str) -> Option<AsyncFault> {
        let fault = self.faults.iter_mut().find(|fault| {
            fault.on == on
                && fault.times != Some(0)
                && fault.output_contains.as_deref().is_none_or(|text| output.contains(text))
        })?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.clone())
    }
}
