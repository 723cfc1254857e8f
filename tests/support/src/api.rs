//! Requests to the producer, as API Gateway passes them on.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::event;
use crate::function::Function;

/// Time of one request.
const TIME: Duration = Duration::from_secs(30);

/// Sends a request without an `Idempotency-Key` to the producer, and returns the status and
/// the body. `resource` is the path with the name of its parameter, such as
/// `/jobs/{job_id}`, and `id` the parameter's value. A `null` body is none.
///
/// # Panics
/// If the producer returns an error, or a body that is not JSON.
pub async fn ask(
    producer: &Function,
    method: &str,
    resource: &str,
    id: &str,
    query: &[(&str, &str)],
    body: Value,
) -> (u64, Value) {
    let mut event = event("api-post-job");
    let parameter = if resource.starts_with("/batches") { "batch_id" } else { "job_id" };
    let path = resource.replace(&format!("{{{parameter}}}"), id);
    event["httpMethod"] = json!(method);
    event["requestContext"]["httpMethod"] = json!(method);
    event["resource"] = json!(resource);
    event["requestContext"]["resourcePath"] = json!(resource);
    event["path"] = json!(path);
    event["requestContext"]["path"] = json!(format!("/v1{path}"));
    event["pathParameters"] = json!({parameter: id});
    event["queryStringParameters"] = json!(query.iter().copied().collect::<HashMap<_, _>>());
    event["multiValueQueryStringParameters"] =
        json!(query.iter().map(|(name, value)| (*name, [value])).collect::<HashMap<_, _>>());
    for headers in ["headers", "multiValueHeaders"] {
        let headers = event[headers].as_object_mut().expect("headers");
        headers.retain(|name, _| !name.eq_ignore_ascii_case("idempotency-key"));
    }
    event["body"] = if body.is_null() { body } else { json!(body.to_string()) };
    let answer = producer.invoke(event, TIME).await.expect("an answer");
    let body = serde_json::from_str(answer["body"].as_str().unwrap_or_default()).expect("a JSON body");
    (answer["statusCode"].as_u64().expect("a status"), body)
}
