//! Converse over HTTP, as the AWS SDK speaks it.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::analyst;
use crate::behaviour::{Entry, Kind, Server};
use crate::reading;

/// Four characters are about a token.
fn tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}

pub async fn converse(
    State(server): State<Server>,
    Path(model_id): Path<String>,
    Json(request): Json<Value>,
) -> Response {
    let asked = match Asked::read(&request) {
        Ok(asked) => asked,
        Err(problem) => return error(StatusCode::BAD_REQUEST, "ValidationException", problem),
    };
    let reserved = asked.input_tokens + asked.max_tokens;
    let call = Entry {
        job_id: asked.job_id.to_owned(),
        attempt: asked.attempt.to_owned(),
        model_id,
        max_tokens: asked.max_tokens,
        // What came as a 32-bit number is told with as many digits.
        temperature: asked.temperature.map(|temperature| (temperature * 1e6).round() / 1e6),
        outcome: None,
        began_ms: 0,
        ended_ms: None,
        counted_tokens: None,
    };
    let (mut running, orders) = server.begin(call, reserved);
    if let Some(refusal) = orders.fault.and_then(refusal) {
        running.end(refusal.1);
        return error(refusal.0, refusal.1, "as the stand-in was told");
    }
    tokio::time::sleep(orders.latency).await;
    let answer = analyst::answer(asked.schema, &asked.text);
    let (stop_reason, content) = match orders.fault {
        None => ("tool_use", tool_use(asked.tool, answer)),
        Some(Kind::Hang) => {
            running.end("hang");
            std::future::pending::<()>().await;
            unreachable!("a pending future never ends")
        }
        Some(Kind::Garbage) => {
            running.end("garbage");
            return "this is { no JSON".into_response();
        }
        Some(Kind::Truncated) => {
            running.end("truncated");
            return broken_off();
        }
        Some(Kind::Guardrail) => ("guardrail_intervened", json!([{"text": "Sorry."}])),
        Some(Kind::MaxTokens) => ("max_tokens", tool_use(asked.tool, json!({}))),
        Some(Kind::Long) => ("tool_use", tool_use(asked.tool, lengthened(answer))),
        Some(Kind::Unfit) => ("tool_use", tool_use(asked.tool, json!({"unfit": true}))),
        Some(_) => ("end_turn", json!([{"text": "I would rather write."}])),
    };
    running.end(stop_reason);
    let output_tokens = tokens(&content.to_string()).min(asked.max_tokens);
    running.count(reserved, asked.input_tokens, output_tokens);
    Json(json!({
        "metrics": {"latencyMs": orders.latency.as_millis() as u64},
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason,
        "usage": {
            "inputTokens": asked.input_tokens,
            "outputTokens": output_tokens,
            "totalTokens": asked.input_tokens + output_tokens,
        },
    }))
    .into_response()
}

fn refusal(fault: Kind) -> Option<(StatusCode, &'static str)> {
    Some(match fault {
        Kind::Throttling => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
        Kind::NotReady => (StatusCode::TOO_MANY_REQUESTS, "ModelNotReadyException"),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
        Kind::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException"),
        Kind::ModelTimeout => (StatusCode::REQUEST_TIMEOUT, "ModelTimeoutException"),
        Kind::ModelError => (StatusCode::FAILED_DEPENDENCY, "ModelErrorException"),
        Kind::Validation => (StatusCode::BAD_REQUEST, "ValidationException"),
        Kind::AccessDenied => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        Kind::Hang
        | Kind::Garbage
        | Kind::Truncated
        | Kind::Guardrail
        | Kind::MaxTokens
        | Kind::Unfit
        | Kind::Long
        | Kind::NoTool => return None,
    })
}

pub fn error(status: StatusCode, code: &'static str, message: &str) -> Response {
    (status, [("x-amzn-errortype", code)], Json(json!({"message": message}))).into_response()
}

/// More bytes are promised than come.
pub fn broken_off() -> Response {
    let promised = [("content-type", "application/json"), ("content-length", "4096")];
    let half = Body::from_stream(futures_util::stream::iter([
        Ok(axum::body::Bytes::from_static(b"{\"output\": {\"message\"")),
        Err(std::io::Error::other("as the stand-in was told")),
    ]));
    (promised, half).into_response()
}

/// The answer with a summary of 400,000 bytes.
fn lengthened(mut answer: Value) -> Value {
    let sentence = answer["summary"].as_str().filter(|text| !text.is_empty()).unwrap_or("Long.").to_owned() + " ";
    let long: String = sentence.chars().cycle().take(400_000).collect();
    answer["summary"] = json!(long);
    answer
}

fn tool_use(name: &str, input: Value) -> Value {
    json!([{"toolUse": {"toolUseId": "stand-in-1", "name": name, "input": input}}])
}

/// What a request asks, as far as the stand-in reads it.
struct Asked<'a> {
    job_id: &'a str,
    attempt: &'a str,
    tool: &'a str,
    schema: &'a Value,
    text: String,
    input_tokens: u64,
    max_tokens: u64,
    temperature: Option<f64>,
}

impl<'a> Asked<'a> {
    fn read(request: &'a Value) -> Result<Self, &'static str> {
        let text_at = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
        let tool = request.pointer("/toolConfig/tools/0/toolSpec").ok_or("no tool to answer with")?;
        let text = reading::read(request.pointer("/messages/0").ok_or("no message")?)?;
        let around = text_at("/system/0/text").unwrap_or_default().len() + tool.to_string().len();
        Ok(Self {
            job_id: text_at("/requestMetadata/job_id").unwrap_or("?"),
            attempt: text_at("/requestMetadata/attempt").unwrap_or("?"),
            tool: tool.get("name").and_then(Value::as_str).ok_or("the tool has no name")?,
            schema: tool.pointer("/inputSchema/json").ok_or("the tool has no schema")?,
            input_tokens: tokens(&text) + around as u64 / 4,
            temperature: request.pointer("/inferenceConfig/temperature").and_then(Value::as_f64),
            max_tokens: request.pointer("/inferenceConfig/maxTokens").and_then(Value::as_u64).unwrap_or(4_096),
            text,
        })
    }
}
