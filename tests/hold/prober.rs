//! Crashes of the worker that probes a hold.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use test_support::virtual_queue::Pace;

use crate::account::Account;

const MINUTE: Duration = Duration::from_secs(60);

/// Opens a hold, and lets its fault end.
async fn hold_jobs(account: &Account) -> Vec<String> {
    account.world.model.behave(json!({"faults": [{"kind": "access_denied"}]}));
    let ids = account.send_mixed(12).await;
    account.wait_for_hold().await;
    account.world.model.behave(json!({}));
    ids
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn hold_is_probed_after_its_prober_was_killed() {
    let account = Account::start(1).await;
    let ids = hold_jobs(&account).await;
    account.services.hangs_canary.store(true, Ordering::Relaxed);
    account.queue.set_pace(Pace::SkipUntil(10 * MINUTE));
    test_support::eventually("a probe", async || (account.services.canaries.load(Ordering::Relaxed) > 0).then_some(()))
        .await;
    let hold = account.model_hold().await.expect("a hold");
    assert!(hold.probe_lease_until.is_some(), "the prober has the lease: {hold:?}");
    account.kill_workers();
    account.services.hangs_canary.store(false, Ordering::Relaxed);
    // The lease is true time. The next worker begins shortly before its end.
    account.queue.set_pace(Pace::Real);
    let lease_left = hold.probe_lease_until.expect("a lease").duration_since(Timestamp::now());
    tokio::time::sleep(Duration::try_from(lease_left).expect("a lease") - Duration::from_millis(200)).await;
    account.start_worker().await;
    let lift = account.wait_for_lift(&ids).await;
    assert!(lift.resent_at < 5 * MINUTE, "SQS redelivers the probe: {lift:?}");
    assert!(lift.all_after < MINUTE, "{lift:?}");
    account.assert_complete(&ids).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn jobs_are_resent_after_a_crash_at_the_end_of_the_hold() {
    let account = Account::start(1).await;
    let ids = hold_jobs(&account).await;
    account.queue.lose(Some(r#""control":"resend""#));
    account.queue.set_pace(Pace::SkipUntil(10 * MINUTE));
    test_support::eventually("a lost message", async || account.queue.has_lost().then_some(())).await;
    account.kill_workers();
    account.queue.lose(None);
    assert_eq!((account.model_hold().await, account.resends().len()), (None, 0));
    account.start_worker().await;
    let lift = account.wait_for_lift(&ids).await;
    assert!(lift.resent_at < 5 * MINUTE, "SQS redelivers the probe: {lift:?}");
    assert!(lift.all_after < MINUTE, "{lift:?}");
    account.assert_complete(&ids).await;
}
