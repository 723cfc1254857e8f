//! The hold of the documents bucket.

use std::sync::atomic::Ordering;
use std::time::Duration;

use docket::domain::hold::{HoldKind, HoldTarget};
use docket::domain::job::stored::{State, StoredResult};
use docket::domain::limits::HOLD_PROBE_MAX;
use serde_json::json;

use crate::account::Account;

const MINUTE: Duration = Duration::from_secs(60);
const MAX_ATTEMPTS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn refused_results_cost_few_calls_and_fail_no_document() {
    let account = Account::start(2).await;
    account.world.model.behave(json!({"faults": [{"kind": "long_random"}]}));
    account.services.refuses_results.store(true, Ordering::Relaxed);
    let ids = account.send_mixed(40).await;
    account.skip_to(20 * MINUTE).await;
    let hold = account.hold(&HoldTarget::Store).await.expect("a hold of the store");
    assert_eq!(hold.kind, HoldKind::StoreRefusal);
    assert_eq!(
        (hold.reason.code.as_str(), hold.reason.message.as_str()),
        ("store_unavailable", "s3:PutObject/AccessDenied")
    );
    let calls = account.calls();
    let paid =
        account.rows(&ids).await.into_iter().flatten().find(|row| row.charged_attempts > 0).expect("a paid call");
    let error = paid.last_error.as_ref().expect("an error");
    assert_eq!((error.code.as_str(), error.message.as_str()), ("store_unavailable", "s3:PutObject/AccessDenied"));
    let last = paid.attempts.last().expect("an attempt");
    assert_eq!((last.end.as_str(), last.code.as_deref()), ("on_hold", Some("store_unavailable")));
    account.services.refuses_results.store(false, Ordering::Relaxed);
    let lift = account.wait_for_lift(&ids).await;
    println!("hold: {calls} calls while the bucket refused results; {lift:?}");
    assert!(lift.resent_at <= 20 * MINUTE + HOLD_PROBE_MAX + MINUTE / 2, "{lift:?}");
    assert!(lift.all_after < 5 * MINUTE, "{lift:?}");
    let counts = account.world.model.calls()["by_job"].clone();
    for (id, row) in ids.iter().zip(account.rows(&ids).await) {
        let row = row.expect("a stored job");
        assert!(matches!(row.state, State::Complete(_)), "{row:?}");
        let count = counts[id].as_u64().expect("a call");
        assert!(count <= MAX_ATTEMPTS && u64::from(row.charged_attempts) == count, "{id}: {count} calls; {row:?}");
    }
    assert!(account.services.store_probes.load(Ordering::Relaxed) >= 5);
    assert_eq!(counts["docket-canary"], json!(null), "the store is probed by no call of a model");
    assert_eq!(account.hold(&HoldTarget::Store).await, None);
    assert!(account.queue.dead_letters().is_empty());
    let log = account.stop().await;
    let line = log.lines().find(|line| line.contains("record handled") && line.contains("s3:PutObject/AccessDenied"));
    assert!(line.is_some_and(|line| line.contains(r#""cause":"s3:PutObject/AccessDenied""#)), "{line:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn paid_large_result_is_stored_on_its_job_if_it_fits() {
    let account = Account::start(2).await;
    account.world.model.behave(json!({"faults": [{"kind": "long"}]}));
    account.services.refuses_results.store(true, Ordering::Relaxed);
    let ids = account.send_mixed(12).await;
    account.wait_until_complete(&ids).await;
    for (id, row) in ids.iter().zip(account.rows(&ids).await) {
        let State::Complete(done) = row.expect("a stored job").state else { panic!("{id} is not complete") };
        let StoredResult::Inline(result) = done.result else { panic!("{id} has its result in the bucket") };
        assert!(result["summary"].as_str().expect("a summary").len() >= 400_000, "{id}");
        let item = account.world.item(id).await;
        assert!(item.contains_key("result_packed") && !item.contains_key("result"), "{id}");
        assert_eq!(account.world.model.calls_of(id), 1, "{id}");
    }
    assert_eq!(account.hold(&HoldTarget::Store).await, None);
    account.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn refused_chunks_are_paid_for_a_bounded_number_of_times() {
    let account = Account::start_with(2, &[("CHUNK_MAX_BYTES", "1000")]).await;
    // A call of each job is throttled, so that its attempt ends with answers that no object has.
    let faults: Vec<_> =
        (0..8).map(|n| json!({"kind": "throttling", "job_id": format!("long-{n}"), "times": 2})).collect();
    account.world.model.behave(json!({"latency_ms": 20, "faults": faults}));
    account.services.refuses_chunks.store(true, Ordering::Relaxed);
    let ids: Vec<String> = (0..8).map(|n| format!("long-{n}")).collect();
    for id in &ids {
        let text: String =
            (0..90).map(|line| format!("{id}, clause {line}: the tenant pays a rent of 900 euros.\n")).collect();
        account.queue.send(&json!({"job_id": id, "document": text}).to_string());
    }
    account.skip_to(20 * MINUTE).await;
    let calls = || account.services.calls.lock().unwrap().clone();
    let paid = calls();
    assert!(paid.values().all(|count| *count <= MAX_ATTEMPTS), "{:?}", paid.values().max());
    let charged = account.rows(&ids).await.into_iter().flatten().filter(|row| row.charged_attempts > 0).count();
    assert!(charged > 0, "an attempt that lost paid answers is charged");
    account.services.refuses_chunks.store(false, Ordering::Relaxed);
    account.skip_to(60 * MINUTE).await;
    account.wait_until_complete(&ids).await;
    let paid = calls();
    println!("chunks: {} calls for {} chunks and joins", paid.values().sum::<u64>(), paid.len());
    assert!(paid.values().all(|count| *count <= MAX_ATTEMPTS), "{:?}", paid.values().max());
    assert!(account.queue.dead_letters().is_empty());
    account.stop().await;
}
