//! `openapi.yaml` against the code: what it describes is what is there.

use std::collections::{BTreeMap, BTreeSet};

use docket::config::DEFAULT_CHUNK_MAX_BYTES;
use docket::domain::job::stored::Status;
use docket::domain::limits::*;
use serde_json::{Value, json};
use test_support::description::Description;
use test_support::stack::Stack;
use test_support::{eventually, read, stand_in, unique};

/// The text between two others, wherever they stand on one line.
fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

#[test]
fn the_routes_described_deployed_and_answered_are_the_same() {
    let described = Description::new().routes();
    let route = |method: &str, path: &str| format!("{} {}", method.to_uppercase(), path.trim_matches('"'));
    let template = read("template.yaml");
    let deployed: BTreeSet<String> = template
        .lines()
        .filter(|line| line.contains("RestApiId: !Ref Api,"))
        .map(|line| route(between(line, "Method: ", "}").unwrap(), between(line, "Path: ", ",").unwrap()))
        .collect();
    let producer = read("src/producer/mod.rs");
    let answered: BTreeSet<String> = producer
        .lines()
        .filter_map(|line| Some(route(between(line, "(&Method::", ",")?, between(line, ", ", ") =>")?)))
        .collect();
    assert_eq!(described, deployed);
    assert_eq!(described, answered);
}

#[test]
fn every_problem_is_described_and_no_other() {
    let api = Description::new();
    let problems = read("src/producer/problem.rs");
    let made: BTreeMap<String, u64> = problems
        .lines()
        .filter_map(|line| {
            let (status, rest) = line.split_once("Self::new(")?.1.split_once(", \"")?;
            Some((format!("urn:docket:problem:{}", rest.split_once('"')?.0), status.parse().ok()?))
        })
        .collect();
    let listed = |pointer: &str| api.at(pointer).as_array().expect("a list").clone();
    let described: BTreeSet<String> =
        listed("/components/schemas/ProblemType/enum").iter().map(|kind| kind.as_str().unwrap().to_owned()).collect();
    assert_eq!(made.keys().cloned().collect::<BTreeSet<_>>(), described);
    let statuses: BTreeSet<u64> = made.values().copied().collect();
    let described = listed("/components/schemas/Problem/properties/status/enum");
    assert_eq!(statuses, described.iter().map(|status| status.as_u64().unwrap()).collect());
    let explained = api.at("/components/schemas/ProblemType/description").as_str().unwrap();
    for kind in made.keys() {
        assert!(explained.contains(kind.rsplit(':').next().unwrap()), "{kind} is not explained");
    }
}

#[test]
fn what_api_gateway_says_is_what_the_template_makes_it_say() {
    let template = read("template.yaml");
    let start = template.find(r#"{"type":"urn:docket:problem:gateway""#).expect("the gateway's problem");
    let text = template[start..].split_inclusive('}').next().unwrap().replace("$context.error.messageString", "\"m\"");
    let said: Value = serde_json::from_str(&text.replace("$context.error.responseType", "THROTTLED")).unwrap();
    let api = Description::new();
    assert_eq!(api.misfits(api.at("/components/schemas/GatewayProblem"), &said), [""; 0]);
}

#[test]
fn the_limits_described_are_the_limits_kept() {
    let api = Description::new();
    let schema = |path: &str| api.at(&format!("/components/schemas/{path}")).as_f64().expect("a number");
    let analysis = |path: &str| schema(&format!("Analysis/properties/{path}"));
    for (described, kept) in [
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
        (api.at("/components/parameters/Limit/schema/default").as_f64().unwrap(), PAGE_DEFAULT),
        (schema("JobFields/allOf/1/then/properties/error/properties/message/maxLength"), FAILURE_MESSAGE_MAX_BYTES),
    ] {
        assert_eq!(described, kept as f64);
    }
    // Those that no keyword of JSON Schema can say stand in words.
    let words = |path: &str, number: usize| {
        let text = api.at(&format!("/components/schemas/{path}/description")).as_str().unwrap();
        let number = number.to_string();
        let thousands = number.as_bytes().rchunks(3).rev().map(|three| str::from_utf8(three).unwrap());
        let number = thousands.collect::<Vec<_>>().join(",");
        assert!(text.contains(&format!("{number} ")), "{path}: {text} does not say {number}");
    };
    words("Metadata", METADATA_MAX_BYTES);
    words("Metadata", RESULT_MAX_DEPTH);
    words("Document", DOCUMENT_MAX_BYTES);
    words("Document", REQUEST_MAX_BYTES);
    words("Analysis", ANALYSIS_MAX_BYTES);
    words("AsyncInvoke/properties/model_input", ASYNC_INPUT_MAX_BYTES);
    let shards = format!("^[0-{}](", BATCH_SHARDS - 1);
    assert!(api.at("/components/schemas/Cursor/pattern").as_str().unwrap().starts_with(&shards));
}

#[test]
fn the_words_described_are_the_words_read() {
    let api = Description::new();
    let statuses = api.at("/components/schemas/Status/enum").as_array().unwrap();
    assert!(statuses.iter().all(|status| status.as_str().unwrap().parse::<Status>().is_ok()));
    assert_eq!(statuses.len(), 5);
    let id = api.at("/components/schemas/Id");
    for (text, fits) in [("a", true), ("A.z_0:9-", true), ("a b", false), ("é", false), ("a/b", false), ("", false)] {
        assert_eq!(api.misfits(id, &json!(text)).is_empty(), fits, "{text}");
        assert_eq!(text.parse::<docket::domain::ids::JobId>().is_ok(), fits, "{text}");
    }
}

#[test]
fn every_example_fits_its_schema() {
    let api = Description::new();
    let mut checked = 0;
    let mut places = vec![("".to_owned(), &api.0)];
    while let Some((place, value)) = places.pop() {
        if let Some(schema) = value.get("schema").filter(|_| !place.ends_with("/properties")) {
            let named = value["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
            for example in named.chain(value.get("example")) {
                assert_eq!(api.misfits(schema, example), [""; 0], "{place}: {example}");
                checked += 1;
            }
        }
        match value {
            Value::Object(fields) => {
                places.extend(fields.iter().map(|(name, field)| (format!("{place}/{name}"), field)))
            }
            Value::Array(items) => places.extend(items.iter().map(|item| (format!("{place}/*"), item))),
            _ => {}
        }
    }
    assert!(checked > 30, "only {checked} examples");
}

#[test]
fn every_operation_is_named_and_every_body_and_answer_has_an_example() {
    let api = Description::new();
    let mut names = BTreeSet::new();
    for (method, path, operation) in api.operations() {
        let name = operation["operationId"].as_str().unwrap_or_default();
        assert!(!name.is_empty() && names.insert(name.to_owned()), "{method} {path} has no name of its own");
        assert!(operation["summary"].is_string(), "{name} has no summary");
        let answers = operation["responses"].as_object().unwrap().values().map(|answer| api.resolve(answer));
        for body in answers.chain(operation.get("requestBody")) {
            for (content_type, content) in body["content"].as_object().expect("content") {
                assert!(content["examples"].is_object(), "{name}: {content_type} has no example: {content}");
            }
        }
    }
}

/// Asks, and holds the answer against the description.
struct Caller {
    stack: Stack,
    api: Description,
    seen: BTreeSet<(String, bool)>,
}

impl Caller {
    /// `id` stands in the route's place for one; the answer's status and text.
    fn ask(&mut self, route: &str, id: &str, body: Value, headers: &[(&str, &str)]) -> (u16, String) {
        let (method, path) = route.split_once(' ').unwrap();
        let (id, query) = id.split_once('?').map_or((id, String::new()), |(id, query)| (id, format!("?{query}")));
        let path = path.replace("{job_id}", id).replace("{batch_id}", id) + &query;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, headers, text) = self.stack.request(method, &path, &body, true, headers);
        self.api.check(route, status, &headers, &text);
        self.seen.insert((route.to_owned(), status < 400));
        (status, text)
    }

    fn told(&mut self, route: &str, id: &str, body: Value) -> (u16, Value) {
        let (status, text) = self.ask(route, id, body, &[]);
        (status, serde_json::from_str(&text).expect("JSON"))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn every_operation_answers_as_described() {
    let mut caller = Caller { stack: Stack::new().await, api: Description::new(), seen: BTreeSet::new() };
    let (batch, job, upload) = (unique("described"), unique("described"), unique("described"));
    let metadata = json!({"deep": [{"n": 0.5, "s": "é\u{0}"}]});
    let made =
        json!({"batch_id": batch, "metadata": metadata, "analysis": {"labels": ["a", "b"]}, "deduplicate": false});
    assert_eq!(caller.told("POST /batches", "", made.clone()).0, 201);
    assert_eq!(caller.told("POST /batches", "", json!({"batch_id": batch})).0, 409);
    let new = json!({"job_id": job, "document": "Dear Sir, it is due.", "batch_id": batch, "metadata": metadata});
    assert_eq!(caller.told("POST /jobs", "", new).0, 202);
    assert_eq!(caller.told("POST /jobs", "", json!({"job_id": job, "document": "Another."})).0, 409);
    assert_eq!(caller.told("POST /jobs", "", json!({"document": "x", "analysis": []})).0, 422);
    assert_eq!(caller.ask("POST /jobs", "", json!([]), &[]).0, 400);
    let large = json!({"document": "x".repeat(DOCUMENT_MAX_BYTES + 1)});
    assert_eq!(caller.ask("POST /jobs", "", large, &[]).0, 413);
    let many =
        json!({"jobs": [{"document": "Dear Madam."}, {"document": ""}, 7, {"document": "x", "batch_id": "other"}]});
    let (status, answers) = caller.told("POST /batches/{batch_id}/jobs", &batch, many);
    assert_eq!((status, &answers["accepted"], &answers["rejected"]), (202, &json!(1), &json!(3)), "{answers}");
    assert_eq!(caller.told("POST /batches/{batch_id}/jobs", &batch, json!({"jobs": []})).0, 422);
    caller.stack.batch_has_ended(&batch, 2).await;
    assert_eq!(caller.told("GET /jobs/{job_id}", &job, Value::Null).1["status"], "complete");
    assert_eq!(caller.told("GET /jobs/{job_id}", &unique("none"), Value::Null).0, 404);
    assert_eq!(caller.told("POST /jobs/{job_id}/retry", &job, Value::Null).0, 409);
    assert_eq!(caller.told("DELETE /jobs/{job_id}", &job, Value::Null).0, 409);
    assert_eq!(caller.told("GET /batches/{batch_id}", &batch, Value::Null).1["status"], "complete");
    assert_eq!(caller.told("GET /batches/{batch_id}", &unique("none"), Value::Null).0, 404);

    let list = "GET /batches/{batch_id}/jobs";
    let (_, page) = caller.told(list, &format!("{batch}?limit=1&status=complete"), Value::Null);
    let cursor = page["next_cursor"].as_str().expect("another page").to_owned();
    assert_eq!(caller.told(list, &format!("{batch}?status=complete&cursor={cursor}"), Value::Null).0, 200);
    assert_eq!(caller.told(list, &format!("{batch}?status=failed&cursor=3.complete.a"), Value::Null).0, 422);
    for wrong in ["limit=%2B7", "limit=", "limit=1&limit=2", "status=lost", "cursor=9"] {
        assert_eq!(caller.told(list, &format!("{batch}?{wrong}"), Value::Null).0, 422, "{wrong}");
    }
    let results = "GET /batches/{batch_id}/results";
    assert_eq!(caller.ask(results, &format!("{batch}?limit=1"), Value::Null, &[]).0, 200);
    assert_eq!(caller.ask(results, &batch, Value::Null, &[("accept", "text/csv")]).0, 200);
    assert_eq!(caller.ask(results, &format!("{batch}?limit=0"), Value::Null, &[]).0, 422);
    assert_eq!(caller.told("POST /batches/{batch_id}/retry", &batch, Value::Null).0, 202);

    let place = json!({"filename": "über mein.pdf", "size": 7, "job_id": upload, "batch_id": batch});
    assert_eq!(caller.told("POST /uploads", "", place).0, 201);
    assert_eq!(caller.told("POST /uploads", "", json!({"filename": "a/b", "size": 7})).0, 422);
    assert_eq!(caller.told("DELETE /jobs/{job_id}", &upload, Value::Null).0, 200);
    let failed = unique("described");
    let model = caller.stack.outputs["ModelEndpointUrl"].clone();
    stand_in::put(&model, json!({"faults": [{"kind": "validation", "job_id": failed}]}));
    caller.told("POST /jobs", "", json!({"job_id": failed, "document": "Dear Sir."}));
    eventually("failed", async || (caller.stack.status(&failed).await == "failed").then_some(())).await;
    stand_in::put(&model, json!({"faults": []}));
    assert_eq!(caller.told("GET /jobs/{job_id}", &failed, Value::Null).1["status"], "failed");
    assert_eq!(caller.told("POST /jobs/{job_id}/retry", &failed, Value::Null).0, 202);
    assert_eq!(caller.told("DELETE /batches/{batch_id}", &batch, Value::Null).0, 200);
    assert_eq!(caller.told("DELETE /batches/{batch_id}", &unique("none"), Value::Null).0, 404);
    assert_eq!(caller.told("POST /batches/{batch_id}/retry", &batch, Value::Null).0, 409);

    let both = caller.api.routes().into_iter().flat_map(|route| [(route.clone(), true), (route, false)]);
    assert_eq!(caller.seen, both.collect(), "each once well and once ill");
    // What API Gateway answers by itself.
    let (status, headers, text) = caller.stack.request("GET", "/jobs/a", "", false, &[]);
    assert_eq!(status, 403);
    caller.api.check("GET /jobs/{job_id}", status, &headers, &text);
    caller.stack.queue_is_empty().await;
    assert!(caller.stack.dead_letters().await >= 1);
}
