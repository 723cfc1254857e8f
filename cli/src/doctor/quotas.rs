//! The model's quotas in Service Quotas, compared with the parameters of the stack.

use super::line::Line;
use crate::aws::quotas::Quota;
use docket::domain::analysis::answer_form::profile_prefix;

pub(super) const CHECK: &str = "model quota";

/// A quota of the model, and the parameter that Docket keeps to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The unit in the name of the quota.
    pub unit: &'static str,
    /// The template's parameter.
    pub parameter: &'static str,
    /// The variable of the consumer.
    pub variable: &'static str,
}

pub(super) const TOKENS: Kind =
    Kind { unit: "tokens per minute", parameter: "ModelTokensPerMinute", variable: "MODEL_TOKENS_PER_MINUTE" };
pub(super) const REQUESTS: Kind =
    Kind { unit: "requests per minute", parameter: "ModelRequestsPerMinute", variable: "MODEL_REQUESTS_PER_MINUTE" };

/// The line of a quota. `setting` is the value of the stack's parameter; 0 sets no limit.
pub(super) fn judge_quota(kind: Kind, model_id: &str, setting: u64, quotas: &[Quota]) -> Line {
    let subject = kind.parameter;
    let Some(quota) = find_quota(kind, model_id, quotas) else {
        let detail = format!("not checked: none of {} quotas has the name of {model_id}", quotas.len());
        let remedy = format!("Compare {subject} with the model's {} in Service Quotas, Amazon Bedrock.", kind.unit);
        return Line::warning(CHECK, subject, detail, remedy);
    };
    let (name, value) = (&quota.name, quota.value);
    if value <= 0.0 {
        let detail = format!("the quota \"{name}\" is 0, so every call is throttled");
        return Line::error(CHECK, subject, detail, "Request an increase in Service Quotas, Amazon Bedrock.");
    }
    if setting as f64 > value {
        let detail = format!("{setting} exceeds the quota \"{name}\" of {value}, so Bedrock throttles");
        let remedy = format!("Deploy with {subject}={value}, or request an increase in Service Quotas.");
        return Line::error(CHECK, subject, detail, remedy);
    }
    match setting {
        0 => Line::ok(CHECK, subject, format!("0: Docket does not limit its calls. The quota \"{name}\" is {value}")),
        _ => Line::ok(CHECK, subject, format!("{setting}, within the quota \"{name}\" of {value}")),
    }
}

/// The model's quota: that of its inference profile's scope, with the words of its id. Service
/// Quotas has no field for the model, so the name must do. The smallest of several quotas counts.
fn find_quota<'a>(kind: Kind, model_id: &str, quotas: &'a [Quota]) -> Option<&'a Quota> {
    let foundation = match profile_prefix(model_id) {
        Some(prefix) => &model_id[prefix.len() + 1..],
        None => model_id,
    };
    let model = words(&strip_version(foundation));
    let scope = scope(model_id);
    let separator = format!(" {} for ", kind.unit);
    let matching = quotas.iter().filter(|quota| {
        let name = quota.name.to_lowercase();
        let parts = name.split_once(&separator);
        parts.is_some_and(|(start, name)| start.starts_with(scope) && words(name) == model)
    });
    matching.min_by(|one, other| one.value.total_cmp(&other.value))
}

/// How the name of a quota begins, in lower case.
///
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-runtime.html>
fn scope(model_id: &str) -> &'static str {
    match profile_prefix(model_id) {
        Some("global") => "global cross-region",
        Some(_) => "cross-region",
        None => "on-demand",
    }
}

/// The id of a model without its release date, and without a version that names omit: that
/// of `v1` and that after a colon.
fn strip_version(model_id: &str) -> String {
    let id = model_id.split(':').next().unwrap_or_default();
    let is_date = |part: &&str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit());
    id.split('-').filter(|part| !is_date(part)).collect::<Vec<_>>().join("-")
}

/// The words of a name in a fixed order: runs of letters, and runs of digits. `V1` is left
/// out, because some names have it and others do not.
fn words(name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    let mut words: Vec<String> = Vec::new();
    for part in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty() && *part != "v1") {
        let mut previous: Option<char> = None;
        for c in part.chars() {
            match words.last_mut() {
                Some(word) if previous.is_some_and(|last| last.is_ascii_digit() == c.is_ascii_digit()) => word.push(c),
                _ => words.push(c.to_string()),
            }
            previous = Some(c);
        }
    }
    words.sort();
    words
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    fn quotas() -> Vec<Quota> {
        let quota = |name: &str, value| Quota { name: name.to_owned(), value };
        vec![
            quota("Cross-region model inference tokens per minute for Amazon Nova 2 Lite", 600_000.0),
            quota("Global cross-region model inference tokens per minute for Amazon Nova 2 Lite", 900_000.0),
            quota("On-demand InvokeModel tokens per minute for Amazon Nova 2 Lite", 300_000.0),
            quota("Cross-region model inference tokens per minute for Amazon Nova Lite", 1.0),
            quota("Cross-region model inference requests per minute for Amazon Nova 2 Lite", 200.0),
            quota("Cross-Region InvokeModel tokens per minute for Anthropic Claude Sonnet 4.5 V1", 400_000.0),
            quota(
                "Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.5 V1 1M Context Length",
                2.0,
            ),
            quota("Cross-region model inference tokens per minute for Anthropic Claude 3.5 Sonnet", 3.0),
            quota("Cross-region model inference tokens per minute for Anthropic Claude 3.5 Sonnet V2", 4.0),
            quota("Cross-region model inference tokens per minute for Meta Llama 3.3 70B Instruct", 5.0),
            quota("Model invocation max tokens per day for Amazon Nova 2 Lite", 6.0),
        ]
    }

    #[test]
    fn quota_is_found_by_scope_and_words_of_the_id() {
        for (model_id, expected) in [
            ("us.amazon.nova-2-lite-v1:0", Some(600_000.0)),
            ("eu.amazon.nova-2-lite-v1:0", Some(600_000.0)),
            ("global.amazon.nova-2-lite-v1:0", Some(900_000.0)),
            ("amazon.nova-2-lite-v1:0", Some(300_000.0)),
            ("us.amazon.nova-lite-v1:0", Some(1.0)),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some(400_000.0)),
            ("us.anthropic.claude-3-5-sonnet-20240620-v1:0", Some(3.0)),
            ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", Some(4.0)),
            ("us.meta.llama3-3-70b-instruct-v1:0", Some(5.0)),
            ("us.amazon.nova-3-lite-v1:0", None),
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", None),
        ] {
            let all = quotas();
            assert_eq!(find_quota(TOKENS, model_id, &all).map(|quota| quota.value), expected, "{model_id}");
        }
    }

    #[test]
    fn setting_above_the_quota_is_an_error() {
        let judge = |kind, setting| judge_quota(kind, "us.amazon.nova-2-lite-v1:0", setting, &quotas());
        assert_eq!(judge(TOKENS, 0).status, Status::Ok);
        assert_eq!(judge(TOKENS, 600_000).status, Status::Ok);
        let above = judge(TOKENS, 600_001);
        assert_eq!(above.status, Status::Error);
        assert!(above.remedy.is_some_and(|remedy| remedy.contains("ModelTokensPerMinute=600000")));
        assert_eq!(judge(REQUESTS, 201).status, Status::Error);
        assert_eq!(judge_quota(TOKENS, "us.amazon.nova-2-lite-v1:0", 1, &[]).status, Status::Warning);
        let zero = [Quota { value: 0.0, ..quotas()[0].clone() }];
        assert_eq!(judge_quota(TOKENS, "us.amazon.nova-2-lite-v1:0", 0, &zero).status, Status::Error);
    }
}
