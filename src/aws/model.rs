//! The model, by Bedrock's Converse.
//!
//! One attempt a call: retries are the queue's. Converse takes no idempotency
//! token, so that a call whose answer was lost is paid for; `requestMetadata`
//! carries job and attempt into Bedrock's invocation log.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>

use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::operation::converse::ConverseOutput;
use aws_sdk_bedrockruntime::primitives::Blob;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, DocumentBlock, DocumentFormat, DocumentSource, ImageBlock, ImageFormat as Picture,
    ImageSource, InferenceConfiguration, Message, SpecificToolChoice, StopReason, SystemContentBlock, Tool, ToolChoice,
    ToolConfiguration, ToolInputSchema, ToolSpecification,
};
use serde_json::{Value, json};
use tracing::info;

use super::bedrock_client::single_attempt_without_replay;
use super::code_of;
use super::json::{from_document, to_document};
use crate::domain::analysis::{Analysis, DOCUMENT_NAME, TOOL_NAME};
use crate::domain::document::{Content, Document, FileFormat, ImageFormat, TextFormat};
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::JobId;
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::Usage;

/// A model, and how it is called.
#[derive(Debug, Clone)]
pub struct Model {
    client: Client,
    settings: ModelSettings,
}

/// How the model is called.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// The model or inference profile, unless the job names one.
    pub model_id: String,
    /// Most tokens of an answer. Bedrock reserves them against the quota when
    /// the call begins.
    pub max_tokens: i32,
    /// Between 0 and 1; `None` sends none, for models that refuse it.
    pub temperature: Option<f32>,
    /// What this model wants beside Converse's own fields, as JSON.
    pub request_fields: Option<Value>,
    /// The whole call's time-out.
    pub timeout: Duration,
}

/// One call.
#[derive(Debug)]
pub struct Call<'a> {
    /// For Bedrock's invocation log.
    pub job_id: &'a JobId,
    /// For Bedrock's invocation log.
    pub attempt: u32,
    /// The model or inference profile.
    pub model_id: &'a str,
    /// What is asked.
    pub analysis: &'a Analysis,
}

/// A call that was answered, and so is paid for.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Tokens in and out.
    pub usage: Usage,
    /// From the call's start to its end.
    pub elapsed: Duration,
    /// The answer, or what is wrong with it.
    pub answer: Result<Answer, AttemptError>,
}

/// A model's answer, which fits the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The tool's input.
    pub result: Value,
    /// The model that was called.
    pub model_id: String,
    /// Tokens in and out.
    pub usage: Usage,
    /// Bedrock's words.
    pub stop_reason: String,
    /// From the call's start to its end, or the sum of this for several calls.
    pub elapsed: Duration,
    /// In how many parts a longer document was analysed; `None` when it was one.
    pub chunks: Option<u32>,
}

impl Model {
    /// The client makes one attempt a call and gives up after the time-out,
    /// whatever `config` says.
    pub fn new(config: &SdkConfig, settings: ModelSettings) -> Self {
        let own = single_attempt_without_replay(config, settings.timeout).build();
        Self { client: Client::from_conf(own), settings }
    }

    /// A model on a client made elsewhere.
    pub fn with_client(client: Client, settings: ModelSettings) -> Self {
        Self { client, settings }
    }

    /// The model that is called unless the job names one.
    pub fn model_id(&self) -> &str {
        &self.settings.model_id
    }

    /// What the model is told beside system, task and document: its id, most
    /// tokens, the temperature, and its own fields.
    pub fn cache_key_params(&self, call: &Call<'_>) -> Value {
        let max_tokens = call.analysis.max_tokens.unwrap_or(self.settings.max_tokens);
        let temperature = call.analysis.temperature.or(self.settings.temperature.map(f64::from));
        json!([call.model_id, max_tokens, temperature, self.settings.request_fields])
    }

    /// How long a call may take.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Asks the model about one document.
    ///
    /// # Errors
    /// By class: throttled, transient, or permanent. An answer that does not fit the
    /// schema is one, too, and is told with what it used.
    pub async fn converse(&self, call: &Call<'_>, document: Document) -> Result<Answered, AttemptError> {
        let max_tokens = call.analysis.max_tokens.unwrap_or(self.settings.max_tokens);
        let temperature = call.analysis.temperature.map(|temperature| temperature as f32);
        let (message, tools) = request(call.analysis, document)
            .map_err(|error| AttemptError::Permanent(Failure::new(codes::ANALYSIS_INVALID, error.to_string())))?;
        let begun = Instant::now();
        let output = self
            .client
            .converse()
            .model_id(call.model_id)
            .system(SystemContentBlock::Text(call.analysis.system.clone()))
            .messages(message)
            .tool_config(tools)
            .inference_config(
                InferenceConfiguration::builder()
                    .max_tokens(max_tokens)
                    .set_temperature(temperature.or(self.settings.temperature))
                    .build(),
            )
            .set_additional_model_request_fields(self.settings.request_fields.as_ref().map(to_document))
            .request_metadata("job_id", call.job_id.as_str())
            .request_metadata("attempt", call.attempt.to_string())
            .send()
            .await
            .map_err(|error| classify(&error, self.settings.timeout))?;
        let elapsed = begun.elapsed();
        let usage = output.usage().map_or_else(Usage::default, |usage| Usage {
            input_tokens: usage.input_tokens().try_into().unwrap_or_default(),
            output_tokens: usage.output_tokens().try_into().unwrap_or_default(),
        });
        let stop_reason = output.stop_reason().as_str().to_owned();
        // Told before the answer is judged: one that is refused is paid for too.
        info!(
            job_id = call.job_id.as_str(),
            attempt = call.attempt,
            stop_reason,
            model_latency_ms = elapsed.as_millis() as u64,
            input_tokens = usage.input_tokens,
            output_tokens = usage.output_tokens,
            "model answered"
        );
        let model_id = call.model_id.to_owned();
        let answer = read_answer(&output, call.analysis, max_tokens).map(|result| Answer {
            result,
            model_id,
            usage,
            stop_reason,
            elapsed,
            chunks: None,
        });
        Ok(Answered { usage, elapsed, answer })
    }
}

fn request(analysis: &Analysis, document: Document) -> Result<(Message, ToolConfiguration), BuildError> {
    let task = analysis.task(&document);
    let message = Message::builder()
        .role(ConversationRole::User)
        .content(block(document.into_content())?)
        .content(ContentBlock::Text(task))
        .build()?;
    let tool = ToolSpecification::builder()
        .name(TOOL_NAME)
        .description("Records the analysis of the document.")
        .input_schema(ToolInputSchema::Json(to_document(&analysis.schema)))
        .build()?;
    let tools = ToolConfiguration::builder()
        .tools(Tool::ToolSpec(tool))
        .tool_choice(ToolChoice::Tool(SpecificToolChoice::builder().name(TOOL_NAME).build()?))
        .build()?;
    Ok((message, tools))
}

fn block(content: Content) -> Result<ContentBlock, BuildError> {
    let document = |format, bytes| {
        let source = DocumentSource::Bytes(Blob::new(bytes));
        DocumentBlock::builder().name(DOCUMENT_NAME).format(format).source(source).build().map(ContentBlock::Document)
    };
    match content {
        Content::Text { format, text } => document(text_format(format), text.into_bytes()),
        Content::File { format, bytes } => document(file_format(format), bytes),
        Content::Image { format, bytes } => {
            let source = ImageSource::Bytes(Blob::new(bytes));
            ImageBlock::builder().format(image_format(format)).source(source).build().map(ContentBlock::Image)
        }
    }
}

fn text_format(format: TextFormat) -> DocumentFormat {
    match format {
        TextFormat::Txt => DocumentFormat::Txt,
        TextFormat::Md => DocumentFormat::Md,
        TextFormat::Html => DocumentFormat::Html,
        TextFormat::Csv => DocumentFormat::Csv,
    }
}

fn file_format(format: FileFormat) -> DocumentFormat {
    match format {
        FileFormat::Pdf => DocumentFormat::Pdf,
        FileFormat::Doc => DocumentFormat::Doc,
        FileFormat::Docx => DocumentFormat::Docx,
        FileFormat::Xls => DocumentFormat::Xls,
        FileFormat::Xlsx => DocumentFormat::Xlsx,
    }
}

fn image_format(format: ImageFormat) -> Picture {
    match format {
        ImageFormat::Png => Picture::Png,
        ImageFormat::Jpeg => Picture::Jpeg,
        ImageFormat::Gif => Picture::Gif,
        ImageFormat::Webp => Picture::Webp,
    }
}

/// The answer is the tool's input. One that was cut or refused would be so
/// again; one that does not fit may fit the next time.
fn read_answer(output: &ConverseOutput, analysis: &Analysis, max_tokens: i32) -> Result<Value, AttemptError> {
    let permanent = |code, message: String| Err(AttemptError::Permanent(Failure::new(code, message)));
    match output.stop_reason() {
        StopReason::GuardrailIntervened | StopReason::ContentFiltered => {
            return permanent(codes::GUARDRAIL, "a guardrail or the model's filter refused the document".into());
        }
        StopReason::ModelContextWindowExceeded => {
            return permanent(codes::DOCUMENT_TOO_LARGE, "the document does not fit the model's context window".into());
        }
        _ => {}
    }
    let message = output.output().and_then(|output| output.as_message().ok());
    let tool_use = message
        .into_iter()
        .flat_map(|message| message.content())
        .find_map(|block| block.as_tool_use().ok().filter(|tool| tool.name() == TOOL_NAME));
    let checked = match tool_use {
        Some(tool) => {
            let answer = from_document(tool.input());
            analysis.check(&answer).map(|()| answer)
        }
        None => Err(Failure::new(codes::ANSWER_UNFIT, "the model did not call the tool")),
    };
    match checked {
        Ok(answer) => Ok(answer),
        Err(_) if *output.stop_reason() == StopReason::MaxTokens => permanent(
            codes::ANSWER_TRUNCATED,
            format!(
                "the answer was cut at {max_tokens} tokens; raise `analysis.max_tokens`, or MAX_TOKENS (parameter MaxTokens)"
            ),
        ),
        Err(failure) if failure.code == codes::ANSWER_TOO_LARGE => Err(AttemptError::Permanent(failure)),
        Err(failure) => Err(AttemptError::Transient(failure)),
    }
}

/// Classes an error of Bedrock's by its code. What is not named here may pass.
///
/// A ConflictException is permanent: it says that this client request token has
/// begun another invocation than the one asked for, and as both are made of the
/// job alone, they would differ again.
pub(super) fn classify<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, timeout: Duration) -> AttemptError {
    let SdkError::ServiceError(context) = error else {
        return AttemptError::Transient(match error {
            SdkError::TimeoutError(_) => {
                Failure::new(codes::MODEL_TIMEOUT, format!("no answer within {} s", timeout.as_secs()))
            }
            other => Failure::new(codes::MODEL_UNREACHABLE, code_of(other)),
        });
    };
    let service = context.err();
    let Some(code) = service.code() else {
        return AttemptError::Transient(Failure::new(codes::MODEL_UNREACHABLE, "the answer could not be read"));
    };
    let failure = Failure::new(&snake_case(code), service.message().unwrap_or("no message"));
    match code {
        "ThrottlingException"
        | "ModelNotReadyException"
        | "ServiceUnavailableException"
        | "ServiceQuotaExceededException" => AttemptError::Throttled(failure),
        "ValidationException" | "AccessDeniedException" | "ResourceNotFoundException" | "ConflictException" => {
            AttemptError::Permanent(failure)
        }
        _ => AttemptError::Transient(failure),
    }
}

/// `ThrottlingException` → `throttling_exception`.
fn snake_case(code: &str) -> String {
    let mut snake = String::with_capacity(code.len() + 4);
    for (place, c) in code.chars().enumerate() {
        if c.is_ascii_uppercase() && place > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::refusing_server::RefusingServer;

    /// The bench's peers ask the model what is written down there.
    #[tokio::test]
    async fn the_peers_of_the_bench_ask_what_docket_asks() {
        let server = RefusingServer::start().await;
        let timeout = Duration::from_secs(30);
        let settings = ModelSettings {
            model_id: "a-model".to_owned(),
            max_tokens: 1_024,
            temperature: Some(0.0),
            request_fields: None,
            timeout,
        };
        let job_id = "a-job".parse().expect("an id");
        let call = Call { job_id: &job_id, attempt: 1, model_id: "a-model", analysis: Analysis::standard() };
        let document = Document::new(None, b"A lease.".to_vec()).expect("a text");
        Model::new(&server.config, settings).converse(&call, document).await.expect_err("the server refuses it");

        let mut asked: Value = serde_json::from_slice(&server.only_request().body).expect("JSON");
        let named = asked.as_object_mut().and_then(|body| body.remove("requestMetadata"));
        assert_eq!(named, Some(json!({"job_id": "a-job", "attempt": "1"})));
        let bytes = asked.pointer_mut("/messages/0/content/0/document/source/bytes").expect("a document");
        assert_eq!(bytes.take(), "QSBsZWFzZS4=");
        *bytes = "".into();
        let written: Value = serde_json::from_str(include_str!("../../bench/peers/request.json")).expect("JSON");
        assert_eq!(numbers(asked), numbers(written));
    }

    /// JSON knows one kind of numbers.
    fn numbers(value: Value) -> Value {
        match value {
            Value::Number(number) => json!(number.as_f64()),
            Value::Array(values) => values.into_iter().map(numbers).collect(),
            Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, numbers(value))).collect(),
            other => other,
        }
    }

    #[test]
    fn a_services_code_becomes_snake_case() {
        assert_eq!(snake_case("ValidationException"), "validation_exception");
        assert_eq!(snake_case("Unknown"), "unknown");
    }
}
