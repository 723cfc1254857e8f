//! A job for a model that works for minutes: what is asked of Bedrock's
//! StartAsyncInvoke, under which token, and when to check how it goes.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_StartAsyncInvoke.html>

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::document::sha256_hex;
use crate::domain::ids::JobId;
use crate::domain::json::JsonError;
use crate::domain::limits::{
    ASYNC_INPUT_MAX_BYTES, ASYNC_MODEL_ID_MAX_BYTES, ASYNC_POLL_CAP, ASYNC_POLL_FIRST, ASYNC_TAG_KEY_MAX_BYTES,
    ASYNC_TAG_VALUE_MAX_BYTES, ASYNC_TAGS_MAX,
};

/// What a job asks of a model that works for minutes, in place of a document.
/// Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsyncInvoke {
    /// The model, or the ARN of what serves it.
    pub model_id: String,
    /// What the model takes: any JSON.
    pub model_input: Value,
    /// Tags of the invocation, by their keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl AsyncInvoke {
    /// Checks what Bedrock would refuse and the queue could not carry.
    ///
    /// # Errors
    /// The field and what is wrong with it; nothing of the input is repeated.
    pub fn check(&self) -> Result<(), JsonError> {
        let is_of_id = |c: char| c.is_ascii_alphanumeric() || "_.-/:".contains(c);
        within("async_invoke.model_id", &self.model_id, 1, ASYNC_MODEL_ID_MAX_BYTES, is_of_id)?;
        let size = self.model_input.to_string().len();
        if size > ASYNC_INPUT_MAX_BYTES {
            let problem = format!(
                "has {size} bytes of JSON; {ASYNC_INPUT_MAX_BYTES} is the limit, so let it name an object in a bucket"
            );
            return Err(JsonError::shape("async_invoke.model_input", problem));
        }
        if self.tags.len() > ASYNC_TAGS_MAX {
            let problem = format!("has {} tags; {ASYNC_TAGS_MAX} is the limit", self.tags.len());
            return Err(JsonError::shape("async_invoke.tags", problem));
        }
        let is_of_tag = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "._:/=+@-".contains(c);
        self.tags.iter().try_for_each(|(key, value)| {
            within("async_invoke.tags", key, 1, ASYNC_TAG_KEY_MAX_BYTES, is_of_tag)?;
            within("async_invoke.tags", value, 0, ASYNC_TAG_VALUE_MAX_BYTES, is_of_tag)
        })
    }
}

fn within(field: &str, text: &str, least: usize, most: usize, allowed: fn(char) -> bool) -> Result<(), JsonError> {
    if !(least..=most).contains(&text.len()) {
        return Err(JsonError::shape(
            field,
            format!("has a text of {} bytes; {least} to {most} it may be", text.len()),
        ));
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(JsonError::shape(field, format!("has the character {c:?}"))),
        None => Ok(()),
    }
}

/// The client request token of a job's invocation, 71 bytes of `a-z0-9-`.
///
/// Never a random one: a start whose answer was lost, or that is repeated after
/// a crash, must find the invocation that it began. So it tells neither the
/// attempt, which each claim counts up, nor the time. `generation` is the failed
/// attempt that a redrive takes up again, and 0 before the first: a redrive asks
/// for another invocation. `bucket` is where the output goes: two stacks of one
/// account may each have a job of this name, and Bedrock would take the second
/// for a conflict.
pub fn client_request_token(bucket: &str, job_id: &JobId, generation: u32) -> String {
    // Neither a bucket's name nor a job's id has a stroke in it.
    format!("docket-{}", sha256_hex(format!("{bucket}/{job_id}/{generation}").as_bytes()))
}

/// Where a job's output goes. Bedrock puts a folder there, named after the
/// invocation, so that a redrive's output lies beside the first one's.
pub fn output_uri(bucket: &str, job_id: &JobId) -> String {
    format!("s3://{bucket}/results/{job_id}/")
}

/// Names an invocation, as Bedrock does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InvocationArn(String);

impl InvocationArn {
    /// Takes the ARN that a start gave.
    pub fn new(arn: impl Into<String>) -> Self {
        Self(arn.into())
    }

    /// The text of the ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How an invocation goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// It runs, or Bedrock has a word for it that is not known here.
    InProgress,
    /// It is done.
    Completed {
        /// What all of its output lies under, as Bedrock names it.
        output_uri: String,
        /// When it ended, if Bedrock says so.
        ended_at: Option<Timestamp>,
    },
    /// It came to nothing.
    Failed {
        /// Bedrock's words, which may speak of the input: for the row, never for
        /// the log.
        message: String,
        /// When it ended, if Bedrock says so.
        ended_at: Option<Timestamp>,
    },
}

/// How long after the start, or after the check before it, the `number`-th check
/// of an invocation comes (from 1): half as long again each time, up to what the
/// queue can delay a message. In whole seconds, as the queue counts.
pub fn poll_delay(number: u32) -> Duration {
    let grown = |seconds: u64, _| (seconds + seconds / 2).min(ASYNC_POLL_CAP.as_secs());
    // Well past the number at which the cap is reached.
    Duration::from_secs((1..number.min(100)).fold(ASYNC_POLL_FIRST.as_secs(), grown))
}

/// An invocation that was started, as the row keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedInvocation {
    /// Names it.
    pub arn: InvocationArn,
    /// When its start was answered.
    pub started_at: Timestamp,
    /// The number of the check that is due or is being made, from 1.
    pub poll: u32,
    /// Whether the check is due: nobody works on the job.
    pub is_waiting: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;
    use crate::domain::limits::{ASYNC_MAX_AGE, ID_MAX_BYTES, MESSAGE_MAX_BYTES, METADATA_MAX_BYTES};

    fn asked(model_input: Value) -> AsyncInvoke {
        AsyncInvoke { model_id: "amazon.nova-reel-v1:1".into(), model_input, tags: BTreeMap::new() }
    }

    #[test]
    fn a_token_is_the_same_for_the_same_life_of_a_job_and_for_no_other() {
        let mut random = fastrand::Rng::with_seed(5);
        let alphabet: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(".-_:".chars()).collect();
        let (mut lives, mut tokens) = (HashSet::new(), HashSet::new());
        for _ in 0..20_000 {
            let longest = if random.bool() { 2 } else { ID_MAX_BYTES };
            let length = random.usize(1..=longest);
            let id: String = (0..length).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
            let bucket = format!("b{}", random.u8(..3));
            let generation = if random.bool() { random.u32(..3) } else { random.u32(..) };
            let job_id: JobId = id.parse().unwrap();
            let token = client_request_token(&bucket, &job_id, generation);
            assert_eq!(token, client_request_token(&bucket, &job_id, generation));
            assert!((1..=256).contains(&token.len()));
            assert!(token.bytes().all(|b| (b'!'..=b'~').contains(&b)), "{token}");
            lives.insert((bucket, id, generation));
            tokens.insert(token);
        }
        assert_eq!(lives.len(), tokens.len());
    }

    #[test]
    fn a_token_stays_what_it_was_when_the_code_changes() {
        let token = client_request_token("documents", &"a-1".parse().unwrap(), 0);
        assert_eq!(token, "docket-56eea59a4d0429e8d08de7586426c5118e3e890befd31e4f89148aa747bd597f");
    }

    #[test]
    fn an_input_over_the_limits_is_told_by_its_field_and_never_repeated() {
        let problem = |asked: &AsyncInvoke| asked.check().expect_err("over a limit").to_string();
        assert_eq!(asked(json!({"taskType": "TEXT_VIDEO"})).check(), Ok(()));
        assert_eq!(asked(json!("x".repeat(ASYNC_INPUT_MAX_BYTES - 2))).check(), Ok(()));
        let large = asked(json!("SECRET".repeat(ASYNC_INPUT_MAX_BYTES / 6)));
        assert!(problem(&large).starts_with("`async_invoke.model_input`: has 9000"), "{}", problem(&large));
        assert!(!problem(&large).contains("SECRET"));
        for id in ["", "a b", "modèle", &"x".repeat(257)] {
            let asked = AsyncInvoke { model_id: id.into(), ..asked(json!({})) };
            assert!(problem(&asked).starts_with("`async_invoke.model_id`"), "{id}");
        }
        let tagged =
            |tags: &[(String, String)]| AsyncInvoke { tags: tags.iter().cloned().collect(), ..asked(json!(1)) };
        let many: Vec<_> = (0..=ASYNC_TAGS_MAX).map(|n| (format!("k{n}"), String::new())).collect();
        assert_eq!(tagged(&many[1..]).check(), Ok(()));
        assert_eq!(problem(&tagged(&many)), "`async_invoke.tags`: has 201 tags; 200 is the limit");
        for (key, value) in [("", "v"), ("k", "ü"), ("k\0", "v"), (&"k".repeat(129), ""), ("k", &"v".repeat(257))] {
            assert!(problem(&tagged(&[(key.into(), value.into())])).starts_with("`async_invoke.tags`"), "{key}");
        }
    }

    #[test]
    fn the_largest_job_fits_into_a_message_with_all_that_goes_beside_it() {
        let tags = ASYNC_TAGS_MAX * (ASYNC_TAG_KEY_MAX_BYTES + ASYNC_TAG_VALUE_MAX_BYTES + r#""":"","#.len());
        let around = tags + ASYNC_MODEL_ID_MAX_BYTES + METADATA_MAX_BYTES + 2 * ID_MAX_BYTES;
        assert!(ASYNC_INPUT_MAX_BYTES + around + 10_000 < MESSAGE_MAX_BYTES);
    }

    #[test]
    fn unknown_fields_are_ignored_and_tags_may_be_left_out() {
        let read: AsyncInvoke =
            serde_json::from_value(json!({"model_id": "m", "model_input": [1], "sent_by": "somebody else"})).unwrap();
        assert_eq!(read, AsyncInvoke { model_id: "m".into(), model_input: json!([1]), tags: BTreeMap::new() });
        assert!(serde_json::from_value::<AsyncInvoke>(json!({"model_id": "m"})).is_err());
    }

    #[test]
    fn checks_come_ever_later_up_to_what_the_queue_can_delay() {
        let delays: Vec<u64> = (1..=16).map(|number| poll_delay(number).as_secs()).collect();
        assert_eq!(delays, [5, 7, 10, 15, 22, 33, 49, 73, 109, 163, 244, 366, 549, 823, 900, 900]);
        assert_eq!(poll_delay(0), ASYNC_POLL_FIRST);
        assert_eq!(poll_delay(u32::MAX), ASYNC_POLL_CAP);
        let (mut checks, mut waited) = (0, Duration::ZERO);
        while waited < ASYNC_MAX_AGE {
            checks += 1;
            waited += poll_delay(checks);
        }
        assert!(checks < 120, "{checks} checks in all");
    }
}
