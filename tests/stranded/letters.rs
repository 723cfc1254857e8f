//! The sweep deletes the dead letters of jobs that ended otherwise or were queued again.

use serde_json::{Value, json};

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn dead_letters_of_recovered_jobs_are_deleted() {
    let scene = Scene::start().await;
    scene.world.model.behave(json!({"faults": [{"kind": "guardrail"}]}));
    let ids: Vec<String> = (0..24).map(|n| format!("job-{n}")).collect();
    scene.submit_batch("leases", &ids).await;
    scene.deliver_all().await;
    assert_eq!(scene.statuses(&ids).await.get("failed"), Some(&24));
    assert_eq!(test_support::aws::queued(&scene.world.sdk, &scene.world.dead_letters).await.0, 24);
    scene.sweep().await;
    let letters = async || test_support::aws::queued(&scene.world.sdk, &scene.world.dead_letters).await;
    assert_eq!(letters().await, (24, 0), "each job has failed");
    // The cause is mended for 20 jobs; four fail again, and have a second letter each.
    let faults: Vec<Value> = (0..4).map(|n| json!({"kind": "guardrail", "job_id": format!("job-{n}")})).collect();
    scene.world.model.behave(json!({"faults": faults}));
    assert_eq!(scene.ask("POST", "/batches/{batch_id}/retry", "leases", "", Value::Null).await.0, 202);
    scene.deliver_all().await;
    assert_eq!(scene.statuses(&ids).await, [("complete", 20), ("failed", 4)].into());
    assert_eq!(letters().await, (28, 0));
    scene.sweep().await;
    assert_eq!(letters().await, (4, 0), "the letters of the jobs that are failed");
    let left = scene.world.drain_dead_letters().await;
    assert!(left.iter().all(|letter| letter.attributes["failed_attempt"] == "2"), "{left:?}");
}
