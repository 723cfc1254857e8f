//! The body of a queue message, and how a body becomes a job.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::control::Control;
use super::s3_event::{self, S3Event};
use crate::domain::analysis::AnalysisRequest;
use crate::domain::async_invocation::request::AsyncInvoke;
use crate::domain::document::location::S3Location;
use crate::domain::failure::{Failure, codes};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::priority::Priority;
use crate::domain::job::stored::StoredJob;
use crate::domain::job::{DocumentSource, Job, Work};
use crate::domain::json;
use crate::domain::json_values::count_values;
use crate::domain::limits::{
    BUCKET_MAX_BYTES, INLINE_RESULT_MAX_BYTES, JOB_VALUES_MAX, KEY_MAX_BYTES, METADATA_MAX_BYTES, MODEL_ID_MAX_BYTES,
    RESULT_MAX_DEPTH,
};

/// The body of a job's message. Docket and any other producer may send it. Unknown
/// fields are ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageBody {
    /// The version of the message, which Docket sets: see [`MESSAGE_VERSION`].
    #[serde(default = "MessageBody::version", rename = "docket_version")]
    pub version: u32,
    /// The job's identifier, which is never reused.
    pub job_id: JobId,
    /// The document, if it is text that fits a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// The location of the document, if it is an S3 object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_s3: Option<S3Location>,
    /// The request for an async invocation, in place of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub async_invoke: Option<AsyncInvoke>,
    /// The batch of the job, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
    /// The analysis to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisRequest>,
    /// The model or inference profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The caller's data about the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

/// The version of messages that this release reads and sends. A release that gives a field
/// a new meaning sends a higher version. The consumer returns a message with a higher
/// version to the queue.
pub const MESSAGE_VERSION: u32 = 1;

impl MessageBody {
    /// The version of a message that names none.
    pub fn version() -> u32 {
        MESSAGE_VERSION
    }

    /// The body of a new message for a stored job; `None` if its document is not in the
    /// bucket and it has no `async_invoke` request. The claim takes the analysis and the other
    /// settings from the stored job.
    pub fn of_stored(row: &StoredJob, async_invoke: Option<AsyncInvoke>) -> Option<Self> {
        let document_s3 = row.document.location();
        if document_s3.is_none() && async_invoke.is_none() {
            return None;
        }
        Some(Self {
            version: MESSAGE_VERSION,
            job_id: row.job_id.clone(),
            document: None,
            document_s3,
            async_invoke,
            batch_id: row.batch_id.clone(),
            analysis: None,
            model_id: None,
            metadata: None,
        })
    }
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum ParsedMessage {
    /// One job.
    Job(Box<Job>),
    /// A message of Docket to itself.
    Control(Control),
    /// An S3 event with several records: one body per record, each for a separate
    /// message.
    Several(Vec<String>),
    /// An S3 event without a new document: a test event, a folder or a deletion.
    Nothing,
    /// A message of a newer version, for a newer consumer.
    NewerVersion,
}

/// Reads a message: the body of a job, or an S3 event. `priority` is the message
/// attribute, and `own_bucket` is the stack's documents bucket.
///
/// # Errors
/// A [`codes::MALFORMED_MESSAGE`] that names the field and contains no text of the body.
pub fn parse_message(body: Option<&str>, priority: Option<&str>, own_bucket: &str) -> Result<ParsedMessage, Failure> {
    count_values(body.unwrap_or_default(), JOB_VALUES_MAX)
        .map_err(|error| Failure::new(codes::MALFORMED_MESSAGE, error.to_string()))?;
    if let Some(control) = body.and_then(Control::parse) {
        return Ok(ParsedMessage::Control(control));
    }
    if body.is_some_and(is_newer_version) {
        return Ok(ParsedMessage::NewerVersion);
    }
    let Some(event) = body.filter(|body| s3_event::is_s3_event(body)) else {
        return parse_job(body, priority).map(|job| ParsedMessage::Job(Box::new(job)));
    };
    let event = s3_event::parse(event, own_bucket);
    match event.map_err(|error| Failure::new(codes::MALFORMED_MESSAGE, error.to_string()))? {
        S3Event::Nothing => Ok(ParsedMessage::Nothing),
        S3Event::Several(bodies) => Ok(ParsedMessage::Several(bodies)),
        S3Event::Upload(upload) => Ok(ParsedMessage::Job(Box::new(Job {
            job_id: upload.job_id,
            work: Work::Document(DocumentSource::S3(upload.location)),
            batch_id: upload.batch_id,
            analysis: None,
            model_id: None,
            metadata: None,
            priority: upload.priority.unwrap_or(Priority::from_attribute(priority)),
        }))),
    }
}

/// Whether a body has a higher version than [`MESSAGE_VERSION`], or is a control message
/// that this release does not know.
fn is_newer_version(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Version {
        docket_version: Option<Value>,
    }
    if Control::has_tag(body) {
        return true;
    }
    // This check avoids parsing the JSON of most bodies of other producers.
    body.contains("\"docket_version\"")
        && json::read::<Version>(body).is_ok_and(|body| {
            body.docket_version
                .and_then(|version| version.as_u64())
                .is_some_and(|version| version > MESSAGE_VERSION.into())
        })
}

/// Reads the body of a job's message. `priority` is the message attribute.
///
/// # Errors
/// A [`codes::MALFORMED_MESSAGE`] that names the field and contains no text of the body.
pub fn parse_job(body: Option<&str>, priority: Option<&str>) -> Result<Job, Failure> {
    let malformed = |message: String| Failure::new(codes::MALFORMED_MESSAGE, message);
    let body = body.ok_or_else(|| malformed("the message has no body".into()))?;
    let text = body;
    let body: MessageBody = json::read(text).map_err(|error| malformed(error.to_string()))?;
    // Fields that Docket ignores may have any number.
    let is_kept = |field: &str| ["analysis", "async_invoke", "metadata"].contains(&field);
    json::check_numbers(text, is_kept).map_err(|problem| malformed(problem.to_string()))?;
    check_limits(&body).map_err(|problem| malformed(problem.to_string()))?;
    let work = match (body.document, body.document_s3, body.async_invoke) {
        (Some(text), None, None) => Work::Document(DocumentSource::Inline(text)),
        (None, Some(location), None) => Work::Document(DocumentSource::S3(location)),
        (None, None, Some(request)) => Work::AsyncInvocation(Box::new(request)),
        (None, None, None) => {
            return Err(malformed("the body must have one of `document`, `document_s3` and `async_invoke`".into()));
        }
        _ => {
            return Err(malformed(
                "the body must have only one of `document`, `document_s3` and `async_invoke`".into(),
            ));
        }
    };
    Ok(Job {
        job_id: body.job_id,
        work,
        batch_id: body.batch_id,
        analysis: body.analysis,
        model_id: body.model_id,
        metadata: body.metadata,
        priority: Priority::from_attribute(priority),
    })
}

/// Checks that the stored job can hold the fields of a message.
///
/// The size of the document is not checked here. A document that is too large is a
/// valid job, which fails with its reason.
fn check_limits(body: &MessageBody) -> Result<(), json::JsonError> {
    let within = |field: &str, text: &str, limit: usize| match text.len() {
        len if len == 0 || len > limit => {
            Err(json::JsonError::shape(field, format!("must have 1 to {limit} bytes; it has {len}")))
        }
        _ => Ok(()),
    };
    if let Some(at) = &body.document_s3 {
        within("document_s3.bucket", &at.bucket, BUCKET_MAX_BYTES)?;
        within("document_s3.key", &at.key, KEY_MAX_BYTES)?;
        let is_hash = |text: &String| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !at.sha256.iter().all(is_hash) {
            return Err(json::JsonError::shape("document_s3.sha256", "must be a SHA-256 in lower-case hexadecimal"));
        }
        at.version_id.iter().try_for_each(|id| within("document_s3.version_id", id, KEY_MAX_BYTES))?;
    }
    body.async_invoke.iter().try_for_each(AsyncInvoke::check)?;
    body.model_id.iter().try_for_each(|id| within("model_id", id, MODEL_ID_MAX_BYTES))?;
    body.analysis.iter().try_for_each(check_analysis)?;
    body.metadata.iter().try_for_each(check_metadata)
}

/// Checks that the claim can store an analysis. The consumer checks later whether the
/// analysis can be sent to a model.
fn check_analysis(analysis: &AnalysisRequest) -> Result<(), json::JsonError> {
    let analysis = serde_json::to_value(analysis).unwrap_or_default();
    if json::table_bytes(&analysis) > INLINE_RESULT_MAX_BYTES || !json::fits_the_table(&analysis, RESULT_MAX_DEPTH + 1)
    {
        let problem = format!(
            "must have at most {INLINE_RESULT_MAX_BYTES} bytes and {} levels, no empty field name, and no number \
             that DynamoDB cannot store",
            RESULT_MAX_DEPTH + 1
        );
        return Err(json::JsonError::shape("analysis", problem));
    }
    Ok(())
}

/// Checks that metadata has at most [`METADATA_MAX_BYTES`] and that DynamoDB can store
/// it.
///
/// # Errors
/// [`JsonError`](json::JsonError) about the field `metadata`.
pub fn check_metadata(metadata: &Map<String, Value>) -> Result<(), json::JsonError> {
    let problem = |problem: String| json::JsonError::shape("metadata", problem);
    let metadata = Value::Object(metadata.clone());
    let size = metadata.to_string().len();
    if size > METADATA_MAX_BYTES {
        return Err(problem(format!("must have at most {METADATA_MAX_BYTES} bytes of JSON; it has {size}")));
    }
    if !json::fits_the_table(&metadata, RESULT_MAX_DEPTH) {
        return Err(problem(format!(
            "must have at most {RESULT_MAX_DEPTH} levels, no empty field name, and no number that DynamoDB cannot store"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
