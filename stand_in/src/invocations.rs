//! The invocations of StartAsyncInvoke: which there are, what was asked about
//! them, and what happens to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What happens to a call or an invocation, in place of what should.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsyncFault {
    pub kind: AsyncKind,
    #[serde(default)]
    pub on: Step,
    /// Only where the output's URI has this in it, such as a job's id.
    #[serde(default)]
    pub output_contains: Option<String>,
    /// No more often than this.
    #[serde(default)]
    pub times: Option<u64>,
    /// The words of a failed invocation.
    #[serde(default)]
    pub message: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A StartAsyncInvoke.
    #[default]
    Start,
    /// A GetAsyncInvoke.
    Get,
    /// The invocation itself, when it begins.
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
    /// 500 InternalServerException, and nothing was begun.
    ServerError,
    /// It takes effect, and the answer breaks off.
    AnswerLost,
    /// It takes effect, and no answer comes.
    Hang,
    /// The invocation fails.
    Failed,
}

/// What a start asks for.
pub struct Asked {
    pub token: String,
    pub model_id: String,
    pub output: String,
    /// The request as it came.
    pub body: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Invocation {
    pub id: String,
    pub arn: String,
    pub token: String,
    pub model_id: String,
    /// What the caller named.
    pub output: String,
    pub submitted: Timestamp,
    pub ended: Option<Timestamp>,
    /// The words of a failure.
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

    /// Where the output lies: a folder of the invocation's own.
    pub fn folder(&self) -> String {
        format!("{}/{}", self.output.trim_end_matches('/'), self.id)
    }

    /// As GetAsyncInvoke and ListAsyncInvokes tell it.
    pub fn shown(&self) -> Value {
        let model_arn = match self.model_id.starts_with("arn:") {
            true => self.model_id.clone(),
            false => format!("arn:aws:bedrock:us-east-1::foundation-model/{}", self.model_id),
        };
        let mut shown = json!({
            "invocationArn": self.arn,
            "modelArn": model_arn,
            "clientRequestToken": self.token,
            "status": self.status(),
            "submitTime": self.submitted.to_string(),
            "lastModifiedTime": self.ended.unwrap_or(self.submitted).to_string(),
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": self.folder()}},
        });
        if let Some(ended) = self.ended {
            shown["endTime"] = json!(ended.to_string());
        }
        if let Some(failure) = &self.failure {
            shown["failureMessage"] = json!(failure);
        }
        shown
    }
}

#[derive(Default)]
struct Kept {
    faults: Vec<AsyncFault>,
    invocations: Vec<Invocation>,
    starts: u64,
    gets: u64,
    lists: u64,
    starts_by_token: BTreeMap<String, u64>,
}

/// All invocations.
#[derive(Clone)]
pub struct Invocations {
    kept: Arc<Mutex<Kept>>,
    /// Where outputs are put, `http://host:port`.
    s3_endpoint: Option<String>,
}

/// What a start came to.
pub enum Started {
    /// A new invocation.
    New(Box<Invocation>),
    /// The one that this token began.
    Found(String),
    /// The token began another.
    Conflict,
}

impl Invocations {
    pub fn new(s3_endpoint: Option<String>) -> Self {
        Self { kept: Arc::default(), s3_endpoint }
    }

    pub fn s3_endpoint(&self) -> Option<&str> {
        self.s3_endpoint.as_deref()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder panics")
    }

    pub fn behave(&self, faults: Vec<AsyncFault>) {
        self.kept().faults = faults;
    }

    pub fn reset(&self) {
        *self.kept() = Kept::default();
    }

    /// Counts a start, and says what is to happen to it.
    pub fn begin_start(&self, asked: &Asked) -> Option<AsyncFault> {
        let mut kept = self.kept();
        kept.starts += 1;
        *kept.starts_by_token.entry(asked.token.clone()).or_default() += 1;
        kept.fault(Step::Start, &asked.output)
    }

    /// A token is held against the request's very bytes: AWS does not say how it
    /// compares, so that this is the strictest way.
    pub fn start(&self, asked: Asked) -> Started {
        let mut kept = self.kept();
        if let Some(earlier) = kept.invocations.iter().find(|earlier| earlier.token == asked.token) {
            let is_same = earlier.body == asked.body;
            return if is_same { Started::Found(earlier.arn.clone()) } else { Started::Conflict };
        }
        let id: String = std::iter::repeat_with(|| fastrand::alphanumeric().to_ascii_lowercase()).take(12).collect();
        let submitted = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).expect("now is in range");
        let invocation = Invocation {
            arn: format!("arn:aws:bedrock:us-east-1:000000000000:async-invoke/{id}"),
            id,
            token: asked.token,
            model_id: asked.model_id,
            output: asked.output,
            submitted,
            ended: None,
            failure: None,
            body: asked.body,
        };
        kept.invocations.push(invocation.clone());
        Started::New(Box::new(invocation))
    }

    /// Whether an invocation that begins is told to fail, and with which words.
    pub fn told_failure(&self, output: &str) -> Option<String> {
        let fault = self.kept().fault(Step::Invocation, output)?;
        Some(fault.message.unwrap_or_else(|| "the stand-in was told that this invocation fails".to_owned()))
    }

    pub fn end(&self, arn: &str, failure: Option<String>) {
        let mut kept = self.kept();
        // A reset may have forgotten it.
        if let Some(invocation) = kept.invocations.iter_mut().find(|invocation| invocation.arn == arn) {
            invocation.ended = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).ok();
            invocation.failure = failure;
        }
    }

    /// Counts a get, finds its invocation, and says what is to happen to it.
    pub fn get(&self, arn: &str) -> (Option<Invocation>, Option<AsyncFault>) {
        let mut kept = self.kept();
        kept.gets += 1;
        let found = kept.invocations.iter().find(|invocation| invocation.arn == arn).cloned();
        let fault = kept.fault(Step::Get, found.as_ref().map_or("", |found| &found.output));
        (found, fault)
    }

    /// All, in the order of their submission.
    pub fn list(&self) -> Vec<Invocation> {
        let mut kept = self.kept();
        kept.lists += 1;
        kept.invocations.clone()
    }

    pub fn counts(&self) -> Value {
        let kept = self.kept();
        let count = |of: fn(&Invocation) -> &str| {
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            for invocation in &kept.invocations {
                *counts.entry(of(invocation)).or_default() += 1;
            }
            json!(counts)
        };
        json!({
            "starts": kept.starts,
            "gets": kept.gets,
            "lists": kept.lists,
            "invocations": kept.invocations.len(),
            "by_status": count(|invocation| invocation.status()),
            "by_token": count(|invocation| &invocation.token),
            "by_model": count(|invocation| &invocation.model_id),
            "by_output": count(|invocation| &invocation.output),
            "starts_by_token": kept.starts_by_token,
            "outputs": self.s3_endpoint.as_deref().unwrap_or("not written: no --s3-endpoint"),
        })
    }
}

impl Kept {
    /// The first fault that applies.
    fn fault(&mut self, on: Step, output: &str) -> Option<AsyncFault> {
        let fault = self.faults.iter_mut().find(|fault| {
            fault.on == on
                && fault.times != Some(0)
                && fault.output_contains.as_deref().is_none_or(|part| output.contains(part))
        })?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.clone())
    }
}
