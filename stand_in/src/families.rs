//! The requests that model families refuse, with Bedrock's messages. The texts are those that users of
//! Bedrock report; the table does not depend on Docket's own.
//!
//! - <https://github.com/vercel/ai/issues/4396>,
//!   <https://github.com/strands-agents/harness-sdk/issues/1241>: tool choices
//! - <https://github.com/pydantic/pydantic-ai/issues/3092>: a forced tool with thinking
//! - <https://github.com/griptape-ai/griptape/issues/2351>: Claude Opus 5.5
//! - <https://github.com/presenton/presenton/issues/939>: structured outputs

use serde_json::Value;

/// The message of the ValidationException for a request that the model refuses.
pub fn find_refusal(model_id: &str, request: &Value) -> Option<String> {
    let model = Model(strip_profile(model_id));
    let choice = request.pointer("/toolConfig/toolChoice");
    let has = |kind: &str| choice.is_some_and(|choice| choice.get(kind).is_some());
    let is_forced = has("tool") || has("any");
    let unsupported =
        |field: &str| Some(format!("This model doesn't support the {field} field. Remove {field} and try again."));
    let model_error = |text: &str| Some(format!("The model returned the following errors: {text}"));
    if request.get("toolConfig").is_some() && model.is_any(&["amazon.titan-", "deepseek.r1"]) {
        return Some("This model doesn't support tool use.".to_owned());
    }
    if has("tool") && model.is_any(&["mistral.", "meta.llama"]) {
        return unsupported("toolConfig.toolChoice.tool");
    }
    if has("any") && model.is_any(&["meta.llama"]) {
        return unsupported("toolConfig.toolChoice.any");
    }
    if is_forced && model.is_any(&["anthropic.claude-fable-", "anthropic.claude-mythos-"]) {
        return model_error("tool_choice forces tool use is not compatible with this model.");
    }
    if is_forced && model.is_any(&["anthropic.claude-opus-5-5", "anthropic.claude-sonnet-5-5"]) {
        return model_error(r#"tool_choice: type "tool" and "any" are not supported for this model."#);
    }
    let thinking = request.pointer("/additionalModelRequestFields/thinking/type").and_then(Value::as_str);
    if is_forced && model.is_any(&["anthropic."]) && thinking.is_some_and(|thinking| thinking != "disabled") {
        return model_error("Thinking may not be enabled when tool_choice forces tool use.");
    }
    let schema = request.pointer("/outputConfig/textFormat/structure/jsonSchema/schema").and_then(Value::as_str)?;
    let without = ["amazon.", "meta.", "mistral.pixtral-", "mistral.mistral-large-24", "mistral.mixtral-"];
    if model.is_any(&without) {
        return unsupported("outputConfig");
    }
    if model.is_any(&["anthropic.claude-sonnet-5", "anthropic.claude-opus-5", "anthropic.claude-fable-"]) {
        return model_error("output_config.format: Extra inputs are not permitted");
    }
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    (!is_closed(&schema)).then(|| {
        "The model returned the following errors: output_config.format.schema: For 'object' type, \
         'additionalProperties' must be explicitly set to false"
            .to_owned()
    })
}

/// Whether a model answers with JSON in the text although it has a tool, as Llama does
/// when it may choose.
pub fn writes_tool_call_as_text(model_id: &str, request: &Value) -> bool {
    Model(strip_profile(model_id)).is_any(&["meta.llama"]) && request.pointer("/toolConfig/toolChoice/auto").is_some()
}

struct Model<'a>(&'a str);

impl Model<'_> {
    fn is_any(&self, prefixes: &[&str]) -> bool {
        prefixes.iter().any(|prefix| self.0.starts_with(prefix))
    }
}

fn strip_profile(model_id: &str) -> &str {
    let id = model_id.rsplit('/').next().unwrap_or(model_id);
    ["apac.", "au.", "ca.", "eu.", "global.", "jp.", "us-gov.", "us."]
        .iter()
        .find_map(|prefix| id.strip_prefix(prefix))
        .unwrap_or(id)
}

/// Whether every object of a schema excludes further fields.
fn is_closed(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let is_open_object = fields.get("type").is_some_and(|name| name == "object")
                && fields.get("additionalProperties") != Some(&Value::Bool(false));
            !is_open_object && fields.values().all(is_closed)
        }
        Value::Array(items) => items.iter().all(is_closed),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_family_refuses_its_forms() {
        let tool = json!({"toolConfig": {"toolChoice": {"tool": {"name": "t"}}}});
        let any = json!({"toolConfig": {"toolChoice": {"any": {}}}});
        let auto = json!({"toolConfig": {"toolChoice": {"auto": {}}}});
        let schema =
            |schema: &str| json!({"outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": schema}}}}});
        let closed = schema(r#"{"type": "object", "additionalProperties": false}"#);
        for (model_id, request, is_refused) in [
            ("eu.amazon.nova-lite-v1:0", &tool, false),
            ("eu.amazon.nova-lite-v1:0", &closed, true),
            ("us.meta.llama3-3-70b-instruct-v1:0", &any, true),
            ("us.meta.llama3-3-70b-instruct-v1:0", &auto, false),
            ("mistral.mistral-large-2402-v1:0", &tool, true),
            ("mistral.mistral-large-2402-v1:0", &any, false),
            ("global.anthropic.claude-opus-5-5", &any, true),
            ("global.anthropic.claude-opus-5", &any, false),
            ("google.gemma-3-27b-it", &closed, false),
            ("google.gemma-3-27b-it", &schema(r#"{"type": "object"}"#), true),
            ("test.model-v1:0", &tool, false),
        ] {
            assert_eq!(find_refusal(model_id, request).is_some(), is_refused, "{model_id}: {request}");
        }
    }
}
