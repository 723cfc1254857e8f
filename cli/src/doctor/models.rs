//! The models: whether the account may call them.

use docket::domain::analysis::answer_form::profile_prefix;

use super::line::Line;
use crate::aws::error::AwsError;
use crate::aws::functions::Function;
use crate::aws::models::{Availability, CallUsage, Lifecycle};
use crate::plan::prices::Prices;

pub(super) const CHECK: &str = "model";
pub(super) const CALL_CHECK: &str = "model call";

/// The models that jobs of the stack may call: that of the consumer first, then those that
/// the producer allows.
pub(super) fn list_models(consumer: &Function, producer: Option<&Function>) -> Vec<String> {
    let allowed = producer.and_then(|producer| producer.environment.get("ALLOWED_MODEL_IDS"));
    let allowed = allowed.map(String::as_str).unwrap_or_default().split(',').map(str::trim);
    let mut models: Vec<String> = consumer.environment.get("MODEL_ID").cloned().into_iter().collect();
    for model in allowed.filter(|model| !model.is_empty()) {
        if !models.iter().any(|known| known == model) {
            models.push(model.to_owned());
        }
    }
    models
}

/// The line of a model. A profile reaches other regions, so the own region need not offer
/// its foundation model.
pub(super) fn judge_model(model_id: &str, availability: &Availability, lifecycle: Option<&Lifecycle>) -> Line {
    let Availability { agreement, authorization, entitlement, region, .. } = availability;
    let access = "See \"Model access\" in docs/operations/real-account.md.";
    let message = availability.agreement_message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    if profile_prefix(model_id).is_none() && region == "NOT_AVAILABLE" {
        let remedy = "Deploy with a ModelId that this region offers, such as an inference profile.";
        return Line::error(CHECK, model_id, "the region does not offer this model", remedy);
    }
    if authorization == "NOT_AUTHORIZED" || entitlement == "NOT_AVAILABLE" {
        return Line::error(CHECK, model_id, "the account is not authorised for this model", access);
    }
    match agreement.as_str() {
        "NOT_AVAILABLE" => {
            return Line::error(CHECK, model_id, "the account has no agreement for this model", access);
        }
        "ERROR" => {
            return Line::error(CHECK, model_id, format!("the agreement for this model failed{message}"), access);
        }
        "PENDING" => {
            let remedy = "Wait for 15 minutes, and run the command again.";
            return Line::warning(CHECK, model_id, "the agreement for this model is pending", remedy);
        }
        _ => {}
    }
    match lifecycle {
        Some(Lifecycle { status, end }) if status == "LEGACY" => {
            let end = end.as_ref().map(|end| format!(", and ends on {end}")).unwrap_or_default();
            let remedy = "Choose its successor, and deploy with another ModelId.";
            Line::warning(CHECK, model_id, format!("the model is legacy{end}"), remedy)
        }
        _ => Line::ok(CHECK, model_id, "available to the account; only --call shows whether a call succeeds"),
    }
}

/// The line of a model that Bedrock's control plane did not describe.
pub(super) fn judge_failed_question(model_id: &str, error: &AwsError, is_local: bool) -> Line {
    let is_unknown = matches!(error.code.as_str(), "ResourceNotFoundException" | "ValidationException");
    match (is_unknown, is_local) {
        (true, true) => {
            let detail = "not checked: the local AWS does not know this model";
            Line::warning(CHECK, model_id, detail, "Use --call, which asks the endpoint of the model.")
        }
        (true, false) => {
            let detail = format!("Bedrock does not know this model in this region: {}", error.message);
            Line::error(CHECK, model_id, detail, "Deploy with a ModelId that this region offers.")
        }
        (false, _) => Line::not_checked(CHECK, model_id, error),
    }
}

/// The line of an inference profile that is not active.
pub(super) fn inactive_profile(model_id: &str) -> Line {
    let remedy = "Deploy with another ModelId.";
    Line::error(CHECK, model_id, "the inference profile is not active, or has no model", remedy)
}

/// The line of the paid call.
pub(super) fn judge_call(model_id: &str, result: Result<CallUsage, AwsError>, prices: &Prices) -> Line {
    let error = match result {
        Ok(usage) => {
            let price = prices.model(model_id).map(|price| {
                let usd = usage.input as f64 * price.input_per_1000 + usage.output as f64 * price.output_per_1000;
                format!(", about ${:.6}", usd / 1_000.0)
            });
            let detail = format!(
                "answered: {} input and {} output tokens{}; called with your credentials, not with the consumer's role",
                usage.input,
                usage.output,
                price.unwrap_or_default()
            );
            return Line::ok(CALL_CHECK, model_id, detail);
        }
        Err(error) => error,
    };
    let detail = format!("{}: {}", error.code, error.message);
    match error.code.as_str() {
        "AccessDeniedException" => Line::error(
            CALL_CHECK,
            model_id,
            detail,
            "Allow bedrock:InvokeModel for this caller, and see \"Model access\" in docs/operations/real-account.md.",
        ),
        "ResourceNotFoundException" => {
            Line::error(CALL_CHECK, model_id, detail, "Deploy with a ModelId that this region offers.")
        }
        "ValidationException" => Line::error(
            CALL_CHECK,
            model_id,
            detail,
            "Check ModelId, Temperature, ModelRequestFields and AnswerMode: see docs/operations/models.md.",
        ),
        "ThrottlingException" | "ServiceQuotaExceededException" => {
            let remedy = "Wait a minute, and run the command again. Then compare the quotas of the model.";
            Line::warning(CALL_CHECK, model_id, detail, remedy)
        }
        _ => Line::warning(CALL_CHECK, model_id, detail, "Repeat the command. Docket itself retries such errors."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Status;
    use super::*;

    const PROFILE: &str = "us.amazon.nova-2-lite-v1:0";
    const MODEL: &str = "amazon.nova-2-lite-v1:0";

    fn available() -> Availability {
        Availability {
            agreement: "AVAILABLE".to_owned(),
            agreement_message: None,
            authorization: "AUTHORIZED".to_owned(),
            entitlement: "AVAILABLE".to_owned(),
            region: "AVAILABLE".to_owned(),
        }
    }

    fn error(code: &str) -> AwsError {
        AwsError { action: "bedrock:GetFoundationModelAvailability", code: code.to_owned(), message: "m".to_owned() }
    }

    #[test]
    fn models_of_both_functions_are_listed_once() {
        let with = |name: &str, value: &str| Function {
            environment: [(name.to_owned(), value.to_owned())].into(),
            ..Function::default()
        };
        let consumer = with("MODEL_ID", PROFILE);
        let producer = with("ALLOWED_MODEL_IDS", &format!("{PROFILE}, other.model,"));
        assert_eq!(list_models(&consumer, Some(&producer)), [PROFILE, "other.model"]);
        assert_eq!(list_models(&consumer, None), [PROFILE]);
    }

    #[test]
    fn each_missing_access_is_an_error() {
        assert_eq!(judge_model(PROFILE, &available(), None).status, Status::Ok);
        let no = || "NOT_AVAILABLE".to_owned();
        for broken in [
            Availability { agreement: no(), ..available() },
            Availability { agreement: "ERROR".to_owned(), ..available() },
            Availability { authorization: "NOT_AUTHORIZED".to_owned(), ..available() },
            Availability { entitlement: no(), ..available() },
        ] {
            assert_eq!(judge_model(PROFILE, &broken, None).status, Status::Error, "{broken:?}");
        }
        let elsewhere = Availability { region: no(), ..available() };
        assert_eq!(judge_model(PROFILE, &elsewhere, None).status, Status::Ok);
        assert_eq!(judge_model(MODEL, &elsewhere, None).status, Status::Error);
        let pending = Availability { agreement: "PENDING".to_owned(), ..available() };
        assert_eq!(judge_model(PROFILE, &pending, None).status, Status::Warning);
        let legacy = Lifecycle { status: "LEGACY".to_owned(), end: Some("2027-01-31".to_owned()) };
        let line = judge_model(PROFILE, &available(), Some(&legacy));
        assert_eq!(line.status, Status::Warning);
        assert!(line.detail.contains("2027-01-31"));
    }

    #[test]
    fn unknown_model_is_an_error_in_an_account_alone() {
        let unknown = error("ResourceNotFoundException");
        assert_eq!(judge_failed_question(MODEL, &unknown, false).status, Status::Error);
        assert_eq!(judge_failed_question(MODEL, &unknown, true).status, Status::Warning);
        let denied = judge_failed_question(MODEL, &error("AccessDeniedException"), false);
        assert_eq!(denied.status, Status::Warning);
        assert!(denied.detail.contains("bedrock:GetFoundationModelAvailability"));
    }

    #[test]
    fn failed_call_is_classified_by_its_code() {
        let prices = Prices::built_in();
        let usage = CallUsage { input: 10, output: 2 };
        let answered = judge_call(PROFILE, Ok(usage), &prices);
        assert_eq!(answered.status, Status::Ok);
        assert!(answered.detail.contains("10 input and 2 output tokens, about $0.0000"), "{}", answered.detail);
        for (code, expected) in [
            ("AccessDeniedException", Status::Error),
            ("ResourceNotFoundException", Status::Error),
            ("ValidationException", Status::Error),
            ("ThrottlingException", Status::Warning),
            ("InternalServerException", Status::Warning),
        ] {
            assert_eq!(judge_call(PROFILE, Err(error(code)), &prices).status, expected, "{code}");
        }
    }
}
