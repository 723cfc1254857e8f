//! Lists of the deployed stack's API: pages that are read while jobs finish, filters, the
//! batches, and the document of a job.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, stand_in, unique};

fn behave(stack: &Stack, behaviour: Value) {
    stand_in::put(&stack.outputs["ModelEndpointUrl"], behaviour);
}

/// The jobs of all pages of a list or of results.
fn read_pages(stack: &Stack, path: &str, query: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, headers, text) = stack.request("GET", &format!("{path}?{query}{cursor}"), "", true, &[]);
        assert_eq!(status, 200, "{path}?{query}{cursor}: {text}");
        let next = if headers["content-type"] == "application/json" {
            let page: Value = serde_json::from_str(&text).expect("JSON");
            found.extend(page["data"].as_array().expect("a list").clone());
            page["next_cursor"].as_str().map(str::to_owned)
        } else {
            found.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line")));
            headers.get("next-cursor").cloned()
        };
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The ids of listed jobs.
///
/// # Panics
/// If an id occurs twice.
fn ids(jobs: &[Value]) -> BTreeSet<String> {
    let ids: BTreeSet<String> = jobs.iter().map(|job| job["job_id"].as_str().expect("a job id").to_owned()).collect();
    assert_eq!(ids.len(), jobs.len(), "a job is listed twice: {jobs:?}");
    ids
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn list_read_while_jobs_finish_has_each_job_once() {
    let stack = Stack::new().await;
    let batch = unique("moving");
    let (jobs, results) = (format!("/batches/{batch}/jobs"), format!("/batches/{batch}/results"));
    behave(&stack, json!({"latency_ms": 1_500}));
    let all: Vec<Value> = (0..80).map(|n| json!({"job_id": format!("{batch}-{n}"), "document": "Dear Sir."})).collect();
    let (status, answer) = stack.ask("POST", &jobs, json!({"jobs": all}));
    assert_eq!((status, &answer["rejected"]), (202, &json!(0)));
    let (mut walks, mut changes) = (0, BTreeSet::new());
    loop {
        let complete_before = ids(&read_pages(&stack, &jobs, "status=complete&limit=500"));
        let listed = read_pages(&stack, &jobs, "limit=3");
        assert_eq!(ids(&listed).len(), 80, "walk {walks} misses a job");
        let completed = ids(&read_pages(&stack, &jobs, "status=complete&limit=3"));
        let with_results = ids(&read_pages(&stack, &results, "limit=3"));
        for found in [&completed, &with_results] {
            assert!(complete_before.is_subset(found), "walk {walks} misses a job that was complete before");
        }
        changes.insert(complete_before.len());
        walks += 1;
        if complete_before.len() == 80 {
            break;
        }
    }
    assert!(changes.len() >= 2, "no job finished during {walks} walks");
    stack.wait_for_empty_queue().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn filter_selects_by_status_label_code_and_name() {
    let stack = Stack::new().await;
    let batch = unique("filtered");
    let path = format!("/batches/{batch}/jobs");
    behave(&stack, json!({"faults": [{"kind": "validation", "job_id_contains": "-poison"}]}));
    stack.ask("POST", "/batches", json!({"batch_id": batch, "analysis": {"labels": ["letter", "other"]}}));
    let jobs: Vec<Value> = ["a", "b", "c-poison"]
        .map(|name| json!({"job_id": format!("{batch}-{name}"), "document": "Dear Sir, the rent is due."}))
        .into();
    stack.ask("POST", &path, json!({"jobs": jobs}));
    stack.put(&format!("uploads/{batch}/Flat 7/über.txt"), "Dear Madam, the rent is paid.").await;
    stack.wait_for_batch_end(&batch, 4).await;
    let find = |query: &str| ids(&read_pages(&stack, &path, query));
    let everything = read_pages(&stack, &path, "");
    for label in ["letter", "other"] {
        let labelled = everything.iter().filter(|job| job["label"] == label).cloned().collect::<Vec<_>>();
        assert_eq!(find(&format!("label={label}")), ids(&labelled));
        assert_eq!(find(&format!("label={label}&status=complete&limit=1")), ids(&labelled));
        assert_eq!(
            ids(&read_pages(&stack, &format!("/batches/{batch}/results"), &format!("label={label}"))),
            ids(&labelled)
        );
    }
    assert_eq!(everything.iter().filter(|job| job["label"].is_string()).count(), 3);
    let failed = BTreeSet::from([format!("{batch}-c-poison")]);
    assert_eq!(find("status=failed"), failed);
    assert_eq!(find("error_code=validation_exception"), failed);
    assert_eq!(find("name_contains=Flat%207%2F%C3%BC").len(), 1);
    assert_eq!(find("name_contains=Flat&status=complete").len(), 1);
    for nothing in [
        "error_code=other",
        "status=complete&error_code=validation_exception",
        "status=pending",
        "label=x",
        "name_contains=flat",
    ] {
        assert_eq!(find(nothing).len(), 0, "{nothing}");
    }
    stack.drain_dead_letters().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn batches_are_listed_newest_first_also_those_of_uploads() {
    let stack = Stack::new().await;
    let names: Vec<String> = (0..4).map(|n| format!("{}-{n}", unique("listed"))).collect();
    for name in &names[..3] {
        stack.ask("POST", "/batches", json!({"batch_id": name}));
    }
    for n in 0..3 {
        stack.put(&format!("uploads/{}/{n}.txt", names[3]), "Dear Sir.").await;
    }
    stack.wait_for_batch_end(&names[3], 3).await;
    stack.ask("DELETE", &format!("/batches/{}", names[1]), Value::Null);
    let listed = read_pages(&stack, "/batches", "limit=2");
    let found: Vec<&Value> =
        listed.iter().filter(|batch| names.iter().any(|name| batch["batch_id"] == **name)).collect();
    let order: Vec<&str> = found.iter().map(|batch| batch["batch_id"].as_str().unwrap()).collect();
    assert_eq!(order, names.iter().rev().collect::<Vec<_>>(), "{listed:?}");
    let cancelled: Vec<bool> = found.iter().map(|batch| batch["cancelled_at"].is_string()).collect();
    assert_eq!(cancelled, [false, false, true, false]);
    // A batch of which an upload was first takes its settings later.
    assert_eq!(stack.ask("POST", "/batches", json!({"batch_id": names[3], "metadata": {"a": 1}})).0, 201);
    assert_eq!(stack.batch(&names[3])["metadata"], json!({"a": 1}));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn document_is_read_by_its_presigned_url() {
    let stack = Stack::new().await;
    let text = "Dear Sir, the rent of unit 7 is due.";
    let (submitted, waiting, inline) = (unique("submitted"), unique("waiting"), unique("inline"));
    stack.ask("POST", "/jobs", json!({"job_id": submitted, "document": text}));
    let (batch, page) = (unique("uploaded"), "<script>alert(1)</script><p>The rent is due.</p>");
    stack.put(&format!("uploads/{batch}/a \"page\".html"), page).await;
    stack.wait_for_batch_end(&batch, 1).await;
    let uploaded = read_pages(&stack, &format!("/batches/{batch}/jobs"), "")[0]["job_id"].as_str().unwrap().to_owned();
    for (job_id, content, content_type, disposition) in [
        (&submitted, text, "text/plain; charset=utf-8", "inline; "),
        (&uploaded, page, "application/octet-stream", "attachment; filename=\"a _page_.html\"; "),
    ] {
        let (status, document) = stack.ask("GET", &format!("/jobs/{job_id}/document"), Value::Null);
        assert_eq!((status, &document["size_bytes"]), (200, &json!(content.len())), "{document}");
        let mut response = ureq::get(document["url"].as_str().unwrap()).call().expect("the document");
        assert_eq!(response.headers()["content-type"], content_type);
        let header = response.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert!(header.starts_with(disposition), "{header}");
        assert_eq!(response.body_mut().read_to_string().unwrap(), content);
    }
    stack.ask("POST", "/uploads", json!({"job_id": waiting, "filename": "a.txt", "size": 7}));
    let (status, problem) = stack.ask("GET", &format!("/jobs/{waiting}/document"), Value::Null);
    assert_eq!((status, &problem["type"]), (409, &json!("urn:docket:problem:invalid-state")));
    stack.send(&[json!({"job_id": inline, "document": "Dear Madam."}).to_string()]).await;
    eventually("complete", async || (stack.status(&inline).await == "complete").then_some(())).await;
    let (status, problem) = stack.ask("GET", &format!("/jobs/{inline}/document"), Value::Null);
    assert_eq!((status, &problem["type"]), (404, &json!("urn:docket:problem:no-such-document")));
    stack.ask("DELETE", &format!("/jobs/{waiting}"), Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn null_job_id_with_a_key_is_repeatable() {
    let stack = Stack::new().await;
    let (key, batch) = (unique("key"), unique("null"));
    let job = json!({
        "job_id": null, "document": "Dear Sir.", "priority": null, "batch_id": null, "analysis": null,
        "metadata": null, "async_invoke": null,
    });
    let send = |path: &str, body: &Value| {
        let (status, _, text) = stack.request("POST", path, &body.to_string(), true, &[("idempotency-key", &key)]);
        assert_eq!(status, 202, "{text}");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let single: BTreeSet<String> = (0..3).map(|_| send("/jobs", &job)["job_id"].to_string()).collect();
    let absent = send("/jobs", &json!({"document": "Dear Sir."}))["job_id"].to_string();
    assert_eq!(single, BTreeSet::from([absent]));
    let path = format!("/batches/{batch}/jobs");
    let many = |job: &Value| send(&path, &json!({"jobs": [job]}))["jobs"][0]["job_id"].to_string();
    let ids: BTreeSet<String> = (0..3).map(|_| many(&job)).chain([many(&json!({"document": "Dear Sir."}))]).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    stack.wait_for_batch_end(&batch, 1).await;
    stack.wait_for_empty_queue().await;
    assert_eq!(stack.calls()["total"], 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn unknown_batch_is_404_in_every_operation() {
    let stack = Stack::new().await;
    for (method, end) in [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/jobs"),
        ("GET", "/jobs?status=failed"),
        ("GET", "/results"),
        ("POST", "/retry"),
    ] {
        let (status, problem) = stack.ask(method, &format!("/batches/{}{end}", unique("none")), Value::Null);
        assert_eq!((status, &problem["type"]), (404, &json!("urn:docket:problem:no-such-batch")), "{method} {end}");
    }
    // A batch without jobs is known.
    let empty = unique("empty");
    stack.ask("POST", "/batches", json!({"batch_id": empty}));
    assert_eq!(stack.ask("GET", &format!("/batches/{empty}/jobs"), Value::Null).0, 200);
    assert_eq!(stack.ask("POST", &format!("/batches/{empty}/retry"), Value::Null).0, 202);
}
