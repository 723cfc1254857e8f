//! `docket redrive` on the deployed stack.

mod support;

use serde_json::{Value, json};
use test_support::stack::Stack;
use test_support::{eventually, stand_in, unique};

use crate::support::run_docket;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn dead_letters_are_listed_by_reason_and_moved_once() {
    let stack = Stack::new().await;
    stack.drain_dead_letters().await;
    let ids: Vec<String> = (0..12).map(|_| unique("redrive")).collect();
    stand_in::put(&stack.outputs["ModelEndpointUrl"], json!({"faults": [{"kind": "guardrail"}]}));
    let mut bodies: Vec<String> =
        ids.iter().map(|id| json!({"job_id": id, "document": format!("Letter {id}.")}).to_string()).collect();
    bodies.push(json!({"no": "job"}).to_string());
    stack.send(&bodies).await;
    for id in &ids {
        eventually("a failed job", async || (stack.status(id).await == "failed").then_some(())).await;
    }
    stack.wait_for_empty_queue().await;
    stand_in::reset(&stack.outputs["ModelEndpointUrl"]);

    let listed = run_docket(&["redrive", "--list", "--local", "--json"], &[]).await;
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    let expected = json!({"guardrail_intervened": 12, "malformed_message": 1});
    assert_eq!(listed.json(), json!({"dead_letters": expected, "selected": 12, "moved": 0}));
    let question = run_docket(&["redrive", "--local"], &[]).await;
    assert_eq!(question.code, Some(2), "{}", question.stderr);
    assert!(question.stdout.starts_with("messages  reason") && question.stdout.contains("12        guardrail_"));
    assert!(question.stderr.contains("Move 12 dead letters back to their queue?"), "{}", question.stderr);
    let none = run_docket(&["redrive", "--local", "--error-code", "document_empty", "--yes"], &[]).await;
    assert!(none.stderr.ends_with("0 of 0 dead letters moved\n"), "{}", none.stderr);
    let moved = run_docket(&["redrive", "--local", "--yes", "--json"], &[]).await;
    assert_eq!((moved.code, &moved.json()["moved"]), (Some(0), &json!(12)), "{}", moved.stderr);
    for id in &ids {
        eventually("a complete job", async || (stack.status(id).await == "complete").then_some(())).await;
        assert_eq!(stack.row(id).await.expect("a job").attempt, 2);
    }
    // The message that is no job stayed, and is visible again.
    assert_eq!(stack.drain_dead_letters().await, 1);
    let empty = run_docket(&["redrive", "--local", "--json"], &[]).await;
    assert_eq!((empty.code, &empty.json()["dead_letters"]), (Some(0), &Value::Object(serde_json::Map::new())));
}
