//! A dead letter: a message that could not be done, with its reason.

use super::attributes::{self, Attribute, fit_attributes};
use crate::domain::failure::Failure;
use crate::domain::ids::JobId;

/// A message on its way to the dead-letter queue: the body as it came, with the
/// reason as attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The body as it came.
    pub body: String,
    /// The reason first, then what the message had carried.
    pub attributes: Vec<Attribute>,
}

impl DeadLetter {
    /// Writes a dead letter; `job` is the job and the attempt that failed, when
    /// a row could be made of the message.
    ///
    /// A message holds [`MESSAGE_MAX_ATTRIBUTES`](crate::domain::limits::MESSAGE_MAX_ATTRIBUTES) attributes and
    /// [`MESSAGE_MAX_BYTES`](crate::domain::limits::MESSAGE_MAX_BYTES) in all. What does not fit is left out, from the end:
    /// the body never is, for it is the document.
    pub fn new(body: Option<&str>, carried: Vec<Attribute>, error: &Failure, job: Option<(&JobId, u32)>) -> Self {
        // A queue takes no empty body.
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

/// A queue takes no control characters, and no empty value.
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
    fn a_dead_letter_keeps_the_body_and_carries_the_reason() {
        let id: JobId = "j".parse().unwrap();
        let letter = DeadLetter::new(Some("body"), carried(2), &Failure::new("c", "a\0b"), Some((&id, 3)));
        let names: Vec<&str> = letter.attributes.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["error_code", "failed_attempt", "job_id", "error_message", "a0", "a1"]);
        assert_eq!(letter.attributes[3].value, AttributeValue::Text("a b".into()));
        assert_eq!(letter.body, "body");
    }

    #[test]
    fn a_dead_letter_of_a_dead_letter_carries_the_newest_reason_once() {
        let first = DeadLetter::new(Some("b"), carried(1), &Failure::new("first", ""), None);
        let second = DeadLetter::new(Some("b"), first.attributes, &Failure::new("second", ""), None);
        let codes: Vec<_> = second.attributes.iter().filter(|a| a.name == attributes::ERROR_CODE).collect();
        assert_eq!(codes.len(), 1);
        assert_eq!(codes[0].value, AttributeValue::Text("second".into()));
    }

    #[test]
    fn a_dead_letter_never_outgrows_the_queue_and_never_loses_the_body() {
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
