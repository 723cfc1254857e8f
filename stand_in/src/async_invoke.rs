//! StartAsyncInvoke, GetAsyncInvoke and ListAsyncInvokes over HTTP, as the AWS
//! SDKs speak them.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_StartAsyncInvoke.html>

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::behaviour::Server;
use crate::converse::{broken_off, error};
use crate::invocations::{Asked, AsyncKind, Invocation, Invocations, Started};

/// Most invocations that one ListAsyncInvokes tells.
const PAGE_MAX: usize = 1_000;

pub async fn start(State(server): State<Server>, body: Bytes) -> Response {
    let invocations = server.invocations();
    let asked = match read(&body) {
        Ok(asked) => asked,
        Err(problem) => return error(StatusCode::BAD_REQUEST, "ValidationException", &problem),
    };
    let fault = invocations.begin_start(&asked).map(|fault| fault.kind);
    if let Some(refusal) = fault.and_then(refusal) {
        return refusal;
    }
    let arn = match invocations.start(asked) {
        Started::New(invocation) => {
            let arn = invocation.arn.clone();
            tokio::spawn(run(invocations.clone(), *invocation, server.async_latency()));
            arn
        }
        Started::Found(arn) => arn,
        Started::Conflict => {
            let message = "the client request token has begun an invocation with another request";
            return error(StatusCode::BAD_REQUEST, "ConflictException", message);
        }
    };
    answer(fault, json!({"invocationArn": arn})).await
}

pub async fn get(State(server): State<Server>, Path(arn): Path<String>) -> Response {
    let (found, fault) = server.invocations().get(&arn);
    let fault = fault.map(|fault| fault.kind);
    if let Some(refusal) = fault.and_then(refusal) {
        return refusal;
    }
    match found {
        Some(invocation) => answer(fault, invocation.shown()).await,
        // GetAsyncInvoke has no ResourceNotFoundException among its errors.
        None => error(StatusCode::BAD_REQUEST, "ValidationException", "there is no such invocation"),
    }
}

pub async fn list(State(server): State<Server>, Query(asked): Query<HashMap<String, String>>) -> Response {
    match page(server.invocations().list(), &asked) {
        Ok(page) => Json(page).into_response(),
        Err(name) => error(StatusCode::BAD_REQUEST, "ValidationException", &format!("{name} is not valid")),
    }
}

/// Lives an invocation: the manifest, the wait, the output, the end.
async fn run(invocations: Invocations, invocation: Invocation, latency: Duration) {
    let told = invocations.told_failure(&invocation.output);
    let manifest = json!({"invocationArn": invocation.arn, "modelId": invocation.model_id});
    let begun = put(&invocations, &invocation, "manifest.json", manifest).await;
    tokio::time::sleep(latency).await;
    let ended = match (begun, told) {
        (Err(problem), _) => Err(problem),
        (Ok(()), Some(words)) => Err(words),
        (Ok(()), None) => {
            let output = json!({"stand_in": "no model made this", "modelId": invocation.model_id});
            put(&invocations, &invocation, "output.json", output).await
        }
    };
    invocations.end(&invocation.arn, ended.err());
}

/// Puts an object into the invocation's folder, when there is an S3 to put it to.
async fn put(invocations: &Invocations, invocation: &Invocation, name: &str, content: Value) -> Result<(), String> {
    let Some(endpoint) = invocations.s3_endpoint() else {
        return Ok(());
    };
    let folder = invocation.folder();
    let (bucket, folder) = folder.trim_start_matches("s3://").split_once('/').unwrap_or_default();
    let sent = s3(endpoint)
        .put_object()
        .bucket(bucket)
        .key(format!("{folder}/{name}"))
        .content_type("application/json")
        .body(content.to_string().into_bytes().into())
        .send()
        .await;
    match sent {
        Ok(_) => Ok(()),
        Err(problem) => Err(format!("the output could not be put into the bucket: {}", problem.into_service_error())),
    }
}

/// The local AWS's bucket, as the account that it knows.
fn s3(endpoint: &str) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .credentials_provider(aws_sdk_s3::config::Credentials::new("test", "test", None, None, "stand-in"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// The answer, unless it is told to get lost.
async fn answer(fault: Option<AsyncKind>, body: Value) -> Response {
    match fault {
        Some(AsyncKind::AnswerLost) => broken_off(),
        Some(AsyncKind::Hang) => std::future::pending().await,
        _ => Json(body).into_response(),
    }
}

fn refusal(kind: AsyncKind) -> Option<Response> {
    let (status, code) = match kind {
        AsyncKind::Throttling => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
        AsyncKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
        AsyncKind::QuotaExceeded => (StatusCode::BAD_REQUEST, "ServiceQuotaExceededException"),
        AsyncKind::Conflict => (StatusCode::BAD_REQUEST, "ConflictException"),
        AsyncKind::Validation => (StatusCode::BAD_REQUEST, "ValidationException"),
        AsyncKind::AccessDenied => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        AsyncKind::NotFound => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
        AsyncKind::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException"),
        AsyncKind::AnswerLost | AsyncKind::Hang | AsyncKind::Failed => return None,
    };
    Some(error(status, code, "as the stand-in was told"))
}

/// Reads a start, and refuses what the service's model does.
fn read(body: &Bytes) -> Result<Asked, String> {
    let request: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON".to_owned())?;
    let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
    let is_of_id = |c: char| c.is_ascii_alphanumeric() || "_.-/:".contains(c);
    let model_id = text("/modelId").filter(|id| fits(id, 1, 256, is_of_id) && is_whole(id)).ok_or("modelId")?;
    // An SDK makes one of its own where the caller names none.
    let token = text("/clientRequestToken").filter(|token| fits(token, 1, 256, |c| c.is_ascii_graphic()));
    let token = token.ok_or("clientRequestToken")?;
    request.get("modelInput").ok_or("modelInput")?;
    let output = text("/outputDataConfig/s3OutputDataConfig/s3Uri").filter(|uri| is_s3_uri(uri));
    let output = output.ok_or("outputDataConfig.s3OutputDataConfig.s3Uri")?;
    let none = Vec::new();
    let tags = request.get("tags").map_or(Some(&none), Value::as_array).filter(|tags| tags.len() <= 200);
    let is_of_tag = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "._:/=+@-".contains(c);
    let is_tag = |tag: &Value| {
        let part = |name| tag.get(name).and_then(Value::as_str);
        part("key").is_some_and(|key| fits(key, 1, 128, is_of_tag))
            && part("value").is_some_and(|value| fits(value, 0, 256, is_of_tag))
    };
    tags.filter(|tags| tags.iter().all(is_tag)).ok_or("tags")?;
    Ok(Asked { token: token.into(), model_id: model_id.into(), output: output.into(), body: body.to_vec() })
}

fn fits(text: &str, least: usize, most: usize, allowed: impl Fn(char) -> bool) -> bool {
    (least..=most).contains(&text.len()) && text.chars().all(allowed)
}

/// An id, or an ARN with all of its parts.
fn is_whole(model_id: &str) -> bool {
    !model_id.starts_with("arn:") || model_id.splitn(6, ':').nth(5).is_some_and(|resource| resource.contains('/'))
}

fn is_s3_uri(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("s3://").filter(|_| uri.len() <= 1_024) else {
        return false;
    };
    let bucket = rest.split('/').next().unwrap_or_default();
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    fits(bucket, 3, 63, |c| outer(c) || c == '.' || c == '-') && bucket.starts_with(outer) && bucket.ends_with(outer)
}

/// One page of a list; otherwise the name of what was wrong. The next page's
/// token is how many went before it.
fn page(all: Vec<Invocation>, asked: &HashMap<String, String>) -> Result<Value, &'static str> {
    let text = |name: &str| asked.get(name).map(String::as_str);
    let time = |name: &'static str| text(name).map(|text| text.parse::<Timestamp>().map_err(|_| name)).transpose();
    let (after, before) = (time("submitTimeAfter")?, time("submitTimeBefore")?);
    let status = text("statusEquals");
    if status.is_some_and(|status| !["InProgress", "Completed", "Failed"].contains(&status)) {
        return Err("statusEquals");
    }
    if text("sortBy").is_some_and(|by| by != "SubmissionTime") {
        return Err("sortBy");
    }
    let number = |name: &'static str| text(name).map(|text| text.parse::<usize>().map_err(|_| name)).transpose();
    let most = number("maxResults")?.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&most) {
        return Err("maxResults");
    }
    let mut wanted: Vec<Value> = all
        .iter()
        .filter(|invocation| status.is_none_or(|status| invocation.status() == status))
        .filter(|invocation| after.is_none_or(|after| invocation.submitted > after))
        .filter(|invocation| before.is_none_or(|before| invocation.submitted < before))
        .map(Invocation::shown)
        .collect();
    match text("sortOrder") {
        None | Some("Ascending") => {}
        Some("Descending") => wanted.reverse(),
        Some(_) => return Err("sortOrder"),
    }
    let begin = number("nextToken")?.unwrap_or(0).min(wanted.len());
    let end = begin.saturating_add(most).min(wanted.len());
    let mut page = json!({"asyncInvokeSummaries": wanted[begin..end]});
    if end < wanted.len() {
        page["nextToken"] = json!(end.to_string());
    }
    Ok(page)
}
