//! The form in which a model gives its answer, by model family.
//!
//! Models differ in what they accept: a forced tool, any tool, structured outputs, or
//! text alone. One table names the forms of each family, with its sources. A form that a
//! model refuses costs no tokens, so the next form of the family follows.

use std::str::FromStr;

/// The setting `AnswerMode` of the stack: the forms that calls may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnswerMode {
    /// The forms of the model's family, in order.
    #[default]
    Auto,
    /// The forced tool alone.
    Tool,
    /// Any tool, or a tool that the model chooses itself.
    AnyTool,
    /// Structured outputs alone.
    JsonSchema,
    /// JSON in the text alone.
    Text,
}

/// How one request asks for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// `toolChoice.tool`: the model must call Docket's tool.
    Tool,
    /// `toolChoice.any`: the model must call a tool, and there is one.
    AnyTool,
    /// `toolChoice.auto`: the model may call the tool, or answer with JSON in the text.
    AutoTool,
    /// `outputConfig.textFormat`: the text has the form of a JSON Schema.
    JsonSchema,
    /// The prompt asks for JSON in the text.
    Text,
}

/// Models that accept the same forms.
#[derive(Debug, PartialEq, Eq)]
pub struct ModelFamily {
    /// The name in the documentation.
    pub name: &'static str,
    /// The begin of the model ids, without the prefix of an inference profile.
    pub prefixes: &'static [&'static str],
    /// The forms in the order in which they are used.
    pub forms: &'static [AnswerForm],
    /// The pages on which the forms rest.
    pub sources: &'static [&'static str],
    /// Whether tool use needs `topK` 1, which is Amazon's advice for Nova.
    ///
    /// <https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html>
    pub needs_top_k: bool,
    /// Whether a tool result may have the status `error`.
    ///
    /// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolResultBlock.html>
    pub has_error_status: bool,
}

/// The prefixes of inference profiles.
///
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html>
pub const PROFILE_PREFIXES: [&str; 8] = ["apac", "au", "ca", "eu", "global", "jp", "us", "us-gov"];

const TOOL_CHOICE: &str = "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolChoice.html";
const STRUCTURED: &str = "https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html";
const MODELS: &str =
    "https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html";

const OTHER: ModelFamily = ModelFamily {
    name: "other models",
    prefixes: &[""],
    forms: &[AnswerForm::Tool, AnswerForm::AnyTool, AnswerForm::AutoTool, AnswerForm::JsonSchema, AnswerForm::Text],
    sources: &[MODELS],
    needs_top_k: false,
    has_error_status: false,
};

/// The families. The first with a matching prefix counts; the last one matches every id.
pub static FAMILIES: [ModelFamily; 9] = [
    ModelFamily {
        name: "Amazon Nova",
        prefixes: &["amazon.nova-"],
        forms: &[AnswerForm::Tool, AnswerForm::AnyTool, AnswerForm::AutoTool, AnswerForm::Text],
        sources: &[TOOL_CHOICE, "https://docs.aws.amazon.com/nova/latest/userguide/tool-use-definition.html"],
        needs_top_k: true,
        has_error_status: true,
    },
    ModelFamily {
        name: "Claude Opus 5.5, Sonnet 5.5, Fable 5, Mythos 5",
        prefixes: &[
            "anthropic.claude-opus-5-5",
            "anthropic.claude-sonnet-5-5",
            "anthropic.claude-fable-",
            "anthropic.claude-mythos-",
        ],
        forms: &[AnswerForm::AutoTool, AnswerForm::JsonSchema, AnswerForm::Text],
        sources: &[
            "https://github.com/griptape-ai/griptape/issues/2351",
            "https://platform.claude.com/docs/en/models/fable-5-1/migration-guide",
        ],
        has_error_status: true,
        ..OTHER
    },
    ModelFamily {
        name: "other Claude models",
        prefixes: &["anthropic.claude-"],
        forms: &[AnswerForm::Tool, AnswerForm::AutoTool, AnswerForm::JsonSchema, AnswerForm::Text],
        sources: &[TOOL_CHOICE, "https://github.com/langchain-ai/langchain-aws/pull/1141"],
        has_error_status: true,
        ..OTHER
    },
    ModelFamily {
        name: "Mistral Large 3, Ministral 3, Magistral, Voxtral",
        prefixes: &["mistral.mistral-large-3", "mistral.ministral-", "mistral.magistral-", "mistral.voxtral-"],
        forms: &[AnswerForm::JsonSchema, AnswerForm::AnyTool, AnswerForm::AutoTool, AnswerForm::Text],
        sources: &[STRUCTURED],
        ..OTHER
    },
    ModelFamily {
        name: "other Mistral models",
        prefixes: &["mistral."],
        forms: &[AnswerForm::AnyTool, AnswerForm::AutoTool, AnswerForm::Text],
        sources: &[TOOL_CHOICE, MODELS],
        ..OTHER
    },
    ModelFamily {
        name: "Llama",
        prefixes: &["meta.llama"],
        forms: &[AnswerForm::AutoTool, AnswerForm::Text],
        sources: &[TOOL_CHOICE, "https://github.com/strands-agents/harness-sdk/issues/1241"],
        ..OTHER
    },
    ModelFamily {
        name: "Qwen3, DeepSeek V3, Gemma, gpt-oss, Nemotron, MiniMax, Kimi, GLM",
        prefixes: &[
            "qwen.",
            "deepseek.v3",
            "google.gemma-",
            "openai.gpt-oss-",
            "nvidia.nemotron-",
            "minimax.",
            "moonshot",
            "zai.",
        ],
        forms: &[AnswerForm::JsonSchema, AnswerForm::AutoTool, AnswerForm::Text],
        sources: &[STRUCTURED],
        ..OTHER
    },
    ModelFamily {
        name: "Titan, Jamba, Command, Palmyra, DeepSeek R1",
        prefixes: &["amazon.titan-", "ai21.", "cohere.", "writer.", "deepseek.r1"],
        forms: &[AnswerForm::Text],
        sources: &[MODELS],
        ..OTHER
    },
    OTHER,
];

/// The family of a model id, an inference profile, or an ARN of either.
pub fn find_family(model_id: &str) -> &'static ModelFamily {
    let base = base_model_id(model_id);
    let found = FAMILIES.iter().find(|family| family.prefixes.iter().any(|prefix| base.starts_with(prefix)));
    found.expect("the last family matches every id")
}

/// The id of the foundation model: without the ARN and the prefix of a profile.
pub fn base_model_id(model_id: &str) -> &str {
    let id = model_id.rsplit('/').next().unwrap_or(model_id);
    profile_prefix(id).map_or(id, |prefix| &id[prefix.len() + 1..])
}

/// The prefix of an inference profile; `None` for the id of a foundation model.
pub fn profile_prefix(model_id: &str) -> Option<&str> {
    let (prefix, _) = model_id.split_once('.')?;
    PROFILE_PREFIXES.contains(&prefix).then_some(prefix)
}

impl AnswerMode {
    /// The text of the template and of the environment.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tool => "tool",
            Self::AnyTool => "any_tool",
            Self::JsonSchema => "json_schema",
            Self::Text => "text",
        }
    }

    /// The forms that calls of a model use, in this order.
    pub fn forms(self, model_id: &str) -> &'static [AnswerForm] {
        match self {
            Self::Auto => find_family(model_id).forms,
            Self::Tool => &[AnswerForm::Tool],
            Self::AnyTool => &[AnswerForm::AnyTool, AnswerForm::AutoTool],
            Self::JsonSchema => &[AnswerForm::JsonSchema],
            Self::Text => &[AnswerForm::Text],
        }
    }
}

impl FromStr for AnswerMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Auto, Self::Tool, Self::AnyTool, Self::JsonSchema, Self::Text];
        all.into_iter().find(|mode| mode.as_str() == text).ok_or(())
    }
}

/// The subject of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The form, of every request.
    Form,
    /// The schema of this request.
    Schema,
}

impl AnswerForm {
    /// Whether the request has a tool.
    pub fn has_tool(self) -> bool {
        matches!(self, Self::Tool | Self::AnyTool | Self::AutoTool)
    }

    /// The refusal that the message of a ValidationException expresses; `None` if the message
    /// is about another subject than this form.
    pub fn refusal(self, message: &str) -> Option<Refusal> {
        let message = message.to_lowercase();
        let has_any = |words: &[&str]| words.iter().any(|word| message.contains(word));
        let topics: &[&str] = match self {
            Self::Tool | Self::AnyTool | Self::AutoTool => &["toolchoice", "tool_choice", "toolconfig", "tool use"],
            Self::JsonSchema => &["outputconfig", "output_config", "textformat", "structured output"],
            Self::Text => &[],
        };
        let refusals = ["support", "not compatible", "may not be enabled", "not permitted", "not allowed"];
        if has_any(topics) && has_any(&refusals) {
            return Some(Refusal::Form);
        }
        (self == Self::JsonSchema && has_any(&["schema", "grammar", "additionalproperties"])).then_some(Refusal::Schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_is_found_without_profile_and_arn() {
        for (model_id, name) in [
            ("eu.amazon.nova-lite-v1:0", "Amazon Nova"),
            ("arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.amazon.nova-pro-v1:0", "Amazon Nova"),
            ("arn:aws:bedrock:eu-west-1::foundation-model/meta.llama3-1-8b-instruct-v1:0", "Llama"),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "other Claude models"),
            ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", "other Claude models"),
            ("us.anthropic.claude-opus-5", "other Claude models"),
            ("us.anthropic.claude-opus-5-5", "Claude Opus 5.5, Sonnet 5.5, Fable 5, Mythos 5"),
            ("mistral.mistral-large-2402-v1:0", "other Mistral models"),
            ("mistral.mistral-large-3-675b-instruct", "Mistral Large 3, Ministral 3, Magistral, Voxtral"),
            ("amazon.titan-text-lite-v1", "Titan, Jamba, Command, Palmyra, DeepSeek R1"),
            ("arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1b2", "other models"),
            ("test.model-v1:0", "other models"),
        ] {
            assert_eq!(find_family(model_id).name, name, "{model_id}");
        }
    }

    #[test]
    fn profile_prefix_is_a_known_geography() {
        assert_eq!(profile_prefix("us.amazon.nova-2-lite-v1:0"), Some("us"));
        assert_eq!(profile_prefix("us-gov.anthropic.claude-3-haiku-20240307-v1:0"), Some("us-gov"));
        assert_eq!(profile_prefix("amazon.nova-2-lite-v1:0"), None);
        assert_eq!(profile_prefix("deepseek.v3.2"), None);
    }

    #[test]
    fn each_family_ends_with_the_form_that_every_model_accepts() {
        for family in &FAMILIES {
            assert_eq!(family.forms.last(), Some(&AnswerForm::Text), "{}", family.name);
            assert!(!family.sources.is_empty(), "{}", family.name);
        }
    }

    #[test]
    fn mode_reads_its_own_text() {
        for mode in ["auto", "tool", "any_tool", "json_schema", "text"] {
            assert_eq!(mode.parse::<AnswerMode>().map(AnswerMode::as_str), Ok(mode));
        }
        assert!("Tool".parse::<AnswerMode>().is_err());
    }

    #[test]
    fn refusal_is_recognised_by_its_message() {
        use AnswerForm::{AnyTool, AutoTool, JsonSchema, Text, Tool};
        for (form, message, refusal) in [
            (Tool, "This model doesn't support the toolConfig.toolChoice.tool field. Remove it.", Some(Refusal::Form)),
            (AnyTool, "This model doesn't support the toolConfig.toolChoice.any field.", Some(Refusal::Form)),
            (Tool, "tool_choice forces tool use is not compatible with this model.", Some(Refusal::Form)),
            (Tool, "Thinking may not be enabled when tool_choice forces tool use.", Some(Refusal::Form)),
            (AutoTool, "This model doesn't support tool use.", Some(Refusal::Form)),
            (JsonSchema, "This model doesn't support the outputConfig field.", Some(Refusal::Form)),
            (JsonSchema, "output_config.format: Extra inputs are not permitted", Some(Refusal::Form)),
            (JsonSchema, "Schema is too complex.", Some(Refusal::Schema)),
            (Tool, "\"thinking.type.disabled\" is not supported for this model.", None),
            (Tool, "The document is too large", None),
            (Text, "This model doesn't support tool use.", None),
        ] {
            assert_eq!(form.refusal(message), refusal, "{form:?}: {message}");
        }
    }
}
