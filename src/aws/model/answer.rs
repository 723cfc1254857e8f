//! Reads the answer in a response: the input of the tool, or the JSON in the text.

use aws_sdk_bedrockruntime::operation::converse::ConverseOutput;
use aws_sdk_bedrockruntime::types::{ContentBlock, Message, StopReason};
use aws_smithy_types::Document;
use serde_json::Value;

use super::request::Complaint;
use crate::aws::json::from_document;
use crate::domain::analysis::answer_form::AnswerForm;
use crate::domain::analysis::{Analysis, TOOL_NAME, inexact};
use crate::domain::exact_json::JsonPath;
use crate::domain::failure::{Failure, codes};
use crate::domain::job::ending::AttemptError;

const BLOCKED: &str = "a guardrail or the model's content filter blocked the document or the answer; \
                       review the document and the guardrail";
const OVER_CONTEXT_WINDOW: &str = "the document does not fit the model's context window; \
                                   lower the parameter ChunkMaxBytes, or use a model with a larger window";

/// An answer that cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// How the attempt ends, unless the model is asked again.
    pub error: AttemptError,
    /// The complaint with which the model may be asked again; `None` if another answer would end alike.
    pub complaint: Option<Box<Complaint>>,
}

/// Reads the answer, and whether it was repaired. `rounded` are the places in the response
/// whose numbers the SDK has rounded.
///
/// A truncated or blocked answer is permanent, because a repeated call would end alike.
/// An answer that does not fit the schema is transient.
pub(super) fn read_answer(
    output: &ConverseOutput,
    rounded: &[JsonPath],
    analysis: &Analysis,
    form: AnswerForm,
    max_tokens: i32,
) -> Result<(Value, bool), Rejected> {
    let permanent = |code, message: String| {
        Err(Rejected { error: AttemptError::Permanent(Failure::new(code, message)), complaint: None })
    };
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
    let blocks = message.map_or(&[][..], Message::content);
    match read_blocks(blocks, output.stop_reason(), rounded, analysis, form) {
        Ok(answer) => Ok(answer),
        Err(_) if *output.stop_reason() == StopReason::MaxTokens => permanent(
            codes::ANSWER_TRUNCATED,
            format!(
                "the answer was cut at {max_tokens} tokens; raise `analysis.max_tokens` or the parameter MaxTokens"
            ),
        ),
        Err(failure) if failure.code == codes::ANSWER_TOO_LARGE => {
            Err(Rejected { error: AttemptError::Permanent(failure), complaint: None })
        }
        Err(failure) => {
            let complaint = Complaint { reply: message.and_then(to_reply), problem: failure.message.clone() };
            Err(Rejected { error: AttemptError::Transient(failure), complaint: Some(Box::new(complaint)) })
        }
    }
}

fn read_blocks(
    blocks: &[ContentBlock],
    stop_reason: &StopReason,
    rounded: &[JsonPath],
    analysis: &Analysis,
    form: AnswerForm,
) -> Result<(Value, bool), Failure> {
    let unfit = |problem: &str| Failure::new(codes::ANSWER_UNFIT, problem);
    if matches!(stop_reason, StopReason::MalformedToolUse | StopReason::MalformedModelOutput) {
        return Err(unfit(&format!("the model's answer is malformed (stop reason {})", stop_reason.as_str())));
    }
    let mut checked = Err(unfit("the model answered without a call of the tool"));
    // The first call that fits is the answer. If none fits, the failure is that of the last.
    for (index, block) in blocks.iter().enumerate() {
        let Some(tool) = block.as_tool_use().ok().filter(|tool| tool.name() == TOOL_NAME) else { continue };
        let index = index.to_string();
        let place = ["output", "message", "content", &index, "toolUse", "input"];
        let input = rounded.iter().find_map(|path| path.steps().strip_prefix(&place.map(str::to_owned)[..]));
        checked = match input {
            Some(path) => Err(inexact(path)),
            None => analysis.accept(from_document(tool.input())),
        };
        if checked.is_ok() {
            return checked;
        }
    }
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block.as_text().ok().map(String::as_str)).collect();
    let has_tool_use = blocks.iter().any(ContentBlock::is_tool_use);
    // A model that chooses by itself may write the answer in place of the tool call.
    if has_tool_use || form == AnswerForm::Tool || (form.has_tool() && !texts.iter().any(|text| text.contains('{'))) {
        return checked;
    }
    analysis.accept_text(&texts.join("\n"))
}

/// The model's message, as Bedrock accepts it back: without blank texts, and with an answer.
/// The input of a tool must be an object.
fn to_reply(message: &Message) -> Option<Message> {
    let is_kept = |block: &&ContentBlock| !block.as_text().is_ok_and(|text| text.trim().is_empty());
    let kept: Vec<ContentBlock> = message.content().iter().filter(is_kept).cloned().collect();
    let has_answer = kept.iter().any(|block| block.is_text() || block.is_tool_use());
    let are_objects =
        kept.iter().all(|block| block.as_tool_use().map_or(true, |tool| matches!(tool.input(), Document::Object(_))));
    let reply = Message::builder().role(message.role().clone()).set_content(Some(kept)).build().ok();
    reply.filter(|_| has_answer && are_objects)
}
