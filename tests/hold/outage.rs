//! Outages of the model: it fails, or its endpoint closes every connection.

use std::sync::atomic::Ordering;
use std::time::Duration;

use docket::domain::hold::HoldKind;
use docket::domain::job::stored::{State, StoredJob};
use docket::domain::limits::OUTAGE_PROBE_MAX;
use serde_json::json;
use test_support::virtual_queue::Pace;

use crate::account::{Account, completion_time, documents};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
enum Outage {
    Fails,
    Refuses,
}

impl Outage {
    fn begin(self, account: &Account) {
        let faults = match self {
            Self::Fails => json!([{"kind": "server_error"}]),
            Self::Refuses => json!([]),
        };
        account.world.model.behave(json!({"faults": faults}));
        account.services.refuses_model.store(matches!(self, Self::Refuses), Ordering::Relaxed);
    }
}

/// One minute of each outage, with at least 200 documents in the queue.
async fn run(outages: [Outage; 2]) {
    let account = Account::start(3).await;
    outages[0].begin(&account);
    let ids = account.send_mixed(documents(200)).await;
    account.skip_to(MINUTE).await;
    let hold = account.wait_for_hold().await;
    assert_eq!(hold.kind, HoldKind::Outage, "{hold:?}");
    outages[1].begin(&account);
    account.skip_to(2 * MINUTE).await;
    account.assert_waiting(&ids).await;
    account.services.refuses_model.store(false, Ordering::Relaxed);
    account.world.model.behave(json!({}));
    let lift = account.wait_for_lift(&ids).await;
    println!("hold: {outages:?}; {lift:?}");
    assert!(lift.resent_at <= 2 * MINUTE + OUTAGE_PROBE_MAX + MINUTE / 2, "{lift:?}");
    assert!(lift.all_after < completion_time(ids.len()), "{lift:?}");
    account.assert_complete(&ids).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn errors_then_refused_connections_fail_no_document() {
    run([Outage::Fails, Outage::Refuses]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn refused_connections_then_errors_fail_no_document() {
    run([Outage::Refuses, Outage::Fails]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn document_that_alone_causes_errors_fails_after_its_attempts() {
    let account = Account::start(2).await;
    account.world.model.behave(json!({"faults": [{"kind": "server_error", "job_id": "alone"}]}));
    account.queue.set_pace(Pace::SkipUntil(100 * MINUTE));
    account.send_inline("alone");
    let ids = account.send_mixed(30).await;
    account.wait_until_complete(&ids).await;
    test_support::eventually("a failed job", async || (account.world.status("alone").await == "failed").then_some(()))
        .await;
    let State::Failed { error, .. } = account.world.row("alone").await.expect("a stored job").state else { panic!() };
    assert_eq!(error.code, "attempts_exhausted");
    assert_eq!((account.world.model.calls_of("alone"), account.probes()), (3, 0));
    assert_eq!(account.queue.dead_letters().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn partial_outage_fails_no_document() {
    let account = Account::start(3).await;
    // Some calls are answered all the time.
    account.world.model.behave(json!({"faults": [{"kind": "server_error", "rate": 0.9}], "seed": 1}));
    let ids = account.send_mixed(documents(100)).await;
    account.wait_for_hold().await;
    account.skip_to(10 * MINUTE).await;
    let rows: Vec<StoredJob> = account.rows(&ids).await.into_iter().flatten().collect();
    let failed: Vec<&StoredJob> = rows.iter().filter(|row| matches!(row.state, State::Failed { .. })).collect();
    assert!(failed.is_empty(), "{failed:?}");
    account.world.model.behave(json!({}));
    account.queue.set_pace(Pace::SkipUntil(24 * 60 * MINUTE));
    account.wait_until_complete(&ids).await;
    let charged = account.rows(&ids).await.into_iter().flatten().map(|row| row.charged_attempts.saturating_sub(1));
    println!("hold: {} attempts were charged for failed calls", charged.sum::<u32>());
    assert_eq!(account.queue.dead_letters().len(), 0);
}
