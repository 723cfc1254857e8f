//! Converse over HTTP, for the AWS SDK.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>

use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::analyst;
use crate::behaviour::FaultKind;
use crate::conversation::{ConverseRequest, Form, count_tokens};
use crate::evidence;
use crate::families::{find_refusal, writes_tool_call_as_text};
use crate::language_model::{self, LanguageModel};
use crate::server::{CallRecord, InFlightCall, Server};

pub async fn converse(
    State(server): State<Server>,
    Path(model_id): Path<String>,
    Json(request): Json<Value>,
) -> Response {
    let body = request;
    let request = match ConverseRequest::parse(&body) {
        Ok(request) => request,
        Err(problem) => return error(StatusCode::BAD_REQUEST, "ValidationException", problem),
    };
    let reserved = request.input_tokens + request.max_tokens;
    let record = CallRecord {
        job_id: request.job_id.to_owned(),
        attempt: request.attempt.to_owned(),
        call: request.call.to_owned(),
        generation: request.generation.to_owned(),
        form: request.form.name(),
        request_fields: body.get("additionalModelRequestFields").cloned().unwrap_or_default(),
        complaint: request.complaint.clone(),
        max_tokens: request.max_tokens,
        // The SDK sends an f32: six digits undo the noise of its conversion to f64.
        temperature: request.temperature.map(|temperature| (temperature * 1e6).round() / 1e6),
        outcome: None,
        began_ms: 0,
        ended_ms: None,
        counted_tokens: None,
        model_id: model_id.clone(),
    };
    if let Some(message) = find_refusal(&model_id, &body) {
        server.refuse_call(record);
        return error(StatusCode::BAD_REQUEST, "ValidationException", &message);
    }
    let (mut call, plan) = server.begin_call(record, reserved);
    if let Some((status, code)) = plan.fault.and_then(error_code) {
        call.set_outcome(code);
        let message = match plan.fault {
            Some(FaultKind::BrokenToolUse) => BROKEN_TOOL_USE,
            _ => "an error that PUT /_behaviour asked for",
        };
        return error(status, code, message);
    }
    tokio::time::sleep(plan.latency).await;
    if plan.fault.is_none()
        && let Some(model) = server.language_model()
    {
        return written_response(model, &request, &body, call).await;
    }
    let mut answer = analyst::analyse(&request.schema, &request.text);
    if evidence::is_asked(&request.schema) {
        evidence::add_quotes(&mut answer, &request.schema, &request.text, plan.fault);
    }
    let speaker = Speaker { form: request.form, as_text: writes_tool_call_as_text(&model_id, &body) };
    let (stop_reason, content) = match plan.fault {
        None => (speaker.stop_reason(), speaker.say(answer)),
        Some(FaultKind::Hang) => {
            call.set_outcome("hang");
            std::future::pending::<()>().await;
            unreachable!("a pending future never ends")
        }
        Some(FaultKind::Garbage) => {
            call.set_outcome("garbage");
            return "this is { no JSON".into_response();
        }
        Some(FaultKind::Truncated) => {
            call.set_outcome("truncated");
            return truncated_response();
        }
        Some(FaultKind::Guardrail) => ("guardrail_intervened", json!([{"text": "Sorry."}])),
        Some(FaultKind::MaxTokens) => ("max_tokens", speaker.say(json!({}))),
        Some(FaultKind::Runaway) => ("max_tokens", speaker.say_cut(&answer, request.max_tokens)),
        Some(FaultKind::Long) => (speaker.stop_reason(), speaker.say(with_long_summary(answer))),
        Some(FaultKind::LongRandom) => (speaker.stop_reason(), speaker.say(with_random_summary(answer))),
        Some(FaultKind::WrongForm) => (speaker.stop_reason(), speaker.say_twice(json!({}), in_wrong_form(answer))),
        Some(FaultKind::Unfit) => (speaker.stop_reason(), speaker.say(json!({"unfit": true}))),
        Some(FaultKind::InexactNumber) => (speaker.stop_reason(), speaker.say(with_number_mark(answer))),
        Some(FaultKind::MadeUpQuotes | FaultKind::ChangedQuotes | FaultKind::MadeUpValues | FaultKind::NoQuotes) => {
            (speaker.stop_reason(), speaker.say(answer))
        }
        Some(FaultKind::MalformedToolUse) => ("malformed_tool_use", json!([])),
        Some(FaultKind::MalformedModelOutput) => ("malformed_model_output", json!([{"text": "{\"summary\": \"The"}])),
        Some(_) => ("end_turn", json!([{"text": "An answer without a tool call."}])),
    };
    call.set_outcome(stop_reason);
    let output_tokens = count_tokens(&content.to_string()).min(request.max_tokens);
    call.settle(reserved, request.input_tokens, output_tokens);
    let response = response_body(stop_reason, content, plan.latency, [request.input_tokens, output_tokens]);
    // No number in memory has that many digits.
    let body = response.to_string().replace(&format!("\"{NUMBER_MARK}\""), INEXACT_NUMBER);
    let body = body.replace(&format!("\\\"{NUMBER_MARK}\\\""), INEXACT_NUMBER);
    ([("content-type", "application/json")], body).into_response()
}

/// The answer of a language model on this machine.
async fn written_response(
    model: &LanguageModel,
    request: &ConverseRequest<'_>,
    body: &Value,
    mut call: InFlightCall,
) -> Response {
    let started = Instant::now();
    let written = match model.write(request, body).await {
        Ok(written) => written,
        Err(problem) => {
            call.set_outcome("ModelErrorException");
            let message = format!("the language model did not answer: {problem}");
            return error(StatusCode::FAILED_DEPENDENCY, "ModelErrorException", &message);
        }
    };
    let (stop_reason, content) = language_model::say(request.form, &written);
    call.set_outcome(stop_reason);
    let tokens = [written.input_tokens, written.output_tokens];
    call.settle(request.input_tokens + request.max_tokens, tokens[0], tokens[1]);
    Json(response_body(stop_reason, content, started.elapsed(), tokens)).into_response()
}

/// The body of a response, with the tokens of input and output.
fn response_body(stop_reason: &str, content: Value, latency: Duration, [input, output]: [u64; 2]) -> Value {
    json!({
        "metrics": {"latencyMs": latency.as_millis() as u64},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason,
        "usage": {"inputTokens": input, "outputTokens": output, "totalTokens": input + output},
    })
}

/// The place of a number that is written into the response's text.
const NUMBER_MARK: &str = "stand-in-number";
const INEXACT_NUMBER: &str = "0.1234567890123456789012345";

/// Nova's message for a tool call that is broken, or longer than the maximum of tokens.
const BROKEN_TOOL_USE: &str =
    "Model produced invalid sequence as part of ToolUse. Please refer to the model tool use troubleshooting guide.";

fn with_number_mark(mut answer: Value) -> Value {
    if let Some(confidence) = answer.pointer_mut("/classification/confidence") {
        *confidence = json!(NUMBER_MARK);
    }
    answer
}

/// Writes answers in the form that the request asks for.
struct Speaker<'a> {
    form: Form<'a>,
    as_text: bool,
}

impl Speaker<'_> {
    fn stop_reason(&self) -> &'static str {
        if self.tool().is_some() { "tool_use" } else { "end_turn" }
    }

    fn say(&self, answer: Value) -> Value {
        match (self.tool(), self.form) {
            (Some(tool), _) => tool_use(tool, answer),
            (None, Form::JsonSchema) => json!([{"text": answer.to_string()}]),
            (None, _) => json!([{"text": format!("Here is the analysis:\n\n```json\n{answer}\n```\n")}]),
        }
    }

    /// Two tool calls, or the second answer alone in a text.
    fn say_twice(&self, first: Value, second: Value) -> Value {
        match self.tool() {
            Some(tool) => json!([tool_use(tool, first)[0], tool_use(tool, second)[0]]),
            None => self.say(second),
        }
    }

    /// A list that repeats until the text has about `max_tokens` tokens, and ends within a value.
    fn say_cut(&self, answer: &Value, max_tokens: u64) -> Value {
        if let Some(tool) = self.tool() {
            return tool_use(tool, json!({}));
        }
        let item = answer["key_points"][0].as_str().unwrap_or("The document is a legal document.");
        let head = answer.to_string();
        let head = head.split("\"key_points\":[").next().unwrap_or_default();
        let items = format!("{},", json!(item));
        let room = usize::try_from(max_tokens).unwrap_or(usize::MAX).saturating_mul(4);
        let text: String = format!("{head}\"key_points\":[").chars().chain(items.chars().cycle()).take(room).collect();
        json!([{"text": text}])
    }

    fn tool(&self) -> Option<&str> {
        match self.form {
            Form::Tool { name, .. } if !self.as_text => Some(name),
            _ => None,
        }
    }
}

/// The default analysis with its label in capitals, its confidence as a string, and its
/// list as a string, as some models send them.
fn in_wrong_form(mut answer: Value) -> Value {
    if let Some(label) = answer.pointer_mut("/classification/label") {
        *label = json!(label.as_str().unwrap_or_default().to_uppercase());
    }
    for pointer in ["/classification/confidence", "/key_points"] {
        if let Some(value) = answer.pointer_mut(pointer) {
            *value = json!(value.to_string());
        }
    }
    answer
}

/// The status and the error code, for faults that are errors of the API.
fn error_code(fault: FaultKind) -> Option<(StatusCode, &'static str)> {
    Some(match fault {
        FaultKind::Throttling => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
        FaultKind::NotReady => (StatusCode::TOO_MANY_REQUESTS, "ModelNotReadyException"),
        FaultKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
        FaultKind::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException"),
        FaultKind::ModelTimeout => (StatusCode::REQUEST_TIMEOUT, "ModelTimeoutException"),
        FaultKind::ModelError => (StatusCode::FAILED_DEPENDENCY, "ModelErrorException"),
        FaultKind::Validation => (StatusCode::BAD_REQUEST, "ValidationException"),
        FaultKind::AccessDenied => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        FaultKind::BrokenToolUse => (StatusCode::FAILED_DEPENDENCY, "ModelErrorException"),
        FaultKind::Hang
        | FaultKind::Garbage
        | FaultKind::Truncated
        | FaultKind::Guardrail
        | FaultKind::MaxTokens
        | FaultKind::Runaway
        | FaultKind::Unfit
        | FaultKind::WrongForm
        | FaultKind::Long
        | FaultKind::LongRandom
        | FaultKind::InexactNumber
        | FaultKind::MalformedToolUse
        | FaultKind::MalformedModelOutput
        | FaultKind::MadeUpQuotes
        | FaultKind::ChangedQuotes
        | FaultKind::MadeUpValues
        | FaultKind::NoQuotes
        | FaultKind::NoTool => return None,
    })
}

pub fn error(status: StatusCode, code: &'static str, message: &str) -> Response {
    (status, [("x-amzn-errortype", code)], Json(json!({"message": message}))).into_response()
}

/// A response whose body is shorter than its Content-Length.
pub fn truncated_response() -> Response {
    let headers = [("content-type", "application/json"), ("content-length", "4096")];
    let half = Body::from_stream(futures_util::stream::iter([
        Ok(axum::body::Bytes::from_static(b"{\"output\": {\"message\"")),
        Err(std::io::Error::other("the stand-in truncates this response")),
    ]));
    (headers, half).into_response()
}

/// The answer with a summary of 400,000 bytes.
fn with_long_summary(mut answer: Value) -> Value {
    let sentence = answer["summary"].as_str().filter(|text| !text.is_empty()).unwrap_or("Long.").to_owned() + " ";
    let long: String = sentence.chars().cycle().take(400_000).collect();
    answer["summary"] = json!(long);
    answer
}

/// The answer with a summary of 400,000 random letters and digits.
fn with_random_summary(mut answer: Value) -> Value {
    answer["summary"] = json!((0..400_000).map(|_| fastrand::alphanumeric()).collect::<String>());
    answer
}

fn tool_use(name: &str, input: Value) -> Value {
    json!([{"toolUse": {"toolUseId": "stand-in-1", "name": name, "input": input}}])
}
