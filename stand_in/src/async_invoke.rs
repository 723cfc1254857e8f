//! StartAsyncInvoke, GetAsyncInvoke and ListAsyncInvokes over HTTP, for the AWS
//! SDKs.
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

use crate::converse::{error, truncated_response};
use crate::invocations::{AsyncKind, Invocation, Invocations, StartRequest, Started};
use crate::server::Server;

/// Maximum of ListAsyncInvokes' `maxResults`.
const PAGE_MAX: usize = 1_000;

pub async fn start(State(server): State<Server>, body: Bytes) -> Response {
    let invocations = server.invocations();
    let request = match parse_start(&body) {
        Ok(request) => request,
        Err(problem) => return error(StatusCode::BAD_REQUEST, "ValidationException", &problem),
    };
    let fault = invocations.begin_start(&request).map(|fault| fault.kind);
    if let Some(error) = fault.and_then(error_response) {
        return error;
    }
    let arn = match invocations.start(request) {
        Started::New(invocation) => {
            let arn = invocation.arn.clone();
            tokio::spawn(run(invocations.clone(), *invocation, server.async_latency()));
            arn
        }
        Started::Found(arn) => arn,
        Started::Conflict => {
            let message = "clientRequestToken belongs to an invocation with other parameters";
            return error(StatusCode::BAD_REQUEST, "ConflictException", message);
        }
    };
    respond(fault, json!({"invocationArn": arn})).await
}

pub async fn get(State(server): State<Server>, Path(arn): Path<String>) -> Response {
    let (found, fault) = server.invocations().get(&arn);
    let fault = fault.map(|fault| fault.kind);
    if let Some(error) = fault.and_then(error_response) {
        return error;
    }
    match found {
        Some(invocation) => respond(fault, invocation.to_json()).await,
        // GetAsyncInvoke has no ResourceNotFoundException among its errors.
        None => error(StatusCode::BAD_REQUEST, "ValidationException", "no invocation has this invocationArn"),
    }
}

pub async fn list(State(server): State<Server>, Query(query): Query<HashMap<String, String>>) -> Response {
    match list_page(server.invocations().list(), &query) {
        Ok(page) => Json(page).into_response(),
        Err(name) => error(StatusCode::BAD_REQUEST, "ValidationException", &format!("{name} is not valid")),
    }
}

/// Runs an invocation: stores the manifest, waits, stores the output, and ends it.
async fn run(invocations: Invocations, invocation: Invocation, latency: Duration) {
    let failure = invocations.take_failure(&invocation.output);
    let manifest = json!({"invocationArn": invocation.arn, "modelId": invocation.model_id});
    let begun = put_object(&invocations, &invocation, "manifest.json", manifest).await;
    tokio::time::sleep(latency).await;
    let ended = match (begun, failure) {
        (Err(problem), _) => Err(problem),
        (Ok(()), Some(message)) => Err(message),
        (Ok(()), None) => {
            let output = json!({"stand_in": "no model made this", "modelId": invocation.model_id});
            put_object(&invocations, &invocation, "output.json", output).await
        }
    };
    invocations.end(&invocation.arn, ended.err());
}

/// Puts an object into the invocation's folder. Without an S3 endpoint it does nothing.
async fn put_object(
    invocations: &Invocations,
    invocation: &Invocation,
    name: &str,
    content: Value,
) -> Result<(), String> {
    let Some(endpoint) = invocations.s3_endpoint() else {
        return Ok(());
    };
    let folder = invocation.folder();
    let (bucket, folder) = folder.trim_start_matches("s3://").split_once('/').unwrap_or_default();
    let sent = s3_client(endpoint)
        .put_object()
        .bucket(bucket)
        .key(format!("{folder}/{name}"))
        .content_type("application/json")
        .body(content.to_string().into_bytes().into())
        .send()
        .await;
    match sent {
        Ok(_) => Ok(()),
        Err(problem) => Err(format!("the output could not be stored in S3: {}", problem.into_service_error())),
    }
}

/// A client of the local AWS's S3, with ministack's test credentials.
fn s3_client(endpoint: &str) -> aws_sdk_s3::Client {
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

/// Sends the response, unless the fault breaks it off or withholds it.
async fn respond(fault: Option<AsyncKind>, body: Value) -> Response {
    match fault {
        Some(AsyncKind::AnswerLost) => truncated_response(),
        Some(AsyncKind::Hang) => std::future::pending().await,
        _ => Json(body).into_response(),
    }
}

fn error_response(kind: AsyncKind) -> Option<Response> {
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
    Some(error(status, code, "an error that PUT /_behaviour asked for"))
}

/// Parses a StartAsyncInvoke. The error names the first invalid field; the
/// constraints are those of the API reference.
fn parse_start(body: &Bytes) -> Result<StartRequest, String> {
    let request: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON".to_owned())?;
    let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
    let is_id_char = |c: char| c.is_ascii_alphanumeric() || "_.-/:".contains(c);
    let model_id =
        text("/modelId").filter(|id| fits(id, 1, 256, is_id_char) && is_id_or_full_arn(id)).ok_or("modelId")?;
    // The SDK generates a token when the caller sets none.
    let token = text("/clientRequestToken").filter(|token| fits(token, 1, 256, |c| c.is_ascii_graphic()));
    let token = token.ok_or("clientRequestToken")?;
    request.get("modelInput").ok_or("modelInput")?;
    let output = text("/outputDataConfig/s3OutputDataConfig/s3Uri").filter(|uri| is_s3_uri(uri));
    let output = output.ok_or("outputDataConfig.s3OutputDataConfig.s3Uri")?;
    let none = Vec::new();
    let tags = request.get("tags").map_or(Some(&none), Value::as_array).filter(|tags| tags.len() <= 200);
    let is_tag_char = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "._:/=+@-".contains(c);
    let is_tag = |tag: &Value| {
        let field = |name| tag.get(name).and_then(Value::as_str);
        field("key").is_some_and(|key| fits(key, 1, 128, is_tag_char))
            && field("value").is_some_and(|value| fits(value, 0, 256, is_tag_char))
    };
    tags.filter(|tags| tags.iter().all(is_tag)).ok_or("tags")?;
    Ok(StartRequest { token: token.into(), model_id: model_id.into(), output: output.into(), body: body.to_vec() })
}

fn fits(text: &str, min: usize, max: usize, allowed: impl Fn(char) -> bool) -> bool {
    (min..=max).contains(&text.len()) && text.chars().all(allowed)
}

/// Whether it is a model id, or an ARN with all six of its fields.
fn is_id_or_full_arn(model_id: &str) -> bool {
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

/// One page of a list, or the name of the invalid parameter. `nextToken` is the
/// number of invocations on the pages before.
fn list_page(all: Vec<Invocation>, query: &HashMap<String, String>) -> Result<Value, &'static str> {
    let text = |name: &str| query.get(name).map(String::as_str);
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
    let limit = number("maxResults")?.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err("maxResults");
    }
    let mut matching: Vec<Value> = all
        .iter()
        .filter(|invocation| status.is_none_or(|status| invocation.status() == status))
        .filter(|invocation| after.is_none_or(|after| invocation.submitted > after))
        .filter(|invocation| before.is_none_or(|before| invocation.submitted < before))
        .map(Invocation::to_json)
        .collect();
    match text("sortOrder") {
        None | Some("Ascending") => {}
        Some("Descending") => matching.reverse(),
        Some(_) => return Err("sortOrder"),
    }
    let begin = number("nextToken")?.unwrap_or(0).min(matching.len());
    let end = begin.saturating_add(limit).min(matching.len());
    let mut page = json!({"asyncInvokeSummaries": matching[begin..end]});
    if end < matching.len() {
        page["nextToken"] = json!(end.to_string());
    }
    Ok(page)
}
