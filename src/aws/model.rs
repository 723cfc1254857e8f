//! The model, by Bedrock's Converse.
//!
//! The SDK makes one attempt a call, because the queue retries. Converse accepts no
//! idempotency token: a call whose answer was lost is paid for. `requestMetadata`
//! carries the job id and the attempt into Bedrock's invocation log.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>

use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::error::BuildError;
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
use super::bedrock_errors::classify;
use super::json::{from_document, to_document};
use crate::domain::analysis::{Analysis, DOCUMENT_NAME, TOOL_NAME};
use crate::domain::document::{Content, Document, FileFormat, ImageFormat, TextFormat};
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::JobId;
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::Usage;

const BLOCKED: &str = "a guardrail or the model's content filter blocked the document or the answer; \
                       review the document and the guardrail";
const OVER_CONTEXT_WINDOW: &str = "the document does not fit the model's context window; \
                                   lower the parameter ChunkMaxBytes, or use a model with a larger window";

/// A client of Converse, and the settings of its calls.
#[derive(Debug, Clone)]
pub struct Model {
    client: Client,
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
    /// The time-out of one call.
    pub timeout: Duration,
}

/// One call.
#[derive(Debug)]
pub struct Call<'a> {
    /// The job, for Bedrock's invocation log.
    pub job_id: &'a JobId,
    /// The attempt, for Bedrock's invocation log.
    pub attempt: u32,
    /// The model or inference profile.
    pub model_id: &'a str,
    /// The instructions and the schema of the answer.
    pub analysis: &'a Analysis,
}

/// A call that Bedrock answered, and thus charges.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredCall {
    /// The tokens of the call.
    pub usage: Usage,
    /// The duration of the call.
    pub elapsed: Duration,
    /// The answer, or the reason why it cannot be used.
    pub answer: Result<Answer, AttemptError>,
}

/// A model's answer, which fits the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The tool's input.
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
        Self { client: Client::from_conf(own), settings }
    }

    /// A model with a given client.
    pub fn with_client(client: Client, settings: ModelSettings) -> Self {
        Self { client, settings }
    }

    /// The model or inference profile of a job that names none.
    pub fn model_id(&self) -> &str {
        &self.settings.model_id
    }

    /// The parameters of a call that decide its answer, apart from system prompt, task
    /// and document: model id, maximum tokens, temperature, and additional fields.
    pub fn cache_key_params(&self, call: &Call<'_>) -> Value {
        let max_tokens = call.analysis.max_tokens.unwrap_or(self.settings.max_tokens);
        let temperature = call.analysis.temperature.or(self.settings.temperature.map(f64::from));
        json!([call.model_id, max_tokens, temperature, self.settings.request_fields])
    }

    /// The time-out of one call.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Sends one document to the model.
    ///
    /// # Errors
    /// Throttled, transient or permanent, if Bedrock did not answer the call. An answer
    /// that cannot be used is an error inside the [`AnsweredCall`], with its usage.
    pub async fn converse(&self, call: &Call<'_>, document: Document) -> Result<AnsweredCall, AttemptError> {
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
        // Logged before the answer is checked, because an unusable answer is paid for too.
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
        let answer = read_answer(&output, call.analysis, max_tokens).map(|(result, repaired)| Answer {
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

/// Reads the answer, which is the tool's input, and whether it was repaired.
///
/// A truncated or blocked answer is permanent, because a repeated call would end alike.
/// An answer that does not fit the schema is transient.
fn read_answer(output: &ConverseOutput, analysis: &Analysis, max_tokens: i32) -> Result<(Value, bool), AttemptError> {
    let permanent = |code, message: String| Err(AttemptError::Permanent(Failure::new(code, message)));
    match output.stop_reason() {
        StopReason::GuardrailIntervened | StopReason::ContentFiltered => {
            return permanent(codes::GUARDRAIL, BLOCKED.into());
        }
        StopReason::ModelContextWindowExceeded => {
            return permanent(codes::DOCUMENT_TOO_LARGE, OVER_CONTEXT_WINDOW.into());
        }
        _ => {}
    }
    let message = output.output().and_then(|output| output.as_message().ok());
    let tool_uses = message
        .into_iter()
        .flat_map(|message| message.content())
        .filter_map(|block| block.as_tool_use().ok().filter(|tool| tool.name() == TOOL_NAME));
    let mut checked = Err(Failure::new(codes::ANSWER_UNFIT, "the model answered without a call of the tool"));
    // The first call that fits is the answer. If none fits, the failure is that of the last.
    for tool in tool_uses {
        checked = analysis.accept(from_document(tool.input()));
        if checked.is_ok() {
            break;
        }
    }
    match checked {
        Ok(answer) => Ok(answer),
        Err(_) if *output.stop_reason() == StopReason::MaxTokens => permanent(
            codes::ANSWER_TRUNCATED,
            format!(
                "the answer was cut at {max_tokens} tokens; raise `analysis.max_tokens` or the parameter MaxTokens"
            ),
        ),
        Err(failure) if failure.code == codes::ANSWER_TOO_LARGE => Err(AttemptError::Permanent(failure)),
        Err(failure) => Err(AttemptError::Transient(failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::refusing_server::RefusingServer;

    /// The bench compares Docket with peers, which send the request of this file.
    #[tokio::test]
    async fn bench_peers_send_the_same_request_as_docket() {
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
        Model::new(&server.config, settings)
            .converse(&call, document)
            .await
            .expect_err("the server rejects every request");

        let mut sent: Value = serde_json::from_slice(&server.only_request().body).expect("JSON");
        let metadata = sent.as_object_mut().and_then(|body| body.remove("requestMetadata"));
        assert_eq!(metadata, Some(json!({"job_id": "a-job", "attempt": "1"})));
        let bytes = sent.pointer_mut("/messages/0/content/0/document/source/bytes").expect("a document");
        assert_eq!(bytes.take(), "QSBsZWFzZS4=");
        *bytes = "".into();
        let expected: Value = serde_json::from_str(include_str!("../../bench/peers/request.json")).expect("JSON");
        assert_eq!(with_float_numbers(sent), with_float_numbers(expected));
    }

    /// JSON does not distinguish 0 from 0.0, but serde_json does.
    fn with_float_numbers(value: Value) -> Value {
        match value {
            Value::Number(number) => json!(number.as_f64()),
            Value::Array(values) => values.into_iter().map(with_float_numbers).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (name, with_float_numbers(value))).collect()
            }
            other => other,
        }
    }
}
