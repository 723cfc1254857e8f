//! The model, by Bedrock's Converse.
//!
//! The SDK makes one attempt a call, because the queue retries. Converse accepts no
//! idempotency token: a call whose answer was lost is paid for. `requestMetadata`
//! carries the job, the attempt and the kind of call into Bedrock's invocation log.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>

mod answer;
mod answer_log;
mod forms;
mod request;
mod transport;

pub use self::answer::Rejected;
pub use self::request::{Complaint, Question};

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::operation::converse::ConverseError;
use aws_sdk_bedrockruntime::types::{InferenceConfiguration, SystemContentBlock};
use serde_json::{Value, json};
use tracing::warn;

use self::answer::read_answer;
use self::answer_log::log_answer;
use self::forms::Forms;
use self::request::{output_config, request_fields, tool_config};
use self::transport::{Connections, Response, Trace};
use super::bedrock_client::single_attempt_without_replay;
use super::bedrock_errors::classify;
use super::http_client_without_pool;
use crate::domain::analysis::Analysis;
use crate::domain::analysis::answer_form::{AnswerForm, AnswerMode, Refusal};
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::JobId;
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::Usage;
use crate::heavy_work::{self, Abandoned};

/// The failure of an answer whose validation was abandoned.
pub fn slow_validation(abandoned: Abandoned) -> Failure {
    let message = format!("validating the model's answer {abandoned}; simplify `analysis.schema`");
    Failure::new(codes::ANALYSIS_INVALID, message)
}

/// A client of Converse, and the settings of its calls. Clones share what they have learned
/// about models and connections.
#[derive(Debug, Clone)]
pub struct Model {
    client: Client,
    /// A client that reuses no connection.
    fresh_client: Arc<OnceLock<Client>>,
    connections: Connections,
    forms: Forms,
    settings: ModelSettings,
}

/// The settings of every call.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// The model or inference profile of a job that names none.
    pub model_id: String,
    /// The maximum tokens of an answer. Bedrock deducts them from the quota when the call
    /// begins.
    pub max_tokens: i32,
    /// The temperature, from 0 to 1. `None` omits the field, for models that reject it.
    pub temperature: Option<f32>,
    /// Converse's `additionalModelRequestFields`, as JSON.
    pub request_fields: Option<Value>,
    /// The forms of the answer that calls may use.
    pub answer_mode: AnswerMode,
    /// The time-out of one call.
    pub timeout: Duration,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The job, for Bedrock's invocation log.
    pub job_id: &'a JobId,
    /// The attempt, for Bedrock's invocation log.
    pub attempt: u32,
    /// The job's generation, for Bedrock's invocation log.
    pub generation: u32,
    /// The model or inference profile.
    pub model_id: &'a str,
    /// The instructions and the schema of the answer.
    pub analysis: &'a Arc<Analysis>,
}

/// A call that Bedrock answered, and thus charges.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredCall {
    /// The tokens of the call.
    pub usage: Usage,
    /// The duration of the call.
    pub elapsed: Duration,
    /// The answer, or the reason why it cannot be used.
    pub answer: Result<Answer, Rejected>,
}

/// A call that Bedrock did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The model refuses the form of the answer. The call cost nothing, and may be repeated
    /// in the next form; see [`Model::next_form`].
    FormRefused(AttemptError),
    /// The model produced a broken tool call. One repetition is worth its price.
    BrokenToolUse(Failure),
    /// The call ended the attempt.
    Attempt(AttemptError),
}

/// A model's answer, which fits the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The tool's input, or the JSON of the text.
    pub result: Value,
    /// Whether the JSON form of the result was repaired; see [`Analysis::accept`].
    pub repaired: bool,
    /// The model that was called.
    pub model_id: String,
    /// The tokens of all calls.
    pub usage: Usage,
    /// Bedrock's stop reason.
    pub stop_reason: String,
    /// The sum of the durations of all calls.
    pub elapsed: Duration,
    /// The number of chunks of a long document; `None` for a document in one call.
    pub chunks: Option<u32>,
}

impl Model {
    /// A client that makes one attempt a call and ends it after the time-out. These
    /// settings replace those of `config`.
    pub fn new(config: &SdkConfig, settings: ModelSettings) -> Self {
        let own = single_attempt_without_replay(config, settings.timeout).build();
        Self::with_client(Client::from_conf(own), settings)
    }

    /// A model with a given client.
    pub fn with_client(client: Client, settings: ModelSettings) -> Self {
        let forms = Forms::new(settings.answer_mode);
        Self { client, fresh_client: Arc::default(), connections: Connections::default(), forms, settings }
    }

    /// The model or inference profile of a job that names none.
    pub fn model_id(&self) -> &str {
        &self.settings.model_id
    }

    /// The parameters of a call that decide its answer, apart from system prompt, task and
    /// document: model id, maximum tokens, temperature, additional fields, and answer mode.
    pub fn cache_key_params(&self, call: &Call<'_>) -> Value {
        let ModelSettings { request_fields, answer_mode, .. } = &self.settings;
        let temperature = call.analysis.temperature.or(self.settings.temperature.map(f64::from));
        json!([call.model_id, self.max_tokens(call), temperature, request_fields, answer_mode.as_str()])
    }

    /// The time-out of one call.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// The form in which the model is asked first: that of the answer mode which this model
    /// has not refused in this execution environment.
    ///
    /// # Errors
    /// The answer mode cannot express the schema of the analysis.
    pub fn first_form(&self, call: &Call<'_>) -> Result<AnswerForm, AttemptError> {
        let message = "AnswerMode json_schema accepts no recursive schema and no object with fields of any name; \
                       change the schema, or set another AnswerMode";
        let failure = || AttemptError::Permanent(Failure::new(codes::ANALYSIS_INVALID, message));
        self.forms.first(call.model_id, call.analysis).ok_or_else(failure)
    }

    /// The form after one that the model refused; `None` after the last.
    pub fn next_form(&self, call: &Call<'_>, refused: AnswerForm) -> Option<AnswerForm> {
        self.forms.after(refused, call.model_id, call.analysis)
    }

    /// Sends one document to the model.
    ///
    /// # Errors
    /// [`CallError`], if Bedrock did not answer the call. An answer that cannot be used is
    /// an error inside the [`AnsweredCall`], with its usage.
    pub async fn converse(
        &self,
        call: &Call<'_>,
        question: &Question,
        form: AnswerForm,
    ) -> Result<AnsweredCall, CallError> {
        let begun = Instant::now();
        let Response { output, rounded } = match self.send(&self.client, call, question, form).await {
            Err(SendError { error, is_stale: true }) => {
                // The connection died while it was idle, so Bedrock has not seen the call.
                warn!(job_id = call.job_id.as_str(), code = %error, "the call is repeated on a new connection");
                self.send(self.fresh_client(), call, question, form).await
            }
            sent => sent,
        }
        .map_err(|SendError { error, .. }| self.judge(call, form, &error))?;
        let elapsed = begun.elapsed();
        let usage = output.usage().map_or_else(Usage::default, |usage| Usage {
            input_tokens: usage.input_tokens().try_into().unwrap_or_default(),
            output_tokens: usage.output_tokens().try_into().unwrap_or_default(),
        });
        let stop_reason = output.stop_reason().as_str().to_owned();
        // Logged before the answer is checked, because an unusable answer is paid for too.
        let (name, max_tokens) = (question.call_name(), self.max_tokens(call));
        log_answer((call.job_id, call.attempt, call.model_id, &name), max_tokens, usage, (&stop_reason, elapsed));
        let model_id = call.model_id.to_owned();
        let analysis = call.analysis.clone();
        let read = heavy_work::run(move || read_answer(&output, &rounded, &analysis, form, max_tokens)).await;
        let read = read.unwrap_or_else(|abandoned| {
            Err(Rejected { error: AttemptError::Permanent(slow_validation(abandoned)), complaint: None })
        });
        let answer = read.map(|(result, repaired)| Answer {
            result,
            repaired,
            model_id,
            usage,
            stop_reason,
            elapsed,
            chunks: None,
        });
        Ok(AnsweredCall { usage, elapsed, answer })
    }

    async fn send(
        &self,
        client: &Client,
        call: &Call<'_>,
        question: &Question,
        form: AnswerForm,
    ) -> Result<Response, SendError> {
        let temperature = call.analysis.temperature.map(|temperature| temperature as f32);
        let inference = InferenceConfiguration::builder()
            .max_tokens(self.max_tokens(call))
            .set_temperature(temperature.or(self.settings.temperature));
        let unbuilt = |error| SendError { error: SdkError::construction_failure(error), is_stale: false };
        let trace = Trace::default();
        let begun = Instant::now();
        let sent = client
            .converse()
            .model_id(call.model_id)
            .system(SystemContentBlock::Text(call.analysis.system(form)))
            .set_messages(Some(question.messages(call.analysis, form, call.model_id).map_err(unbuilt)?))
            .set_tool_config(tool_config(call.analysis, form).map_err(unbuilt)?)
            .set_output_config(output_config(call.analysis, form).map_err(unbuilt)?)
            .inference_config(inference.build())
            .set_additional_model_request_fields(request_fields(
                self.settings.request_fields.as_ref(),
                call.model_id,
                form,
            ))
            .request_metadata("job_id", call.job_id.as_str())
            .request_metadata("attempt", call.attempt.to_string())
            .request_metadata("generation", call.generation.to_string())
            .request_metadata("call", question.call_name())
            .customize()
            .interceptor(trace.clone())
            .send()
            .await;
        let is_stale = self.connections.is_stale_error(&sent, &trace, begun.elapsed());
        match sent {
            Ok(output) => Ok(Response { output, rounded: trace.take_rounded() }),
            Err(error) => Err(SendError { error, is_stale }),
        }
    }

    /// The meaning of an error. A refused form is remembered.
    fn judge(&self, call: &Call<'_>, form: AnswerForm, error: &SdkError<ConverseError>) -> CallError {
        if let SdkError::ConstructionFailure(_) = error {
            let failure = Failure::new(codes::ANALYSIS_INVALID, "the request could not be built");
            return CallError::Attempt(AttemptError::Permanent(failure));
        }
        let classified = classify(error, self.settings.timeout);
        let message = error.message().unwrap_or_default();
        match error.code() {
            Some("ValidationException") => match form.refusal(message) {
                Some(refusal) => {
                    if refusal == Refusal::Form {
                        self.forms.remember_refusal(form, call.model_id);
                    }
                    CallError::FormRefused(classified)
                }
                None => CallError::Attempt(classified),
            },
            Some("ModelErrorException") if message.to_lowercase().replace(' ', "").contains("tooluse") => {
                let advice = "the answer may be longer than MaxTokens: raise `analysis.max_tokens` or the parameter \
                              MaxTokens, or set AnswerMode to text";
                CallError::BrokenToolUse(Failure::new("model_error_exception", format!("{message} — {advice}")))
            }
            _ => CallError::Attempt(classified),
        }
    }

    fn max_tokens(&self, call: &Call<'_>) -> i32 {
        call.analysis.max_tokens.unwrap_or(self.settings.max_tokens)
    }

    fn fresh_client(&self) -> &Client {
        self.fresh_client.get_or_init(|| {
            let config = self.client.config().to_builder().http_client(http_client_without_pool());
            Client::from_conf(config.build())
        })
    }
}

/// An error of the SDK.
struct SendError {
    error: SdkError<ConverseError>,
    /// Whether the connection had died before the call; see [`Connections`].
    is_stale: bool,
}

#[cfg(test)]
mod tests;
