//! `openapi.yaml` agrees with the code and the template.

use std::collections::BTreeSet;

use docket::config::DEFAULT_CHUNK_MAX_BYTES;
use docket::domain::job::stored::Status;
use docket::domain::limits::*;
use docket::producer::problem_type::PROBLEM_TYPES;
use docket::producer::routes::ROUTES;
use serde_json::{Value, json};
use test_support::description::Description;
use test_support::stack::Stack;
use test_support::{eventually, read, stand_in, unique};

/// The text between two others on one line.
fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

#[test]
fn routes_of_openapi_template_and_producer_agree() {
    let described = Description::read().routes();
    let deployed: BTreeSet<String> = read("template.yaml")
        .lines()
        .filter(|line| line.contains("RestApiId: !Ref Api,"))
        .map(|line| {
            let (method, path) = (between(line, "Method: ", "}"), between(line, "Path: ", ","));
            format!("{} {}", method.expect("a method").to_uppercase(), path.expect("a path").trim_matches('"'))
        })
        .collect();
    let answered: BTreeSet<String> = ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(described, deployed);
    assert_eq!(described, answered);
}

#[test]
fn operation_ids_are_the_producers_operations() {
    let api = Description::read();
    let operations = api.operations();
    for route in &ROUTES {
        let described =
            operations.iter().find(|(method, path, _)| *method == route.method.as_str() && path == route.path);
        let id = described.expect("a described route").2["operationId"].as_str().expect("an operationId");
        assert!(id.eq_ignore_ascii_case(&format!("{:?}", route.operation)), "{id} is not {:?}", route.operation);
    }
}

#[test]
fn problem_types_are_described_with_their_status() {
    let api = Description::read();
    let list = |pointer: &str| api.at(pointer).as_array().expect("a list").clone();
    let described = list("/components/schemas/ProblemType/enum");
    let described: BTreeSet<&str> = described.iter().map(|urn| urn.as_str().expect("a URN")).collect();
    let urns: Vec<String> = PROBLEM_TYPES.iter().map(|problem| problem.urn()).collect();
    assert_eq!(described, urns.iter().map(String::as_str).collect());
    let described = list("/components/schemas/Problem/properties/status/enum");
    let described: BTreeSet<u64> = described.iter().map(|status| status.as_u64().expect("a status")).collect();
    assert_eq!(described, PROBLEM_TYPES.iter().map(|problem| u64::from(problem.status)).collect());
    let explanation = api.at("/components/schemas/ProblemType/description").as_str().expect("a text");
    for problem in PROBLEM_TYPES {
        let line = format!("- `{}` ({}): ", problem.kind, problem.status);
        assert!(explanation.contains(&line), "ProblemType lacks the line {line:?}");
    }
}

#[test]
fn example_problems_have_the_title_of_their_type() {
    let api = Description::read();
    let (mut values, mut checked) = (vec![&api.0], 0);
    while let Some(value) = values.pop() {
        if let Some(problem) = PROBLEM_TYPES.iter().find(|problem| value["type"] == problem.urn())
            && value["title"].is_string()
        {
            assert_eq!((&value["title"], &value["status"]), (&json!(problem.title), &json!(problem.status)));
            checked += 1;
        }
        match value {
            Value::Object(fields) => values.extend(fields.values()),
            Value::Array(items) => values.extend(items),
            _ => {}
        }
    }
    assert!(checked >= 10, "only {checked} examples");
}

#[test]
fn gateway_response_of_the_template_fits_its_schema() {
    let template = read("template.yaml");
    let start = template.find(r#"{"type":"urn:docket:problem:gateway""#).expect("the gateway's problem");
    let text = template[start..].split_inclusive('}').next().unwrap().replace("$context.error.messageString", "\"m\"");
    let response: Value = serde_json::from_str(&text.replace("$context.error.responseType", "THROTTLED")).unwrap();
    let api = Description::read();
    assert_eq!(api.schema_errors(api.at("/components/schemas/GatewayProblem"), &response), [""; 0]);
}

#[test]
fn described_limits_are_the_enforced_limits() {
    let api = Description::read();
    let schema = |path: &str| api.at(&format!("/components/schemas/{path}")).as_f64().expect("a number");
    let analysis = |path: &str| schema(&format!("Analysis/properties/{path}"));
    for (described, enforced) in [
        (schema("Id/maxLength"), ID_MAX_BYTES),
        (schema("Document/maxLength"), DOCUMENT_MAX_BYTES),
        (schema("NewUpload/properties/size/maximum"), CHUNKS_MAX * DEFAULT_CHUNK_MAX_BYTES),
        (schema("AsyncInvoke/properties/model_id/maxLength"), ASYNC_MODEL_ID_MAX_BYTES),
        (schema("AsyncInvoke/properties/tags/maxProperties"), ASYNC_TAGS_MAX),
        (schema("AsyncInvoke/properties/tags/propertyNames/maxLength"), ASYNC_TAG_KEY_MAX_BYTES),
        (schema("AsyncInvoke/properties/tags/additionalProperties/maxLength"), ASYNC_TAG_VALUE_MAX_BYTES),
        (schema("NewUpload/properties/filename/maxLength"), FILE_NAME_MAX_BYTES),
        (schema("NewJobs/properties/jobs/maxItems"), BATCH_REQUEST_JOBS_MAX),
        (schema("AcceptedJobs/properties/jobs/maxItems"), BATCH_REQUEST_JOBS_MAX),
        (analysis("instructions/maxLength"), INSTRUCTIONS_MAX_BYTES),
        (analysis("labels/maxItems"), LABELS_MAX),
        (analysis("labels/items/maxLength"), LABEL_MAX_BYTES),
        (analysis("max_tokens/maximum"), usize::try_from(OUTPUT_TOKENS_MAX).unwrap()),
        (analysis("model_id/maxLength"), MODEL_ID_MAX_BYTES),
        (api.at("/components/parameters/IdempotencyKey/schema/maxLength").as_f64().unwrap(), IDEMPOTENCY_KEY_MAX_BYTES),
        (api.at("/components/parameters/Limit/schema/maximum").as_f64().unwrap(), PAGE_MAX),
        (api.at("/components/parameters/Label/schema/maxLength").as_f64().unwrap(), LABEL_MAX_BYTES),
        (api.at("/components/parameters/ErrorCode/schema/maxLength").as_f64().unwrap(), FILTER_CODE_MAX_BYTES),
        (api.at("/components/parameters/NameContains/schema/maxLength").as_f64().unwrap(), FILE_NAME_MAX_BYTES),
        (api.at("/components/parameters/Limit/schema/default").as_f64().unwrap(), PAGE_DEFAULT),
        (schema("JobFields/allOf/2/then/properties/error/properties/message/maxLength"), FAILURE_MESSAGE_MAX_BYTES),
    ] {
        assert_eq!(described, enforced as f64);
    }
    // JSON Schema has no keyword for these limits, so the descriptions name them.
    let words = |path: &str, number: usize| {
        let text = api.at(&format!("/components/schemas/{path}/description")).as_str().unwrap();
        let number = number.to_string();
        let thousands = number.as_bytes().rchunks(3).rev().map(|three| str::from_utf8(three).unwrap());
        let number = thousands.collect::<Vec<_>>().join(",");
        assert!(text.contains(&format!("{number} ")), "{path}: {text} does not name {number}");
    };
    words("Metadata", METADATA_MAX_BYTES);
    words("Metadata", RESULT_MAX_DEPTH);
    words("Document", DOCUMENT_MAX_BYTES);
    words("Document", REQUEST_MAX_BYTES);
    words("Analysis", ANALYSIS_MAX_BYTES);
    words("AsyncInvoke/properties/model_input", ASYNC_INPUT_MAX_BYTES);
}

#[test]
fn described_statuses_and_ids_are_parsed() {
    let api = Description::read();
    let statuses = api.at("/components/schemas/Status/enum").as_array().unwrap();
    assert!(statuses.iter().all(|status| status.as_str().unwrap().parse::<Status>().is_ok()));
    assert_eq!(statuses.len(), 5);
    let cursor = api.at("/components/schemas/Cursor");
    let valid = (0..BATCH_SHARDS).flat_map(|shard| [format!("{shard}"), format!("{shard}.a.B_0:9-")]);
    let invalid = ["".to_owned(), "-1".into(), "07".into(), BATCH_SHARDS.to_string(), "1.".into(), "1.a b".into()];
    for (text, fits) in valid.map(|text| (text, true)).chain(invalid.map(|text| (text, false))) {
        assert_eq!(api.schema_errors(cursor, &json!(format!("v1-{text}"))).is_empty(), fits, "{text}");
        assert_eq!(text.parse::<docket::domain::batch::cursor::Cursor>().is_ok(), fits, "{text}");
    }
    let cursor = api.at("/components/schemas/BatchCursor");
    for (text, fits) in [("0.a", true), ("1795341600123.a.b", true), ("01.a", false), ("1", false), ("a.a", false)] {
        assert_eq!(api.schema_errors(cursor, &json!(format!("v1-{text}"))).is_empty(), fits, "{text}");
        assert_eq!(text.parse::<docket::domain::batch::list::ListPosition>().is_ok(), fits, "{text}");
    }
    let id = api.at("/components/schemas/Id");
    for (text, fits) in
        [("a", true), ("A.z_0:9-", true), ("..", false), ("a b", false), ("é", false), ("a/b", false), ("", false)]
    {
        assert_eq!(api.schema_errors(id, &json!(text)).is_empty(), fits, "{text}");
        assert_eq!(text.parse::<docket::domain::ids::JobId>().is_ok(), fits, "{text}");
    }
}

#[test]
fn every_example_fits_its_schema() {
    let api = Description::read();
    let mut checked = 0;
    let mut values = vec![("".to_owned(), &api.0)];
    while let Some((pointer, value)) = values.pop() {
        if let Some(schema) = value.get("schema").filter(|_| !pointer.ends_with("/properties")) {
            let named = value["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
            for example in named.chain(value.get("example")) {
                assert_eq!(api.schema_errors(schema, example), [""; 0], "{pointer}: {example}");
                checked += 1;
            }
        }
        match value {
            Value::Object(fields) => {
                values.extend(fields.iter().map(|(name, field)| (format!("{pointer}/{name}"), field)))
            }
            Value::Array(items) => values.extend(items.iter().map(|item| (format!("{pointer}/*"), item))),
            _ => {}
        }
    }
    assert!(checked > 30, "only {checked} examples");
}

#[test]
fn every_operation_has_a_name_and_examples() {
    let api = Description::read();
    let mut names = BTreeSet::new();
    for (method, path, operation) in api.operations() {
        let name = operation["operationId"].as_str().unwrap_or_default();
        assert!(!name.is_empty() && names.insert(name.to_owned()), "{method} {path} has no unique operationId");
        assert!(operation["summary"].is_string(), "{name} has no summary");
        let responses = operation["responses"].as_object().unwrap().values().map(|response| api.resolve(response));
        for body in responses.chain(operation.get("requestBody")) {
            for (content_type, content) in body["content"].as_object().expect("content") {
                assert!(content["examples"].is_object(), "{name}: {content_type} has no example: {content}");
            }
        }
    }
}

/// Sends requests, and compares each response with the description.
struct Caller {
    stack: Stack,
    api: Description,
    /// Each called route, with whether it succeeded.
    seen: BTreeSet<(String, bool)>,
}

impl Caller {
    /// Sends a request; returns status and text. `id` replaces the parameter of the
    /// route's path, and may end with a query.
    fn send(&mut self, route: &str, id: &str, body: Value, headers: &[(&str, &str)]) -> (u16, String) {
        let (method, path) = route.split_once(' ').unwrap();
        let (id, query) = id.split_once('?').map_or((id, String::new()), |(id, query)| (id, format!("?{query}")));
        let path = path.replace("{job_id}", id).replace("{batch_id}", id) + &query;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, headers, text) = self.stack.request(method, &path, &body, true, headers);
        self.api.check(route, status, &headers, &text);
        self.seen.insert((route.to_owned(), status < 400));
        (status, text)
    }

    /// Sends a request; returns status and JSON.
    fn send_json(&mut self, route: &str, id: &str, body: Value) -> (u16, Value) {
        let (status, text) = self.send(route, id, body, &[]);
        (status, serde_json::from_str(&text).expect("JSON"))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn every_operation_answers_as_described() {
    let mut caller = Caller { stack: Stack::new().await, api: Description::read(), seen: BTreeSet::new() };
    let (batch, job, upload) = (unique("described"), unique("described"), unique("described"));
    let metadata = json!({"deep": [{"n": 0.5, "s": "é\u{0}"}]});
    let settings =
        json!({"batch_id": batch, "metadata": metadata, "analysis": {"labels": ["a", "b"]}, "deduplicate": false});
    assert_eq!(caller.send_json("POST /batches", "", settings.clone()).0, 201);
    assert_eq!(caller.send_json("POST /batches", "", json!({"batch_id": batch})).0, 409);
    let new = json!({"job_id": job, "document": "Dear Sir, it is due.", "batch_id": batch, "metadata": metadata});
    assert_eq!(caller.send_json("POST /jobs", "", new).0, 202);
    assert_eq!(caller.send_json("POST /jobs", "", json!({"job_id": job, "document": "Another."})).0, 409);
    assert_eq!(caller.send_json("POST /jobs", "", json!({"document": "x", "analysis": []})).0, 422);
    assert_eq!(caller.send("POST /jobs", "", json!([]), &[]).0, 400);
    let large = json!({"document": "x".repeat(DOCUMENT_MAX_BYTES + 1)});
    assert_eq!(caller.send("POST /jobs", "", large, &[]).0, 413);
    let many =
        json!({"jobs": [{"document": "Dear Madam."}, {"document": ""}, 7, {"document": "x", "batch_id": "other"}]});
    let (status, answers) = caller.send_json("POST /batches/{batch_id}/jobs", &batch, many);
    assert_eq!((status, &answers["accepted"], &answers["rejected"]), (202, &json!(1), &json!(3)), "{answers}");
    assert_eq!(caller.send_json("POST /batches/{batch_id}/jobs", &batch, json!({"jobs": []})).0, 422);
    caller.stack.wait_for_batch_end(&batch, 2).await;
    assert_eq!(caller.send_json("GET /jobs/{job_id}", &job, Value::Null).1["status"], "complete");
    assert_eq!(caller.send_json("GET /jobs/{job_id}", &unique("none"), Value::Null).0, 404);
    assert_eq!(caller.send_json("POST /jobs/{job_id}/retry", &job, Value::Null).0, 409);
    assert_eq!(caller.send_json("DELETE /jobs/{job_id}", &job, Value::Null).0, 409);
    assert_eq!(caller.send_json("GET /batches/{batch_id}", &batch, Value::Null).1["status"], "complete");
    assert_eq!(caller.send_json("GET /batches/{batch_id}", &unique("none"), Value::Null).0, 404);

    let list = "GET /batches/{batch_id}/jobs";
    let (_, page) = caller.send_json(list, &format!("{batch}?limit=1&status=complete"), Value::Null);
    let cursor = page["next_cursor"].as_str().expect("another page").to_owned();
    assert_eq!(caller.send_json(list, &format!("{batch}?status=complete&cursor={cursor}"), Value::Null).0, 200);
    assert_eq!(caller.send_json(list, &format!("{batch}?status=failed&cursor={cursor}"), Value::Null).0, 200);
    for wrong in ["limit=%2B7", "limit=", "limit=1&limit=2", "status=lost", "cursor=64"] {
        assert_eq!(caller.send_json(list, &format!("{batch}?{wrong}"), Value::Null).0, 422, "{wrong}");
    }
    for filter in ["label=a", "error_code=c", "name_contains=x", "status=complete&label=b"] {
        assert_eq!(caller.send_json(list, &format!("{batch}?{filter}"), Value::Null).0, 200, "{filter}");
        assert_eq!(caller.send_json(list, &format!("{batch}?{filter}&{filter}"), Value::Null).0, 422, "{filter}");
    }
    assert_eq!(caller.send_json(list, &unique("none"), Value::Null).0, 404);
    let (_, page) = caller.send_json("GET /batches", "?limit=1", Value::Null);
    let cursor = page["next_cursor"].as_str().unwrap_or("v1-0.a").to_owned();
    assert_eq!(caller.send_json("GET /batches", &format!("?cursor={cursor}"), Value::Null).0, 200);
    assert_eq!(caller.send_json("GET /batches", "?cursor=3", Value::Null).0, 422);
    let document = "GET /jobs/{job_id}/document";
    assert_eq!(caller.send_json(document, &job, Value::Null).1["size_bytes"], 20);
    assert_eq!(caller.send_json(document, &unique("none"), Value::Null).0, 404);
    let results = "GET /batches/{batch_id}/results";
    assert_eq!(caller.send_json(results, &unique("none"), Value::Null).0, 404);
    assert_eq!(caller.send_json(results, &format!("{batch}?status=pending"), Value::Null).0, 422);
    assert_eq!(caller.send(results, &format!("{batch}?limit=1"), Value::Null, &[]).0, 200);
    assert_eq!(caller.send(results, &batch, Value::Null, &[("accept", "text/csv")]).0, 200);
    assert_eq!(caller.send(results, &format!("{batch}?limit=0"), Value::Null, &[]).0, 422);
    assert_eq!(caller.send_json("POST /batches/{batch_id}/retry", &batch, Value::Null).0, 202);

    for route in ["POST /batches/{batch_id}/pause", "POST /batches/{batch_id}/resume"] {
        assert_eq!(caller.send_json(route, &batch, Value::Null).0, 200);
        assert_eq!(caller.send_json(route, &unique("none"), Value::Null).0, 404);
    }

    let file = json!({"filename": "über mein.pdf", "size": 7, "job_id": upload, "batch_id": batch});
    assert_eq!(caller.send_json("POST /uploads", "", file).0, 201);
    assert_eq!(caller.send_json("POST /uploads", "", json!({"filename": "a/b", "size": 7})).0, 422);
    assert_eq!(caller.send_json(document, &upload, Value::Null).0, 409);
    assert_eq!(caller.send_json("DELETE /jobs/{job_id}", &upload, Value::Null).0, 200);
    let failed = unique("described");
    let model = caller.stack.outputs["ModelEndpointUrl"].clone();
    stand_in::put(&model, json!({"faults": [{"kind": "validation", "job_id": failed}]}));
    caller.send_json("POST /jobs", "", json!({"job_id": failed, "document": "Dear Sir."}));
    eventually("failed", async || (caller.stack.status(&failed).await == "failed").then_some(())).await;
    stand_in::put(&model, json!({"faults": []}));
    assert_eq!(caller.send_json("GET /jobs/{job_id}", &failed, Value::Null).1["status"], "failed");
    assert_eq!(caller.send_json("POST /jobs/{job_id}/retry", &failed, Value::Null).0, 202);
    assert_eq!(caller.send_json("DELETE /batches/{batch_id}", &batch, Value::Null).0, 200);
    assert_eq!(caller.send_json("DELETE /batches/{batch_id}", &unique("none"), Value::Null).0, 404);
    assert_eq!(caller.send_json("POST /batches/{batch_id}/retry", &unique("none"), Value::Null).0, 404);
    assert_eq!(caller.send_json("POST /batches/{batch_id}/retry", &batch, Value::Null).0, 409);
    assert_eq!(caller.send_json("DELETE /batches/{batch_id}", &format!("{batch}?purge=true"), Value::Null).0, 202);

    let both = caller.api.routes().into_iter().flat_map(|route| [(route.clone(), true), (route, false)]);
    assert_eq!(caller.seen, both.collect(), "each route succeeds once and fails once");
    // API Gateway itself answers an unsigned request.
    let (status, headers, text) = caller.stack.request("GET", "/jobs/a", "", false, &[]);
    assert_eq!(status, 403);
    caller.api.check("GET /jobs/{job_id}", status, &headers, &text);
    caller.stack.wait_for_empty_queue().await;
    assert!(caller.stack.drain_dead_letters().await >= 1);
}
