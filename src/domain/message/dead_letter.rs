//! A dead letter: the message of a failed job, with the reason.

use super::attributes::{self, Attribute, fit_attributes};
use crate::domain::failure::Failure;
use crate::domain::ids::JobId;

/// A message for the dead-letter queue: the original body, with the reason as
/// attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The original body.
    pub body: String,
    /// The attributes with the reason, then the attributes of the original message.
    pub attributes: Vec<Attribute>,
}

impl DeadLetter {
    /// Makes a dead letter. `carried` are the attributes of the original message; `job`
    /// is the job and the failed attempt, if the message had a job.
    ///
    /// A message has at most [`MESSAGE_MAX_ATTRIBUTES`] attributes and
    /// [`MESSAGE_MAX_BYTES`]. The last attributes that do not fit are omitted. The body
    /// is always complete, because it may contain the document.
    ///
    /// [`MESSAGE_MAX_ATTRIBUTES`]: crate::domain::limits::MESSAGE_MAX_ATTRIBUTES
    /// [`MESSAGE_MAX_BYTES`]: crate::domain::limits::MESSAGE_MAX_BYTES
    pub fn new(body: Option<&str>, carried: Vec<Attribute>, error: &Failure, job: Option<(&JobId, u32)>) -> Self {
        // SQS rejects an empty body.
        let body = body.filter(|body| !body.is_empty()).unwrap_or("{}").to_owned();
        let mut wanted = vec![Attribute::text(attributes::ERROR_CODE, "String", error.code.clone())];
        if let Some((job_id, attempt)) = job {
            wanted.push(Attribute::text(attributes::FAILED_ATTEMPT, "Number", attempt.to_string()));
            wanted.push(Attribute::text(attributes::JOB_ID, "String", job_id.to_string()));
        }
        wanted.push(Attribute::text(attributes::ERROR_MESSAGE, "String", printable(&error.message)));
        wanted.extend(carried.into_iter().filter(|attribute| !attribute.is_ours()));
        let attributes = fit_attributes(&body, wanted);
        Self { body, attributes }
    }
}

/// Makes a text valid for SQS, which rejects most control characters and empty values.
fn printable(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_empty() { "no message".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::AttributeValue;
    use super::*;
    use crate::domain::limits::{MESSAGE_MAX_ATTRIBUTES, MESSAGE_MAX_BYTES};

    fn carried(count: usize) -> Vec<Attribute> {
        (0..count).map(|n| Attribute::text(&format!("a{n}"), "String", "v".into())).collect()
    }

    #[test]
    fn dead_letter_has_body_and_reason() {
        let id: JobId = "j".parse().unwrap();
        let letter = DeadLetter::new(Some("body"), carried(2), &Failure::new("c", "a\0b"), Some((&id, 3)));
        let names: Vec<&str> = letter.attributes.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["error_code", "failed_attempt", "job_id", "error_message", "a0", "a1"]);
        assert_eq!(letter.attributes[3].value, AttributeValue::Text("a b".into()));
        assert_eq!(letter.body, "body");
    }

    #[test]
    fn repeated_dead_letter_has_newest_reason_once() {
        let first = DeadLetter::new(Some("b"), carried(1), &Failure::new("first", ""), None);
        let second = DeadLetter::new(Some("b"), first.attributes, &Failure::new("second", ""), None);
        let codes: Vec<_> = second.attributes.iter().filter(|a| a.name == attributes::ERROR_CODE).collect();
        assert_eq!(codes.len(), 1);
        assert_eq!(codes[0].value, AttributeValue::Text("second".into()));
    }

    #[test]
    fn dead_letter_fits_message_and_keeps_body() {
        assert_eq!(DeadLetter::new(None, vec![], &Failure::new("c", "m"), None).body, "{}");
        let letter = DeadLetter::new(Some("b"), carried(10), &Failure::new("c", "m"), None);
        assert_eq!(letter.attributes.len(), MESSAGE_MAX_ATTRIBUTES);
        for spare in [0, 20, 40, 200] {
            let body = "x".repeat(MESSAGE_MAX_BYTES - spare);
            let letter = DeadLetter::new(Some(&body), carried(9), &Failure::new("c", "m".repeat(300)), None);
            let size: usize = letter.attributes.iter().map(Attribute::size_bytes).sum();
            assert_eq!(letter.body.len(), body.len());
            assert!(size <= spare, "{size} bytes of attributes in {spare}");
            assert_eq!(letter.attributes.is_empty(), spare < 17);
        }
    }
}
