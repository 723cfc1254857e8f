//! The request to Bedrock's StartAsyncInvoke, its token, and the delays of the polls.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_StartAsyncInvoke.html>

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::document::sha256_hex;
use crate::domain::ids::JobId;
use crate::domain::json::{self, JsonError};
use crate::domain::limits::{
    ASYNC_INPUT_MAX_BYTES, ASYNC_MODEL_ID_MAX_BYTES, ASYNC_POLL_CAP, ASYNC_POLL_FIRST, ASYNC_TAG_KEY_MAX_BYTES,
    ASYNC_TAG_VALUE_MAX_BYTES, ASYNC_TAGS_MAX,
};

/// The request of a job for an async invocation, in place of a document. Unknown fields
/// are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsyncInvoke {
    /// The id or ARN of the model, at most [`ASYNC_MODEL_ID_MAX_BYTES`] bytes.
    pub model_id: String,
    /// The input of the model: any JSON of at most [`ASYNC_INPUT_MAX_BYTES`] bytes.
    #[serde(deserialize_with = "json::not_null")]
    pub model_input: Value,
    /// The tags of the invocation by key, at most [`ASYNC_TAGS_MAX`].
    #[serde(default, deserialize_with = "json::default_if_null", skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl AsyncInvoke {
    /// Checks the limits of Bedrock and of the queue message.
    ///
    /// # Errors
    /// [`JsonError`], which names the field and contains no part of the input.
    pub fn check(&self) -> Result<(), JsonError> {
        let is_allowed_in_id = |c: char| c.is_ascii_alphanumeric() || "_.-/:".contains(c);
        check_text("async_invoke.model_id", &self.model_id, 1, ASYNC_MODEL_ID_MAX_BYTES, is_allowed_in_id)?;
        let size = self.model_input.to_string().len();
        if size > ASYNC_INPUT_MAX_BYTES {
            let problem = format!(
                "must have at most {ASYNC_INPUT_MAX_BYTES} bytes of JSON; it has {size}, so put the data into S3"
            );
            return Err(JsonError::shape("async_invoke.model_input", problem));
        }
        if self.tags.len() > ASYNC_TAGS_MAX {
            let problem = format!("must have at most {ASYNC_TAGS_MAX} tags; it has {}", self.tags.len());
            return Err(JsonError::shape("async_invoke.tags", problem));
        }
        let is_allowed_in_tag =
            |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "._:/=+@-".contains(c);
        self.tags.iter().try_for_each(|(key, value)| {
            check_text("async_invoke.tags", key, 1, ASYNC_TAG_KEY_MAX_BYTES, is_allowed_in_tag)?;
            check_text("async_invoke.tags", value, 0, ASYNC_TAG_VALUE_MAX_BYTES, is_allowed_in_tag)
        })
    }

    /// Checks that each object of `model_input` is below [`ASYNC_INPUTS_PREFIX`] of
    /// `bucket`. Bedrock reads the objects with the consumer's permissions, so another
    /// prefix would give the caller the documents of others.
    ///
    /// # Errors
    /// [`JsonError`], which names the field and contains no part of the input.
    pub fn check_inputs(&self, bucket: &str) -> Result<(), JsonError> {
        let allowed = format!("s3://{bucket}/{ASYNC_INPUTS_PREFIX}");
        match find_foreign_input(&self.model_input, &allowed) {
            None => Ok(()),
            Some(_) => {
                let problem = format!("must name objects below {allowed} only; upload the input there");
                Err(JsonError::shape("async_invoke.model_input", problem))
            }
        }
    }
}

/// The prefix of the objects that `model_input` may name. Callers upload them, and no
/// event is sent for them.
pub const ASYNC_INPUTS_PREFIX: &str = "async-inputs/";

/// A text of `model_input` that names an object outside of [`ASYNC_INPUTS_PREFIX`].
fn find_foreign_input<'a>(value: &'a Value, allowed: &str) -> Option<&'a str> {
    match value {
        Value::String(text) => {
            let names_object = text.trim_start().get(..3).is_some_and(|start| start.eq_ignore_ascii_case("s3:"));
            (names_object && !text.starts_with(allowed)).then_some(text)
        }
        Value::Array(values) => values.iter().find_map(|value| find_foreign_input(value, allowed)),
        Value::Object(fields) => fields.values().find_map(|value| find_foreign_input(value, allowed)),
        _ => None,
    }
}

fn check_text(
    field: &str,
    text: &str,
    least: usize,
    most: usize,
    is_allowed: fn(char) -> bool,
) -> Result<(), JsonError> {
    if !(least..=most).contains(&text.len()) {
        return Err(JsonError::shape(
            field,
            format!("must have texts of {least} to {most} bytes; one has {}", text.len()),
        ));
    }
    match text.chars().find(|c| !is_allowed(*c)) {
        Some(c) => Err(JsonError::shape(field, format!("has the character {c:?}, which Bedrock does not allow"))),
        None => Ok(()),
    }
}

/// The client request token of a job's invocation: 71 bytes of `a-z0-9-`.
///
/// The token is the same for every start of one generation, and depends neither on the
/// attempt nor on the time. A start that is repeated after a crash or a lost response
/// therefore finds the existing invocation.
///
/// - `bucket` receives the output. Two stacks of one account may have jobs with the same
///   id, and Bedrock would reject the second start as a conflict.
/// - `generation` is the failed attempt that a redrive or a retry continues, and 0 before
///   the first. A redrive starts a new invocation.
pub fn client_request_token(bucket: &str, job_id: &JobId, generation: u32) -> String {
    // Neither a bucket name nor a job id contains `/`.
    format!("docket-{}", sha256_hex(format!("{bucket}/{job_id}/{generation}").as_bytes()))
}

/// The S3 URI for the output of a job. Bedrock adds a folder per invocation, so the
/// output of a redrive does not overwrite the first output.
pub fn output_uri(bucket: &str, job_id: &JobId) -> String {
    format!("s3://{bucket}/results/{job_id}/")
}

/// The ARN of an async invocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InvocationArn(String);

impl InvocationArn {
    /// Makes an ARN from the response to a start.
    pub fn new(arn: impl Into<String>) -> Self {
        Self(arn.into())
    }

    /// The text of the ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The state of an async invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// The invocation runs, or has a status that Docket does not know.
    InProgress,
    /// The invocation completed.
    Completed {
        /// The S3 URI of the output, as Bedrock reports it.
        output_uri: String,
        /// The time of the end, if Bedrock reports it.
        ended_at: Option<Timestamp>,
    },
    /// The invocation failed.
    Failed {
        /// Bedrock's message, which may mention the input: it is stored and never logged.
        message: String,
        /// The time of the end, if Bedrock reports it.
        ended_at: Option<Timestamp>,
    },
}

/// The delay of the `number`-th poll (from 1) after the start or the poll before it.
///
/// The delay grows by half each time, from [`ASYNC_POLL_FIRST`] to [`ASYNC_POLL_CAP`].
/// It is in whole seconds, because SQS delays messages by whole seconds.
pub fn poll_delay(number: u32) -> Duration {
    let grown = |seconds: u64, _| (seconds + seconds / 2).min(ASYNC_POLL_CAP.as_secs());
    // The delay reaches the cap long before poll 100.
    Duration::from_secs((1..number.min(100)).fold(ASYNC_POLL_FIRST.as_secs(), grown))
}

/// A started invocation on the stored job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedInvocation {
    /// The ARN of the invocation.
    pub arn: InvocationArn,
    /// The time of Bedrock's response to the start.
    pub started_at: Timestamp,
    /// The number of the poll that is due or runs, from 1.
    pub poll: u32,
    /// Whether the job waits for that poll, and no worker works on the job.
    pub is_waiting: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;
    use crate::domain::limits::{ASYNC_MAX_AGE, ID_MAX_BYTES, MESSAGE_MAX_BYTES, METADATA_MAX_BYTES};

    fn request(model_input: Value) -> AsyncInvoke {
        AsyncInvoke { model_id: "amazon.nova-reel-v1:1".into(), model_input, tags: BTreeMap::new() }
    }

    #[test]
    fn input_outside_its_prefix_is_refused() {
        let check = |uri: &str| request(json!({"images": [{"s3Location": {"uri": uri}}]})).check_inputs("b");
        for allowed in ["s3://b/async-inputs/a.png", "s3://b/async-inputs/x/a.png", "a text about s3://b/uploads/a"] {
            assert_eq!(check(allowed), Ok(()), "{allowed}");
        }
        for refused in [
            "s3://b/uploads/a.png",
            "s3://b/async-inputs",
            "s3://b/async-inputs-2/a.png",
            "s3://other/async-inputs/a.png",
            "S3://b/documents/j/h.txt",
            " s3://b/results/j/1.json",
            "s3:/b/uploads/a.png",
        ] {
            let error = check(refused).expect_err(refused).to_string();
            assert!(error.contains("async_invoke.model_input") && error.contains("s3://b/async-inputs/"), "{error}");
            assert!(!error.contains("a.png") && !error.contains("results"), "{error}");
        }
    }

    #[test]
    fn token_is_unique_per_bucket_job_and_generation() {
        let mut random = fastrand::Rng::with_seed(5);
        let alphabet: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(".-_:".chars()).collect();
        let (mut generations, mut tokens) = (HashSet::new(), HashSet::new());
        for _ in 0..20_000 {
            let longest = if random.bool() { 2 } else { ID_MAX_BYTES };
            let length = random.usize(1..=longest);
            let id: String = (0..length).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
            let bucket = format!("b{}", random.u8(..3));
            let generation = if random.bool() { random.u32(..3) } else { random.u32(..) };
            // `.` and `..` are no ids.
            let Ok(job_id) = id.parse::<JobId>() else { continue };
            let token = client_request_token(&bucket, &job_id, generation);
            assert_eq!(token, client_request_token(&bucket, &job_id, generation));
            assert!((1..=256).contains(&token.len()));
            assert!(token.bytes().all(|b| (b'!'..=b'~').contains(&b)), "{token}");
            generations.insert((bucket, id, generation));
            tokens.insert(token);
        }
        assert_eq!(generations.len(), tokens.len());
    }

    #[test]
    fn token_does_not_change_between_releases() {
        let token = client_request_token("documents", &"a-1".parse().unwrap(), 0);
        assert_eq!(token, "docket-56eea59a4d0429e8d08de7586426c5118e3e890befd31e4f89148aa747bd597f");
    }

    #[test]
    fn request_over_limit_error_names_field_without_input() {
        let problem = |request: &AsyncInvoke| request.check().expect_err("over a limit").to_string();
        assert_eq!(request(json!({"taskType": "TEXT_VIDEO"})).check(), Ok(()));
        assert_eq!(request(json!("x".repeat(ASYNC_INPUT_MAX_BYTES - 2))).check(), Ok(()));
        let large = request(json!("SECRET".repeat(ASYNC_INPUT_MAX_BYTES / 6)));
        assert!(
            problem(&large).starts_with("`async_invoke.model_input`: must have at most 900000"),
            "{}",
            problem(&large)
        );
        assert!(!problem(&large).contains("SECRET"));
        for id in ["", "a b", "modèle", &"x".repeat(257)] {
            let invalid = AsyncInvoke { model_id: id.into(), ..request(json!({})) };
            assert!(problem(&invalid).starts_with("`async_invoke.model_id`"), "{id}");
        }
        let tagged =
            |tags: &[(String, String)]| AsyncInvoke { tags: tags.iter().cloned().collect(), ..request(json!(1)) };
        let many: Vec<_> = (0..=ASYNC_TAGS_MAX).map(|n| (format!("k{n}"), String::new())).collect();
        assert_eq!(tagged(&many[1..]).check(), Ok(()));
        assert_eq!(problem(&tagged(&many)), "`async_invoke.tags`: must have at most 200 tags; it has 201");
        for (key, value) in [("", "v"), ("k", "ü"), ("k\0", "v"), (&"k".repeat(129), ""), ("k", &"v".repeat(257))] {
            assert!(problem(&tagged(&[(key.into(), value.into())])).starts_with("`async_invoke.tags`"), "{key}");
        }
    }

    #[test]
    fn largest_request_fits_into_message() {
        let tags = ASYNC_TAGS_MAX * (ASYNC_TAG_KEY_MAX_BYTES + ASYNC_TAG_VALUE_MAX_BYTES + r#""":"","#.len());
        let around = tags + ASYNC_MODEL_ID_MAX_BYTES + METADATA_MAX_BYTES + 2 * ID_MAX_BYTES;
        assert!(ASYNC_INPUT_MAX_BYTES + around + 10_000 < MESSAGE_MAX_BYTES);
    }

    #[test]
    fn unknown_fields_are_ignored_and_tags_are_optional() {
        let read: AsyncInvoke =
            serde_json::from_value(json!({"model_id": "m", "model_input": [1], "sent_by": "somebody else"})).unwrap();
        assert_eq!(read, AsyncInvoke { model_id: "m".into(), model_input: json!([1]), tags: BTreeMap::new() });
        assert!(serde_json::from_value::<AsyncInvoke>(json!({"model_id": "m"})).is_err());
    }

    #[test]
    fn poll_delay_grows_up_to_cap() {
        let delays: Vec<u64> = (1..=16).map(|number| poll_delay(number).as_secs()).collect();
        assert_eq!(delays, [5, 7, 10, 15, 22, 33, 49, 73, 109, 163, 244, 366, 549, 823, 900, 900]);
        assert_eq!(poll_delay(0), ASYNC_POLL_FIRST);
        assert_eq!(poll_delay(u32::MAX), ASYNC_POLL_CAP);
        let (mut polls, mut waited) = (0, Duration::ZERO);
        while waited < ASYNC_MAX_AGE {
            polls += 1;
            waited += poll_delay(polls);
        }
        assert!(polls < 120, "{polls} polls in total");
    }
}
