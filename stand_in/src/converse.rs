//! Converse over HTTP, for the AWS SDK.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::analyst;
use crate::behaviour::FaultKind;
use crate::reading;
use crate::server::{CallRecord, Server};

/// An estimate: four characters a token.
fn count_tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}

pub async fn converse(
    State(server): State<Server>,
    Path(model_id): Path<String>,
    Json(request): Json<Value>,
) -> Response {
    let request = match ConverseRequest::parse(&request) {
        Ok(request) => request,
        Err(problem) => return error(StatusCode::BAD_REQUEST, "ValidationException", problem),
    };
    let reserved = request.input_tokens + request.max_tokens;
    let record = CallRecord {
        job_id: request.job_id.to_owned(),
        attempt: request.attempt.to_owned(),
        model_id,
        max_tokens: request.max_tokens,
        // The SDK sends an f32: six digits undo the noise of its conversion to f64.
        temperature: request.temperature.map(|temperature| (temperature * 1e6).round() / 1e6),
        outcome: None,
        began_ms: 0,
        ended_ms: None,
        counted_tokens: None,
    };
    let (mut call, plan) = server.begin_call(record, reserved);
    if let Some((status, code)) = plan.fault.and_then(error_code) {
        call.set_outcome(code);
        return error(status, code, "an error that PUT /_behaviour asked for");
    }
    tokio::time::sleep(plan.latency).await;
    let answer = analyst::analyse(request.schema, &request.text);
    let (stop_reason, content) = match plan.fault {
        None => ("tool_use", tool_use(request.tool, answer)),
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
        Some(FaultKind::MaxTokens) => ("max_tokens", tool_use(request.tool, json!({}))),
        Some(FaultKind::Long) => ("tool_use", tool_use(request.tool, with_long_summary(answer))),
        Some(FaultKind::WrongForm) => (
            "tool_use",
            json!([tool_use(request.tool, json!({}))[0], tool_use(request.tool, in_wrong_form(answer))[0],]),
        ),
        Some(FaultKind::Unfit) => ("tool_use", tool_use(request.tool, json!({"unfit": true}))),
        Some(_) => ("end_turn", json!([{"text": "An answer without a tool call."}])),
    };
    call.set_outcome(stop_reason);
    let output_tokens = count_tokens(&content.to_string()).min(request.max_tokens);
    call.settle(reserved, request.input_tokens, output_tokens);
    Json(json!({
        "metrics": {"latencyMs": plan.latency.as_millis() as u64},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason,
        "usage": {
            "inputTokens": request.input_tokens,
            "outputTokens": output_tokens,
            "totalTokens": request.input_tokens + output_tokens,
        },
    }))
    .into_response()
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
        FaultKind::Hang
        | FaultKind::Garbage
        | FaultKind::Truncated
        | FaultKind::Guardrail
        | FaultKind::MaxTokens
        | FaultKind::Unfit
        | FaultKind::WrongForm
        | FaultKind::Long
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

fn tool_use(name: &str, input: Value) -> Value {
    json!([{"toolUse": {"toolUseId": "stand-in-1", "name": name, "input": input}}])
}

/// The parameters of a request that the stand-in uses.
struct ConverseRequest<'a> {
    job_id: &'a str,
    attempt: &'a str,
    tool: &'a str,
    schema: &'a Value,
    text: String,
    input_tokens: u64,
    max_tokens: u64,
    temperature: Option<f64>,
}

impl<'a> ConverseRequest<'a> {
    fn parse(request: &'a Value) -> Result<Self, &'static str> {
        let text_at = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
        let tool = request.pointer("/toolConfig/tools/0/toolSpec").ok_or("toolConfig.tools must have a tool")?;
        let text = reading::read_message(request.pointer("/messages/0").ok_or("messages must have a message")?)?;
        let prompt_bytes = text_at("/system/0/text").unwrap_or_default().len() + tool.to_string().len();
        Ok(Self {
            job_id: text_at("/requestMetadata/job_id").unwrap_or("?"),
            attempt: text_at("/requestMetadata/attempt").unwrap_or("?"),
            tool: tool.get("name").and_then(Value::as_str).ok_or("toolSpec must have a name")?,
            schema: tool.pointer("/inputSchema/json").ok_or("toolSpec must have an inputSchema.json")?,
            input_tokens: count_tokens(&text) + prompt_bytes as u64 / 4,
            temperature: request.pointer("/inferenceConfig/temperature").and_then(Value::as_f64),
            max_tokens: request.pointer("/inferenceConfig/maxTokens").and_then(Value::as_u64).unwrap_or(4_096),
            text,
        })
    }
}
