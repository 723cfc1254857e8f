//! Holds for faults of the account, and errors that are the fault of one document.

use std::time::Duration;

use docket::domain::job::stored::State;
use docket::domain::limits::HOLD_PROBE_MAX;
use serde_json::json;
use test_support::virtual_queue::Pace;

use crate::account::{Account, completion_time, documents};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Denies access to the model until `end`, and checks that the jobs wait meanwhile.
async fn deny_access(account: &Account, ids: &[String], end: Duration) {
    account.skip_to(end).await;
    let hold = account.wait_for_hold().await;
    assert_eq!(hold.reason.code, "access_denied_exception");
    account.assert_waiting(ids).await;
    account.world.model.behave(json!({}));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn access_denied_for_20_minutes_costs_no_document() {
    let account = Account::start(4).await;
    account.world.model.behave(json!({"faults": [{"kind": "access_denied"}]}));
    let ids = account.send_mixed(documents(210)).await;
    let end = 20 * MINUTE;
    deny_access(&account, &ids, end).await;
    let calls = account.calls();
    assert!(calls <= 60, "{calls} calls of a model that is on hold");
    let lift = account.wait_for_lift(&ids).await;
    println!("hold: {calls} calls in 20 minutes; {lift:?}");
    assert!(lift.resent_at <= end + HOLD_PROBE_MAX + MINUTE / 2, "a probe is due within 15 minutes: {lift:?}");
    assert!(lift.first_after < MINUTE && lift.all_after < completion_time(ids.len()), "{lift:?}");
    account.assert_complete(&ids).await;
    assert_eq!(account.model_hold().await, None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn hold_of_three_days_uses_few_receives() {
    let account = Account::start(2).await;
    account.world.model.behave(json!({"faults": [{"kind": "access_denied"}]}));
    let ids = account.send_mixed(12).await;
    for days in 1..=3 {
        // 96 probes a day take a while on a busy machine.
        account.skip_to(days * DAY).await;
    }
    deny_access(&account, &ids, 3 * DAY).await;
    let receives = account.queue.most_receives("");
    assert!((70..100).contains(&receives), "{receives} receives in three days");
    let lift = account.wait_for_lift(&ids).await;
    println!("hold: {receives} receives in 3 days; {lift:?}");
    assert!(lift.resent_at <= 3 * DAY + HOLD_PROBE_MAX + MINUTE / 2, "{lift:?}");
    assert!(lift.all_after < completion_time(ids.len()), "{lift:?}");
    account.assert_complete(&ids).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn bad_document_among_good_ones_opens_no_hold() {
    let account = Account::start(2).await;
    account.world.model.behave(json!({"faults": [{"kind": "validation", "job_id": "bad"}]}));
    account.queue.set_pace(Pace::SkipUntil(DAY));
    let ids = account.send_mixed(15).await;
    account.send_inline("bad");
    let more = account.send_mixed(30).await;
    test_support::eventually("a failed job", async || (account.world.status("bad").await == "failed").then_some(()))
        .await;
    account.wait_until_complete(&more).await;
    assert!(ids.iter().all(|id| more.contains(id)));
    let State::Failed { error, .. } = account.world.row("bad").await.expect("a stored job").state else { panic!() };
    assert_eq!(error.code, "validation_exception");
    assert_eq!((account.probes(), account.world.model.calls_of("bad")), (0, 1));
    assert_eq!(account.queue.dead_letters().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn many_bad_documents_in_a_row_open_no_hold() {
    let account = Account::start(3).await;
    account.world.model.behave(json!({"faults": [{"kind": "validation", "job_id_contains": "bad-"}]}));
    account.queue.set_pace(Pace::SkipUntil(DAY));
    let count = documents(100);
    for n in 0..count {
        account.send_inline(&format!("bad-{n}"));
    }
    for n in 0..count {
        let id = format!("bad-{n}");
        test_support::eventually("a failed job", async || (account.world.status(&id).await == "failed").then_some(()))
            .await;
        assert_eq!(account.world.model.calls_of(&id), 1, "{id}");
    }
    assert_eq!(account.queue.dead_letters().len(), count);
    // The probe of a hold is sent before the hold is stored.
    assert_eq!((account.probes(), account.model_hold().await), (0, None));
    let canaries = account.world.model.calls_of("docket-canary");
    assert!(canaries <= 3, "{canaries} canaries of 3 environments");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn model_that_refuses_every_request_fails_no_document() {
    let account = Account::start(3).await;
    account.world.model.behave(json!({"faults": [{"kind": "validation"}]}));
    let ids = account.send_mixed(documents(60)).await;
    account.skip_to(5 * MINUTE).await;
    let hold = account.wait_for_hold().await;
    assert_eq!(hold.reason.code, "validation_exception");
    account.assert_waiting(&ids).await;
    let calls = account.calls();
    assert!(calls <= 60, "{calls} calls of a model that refuses every request");
    account.world.model.behave(json!({}));
    let lift = account.wait_for_lift(&ids).await;
    assert!(lift.all_after < completion_time(ids.len()), "{lift:?}");
    account.assert_complete(&ids).await;
}
