//! StartAsyncInvoke and GetAsyncInvoke against the stand-in and the Bedrock of the local
//! AWS. Repeated starts of a job make one invocation, and each error has its class.

mod local_aws;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_bedrockruntime::config::Credentials;
use aws_sdk_bedrockruntime::types::{AsyncInvokeStatus, SortOrder};
use docket::aws::async_invoke::{AsyncModel, AsyncTimeouts, Start};
use docket::domain::async_invocation::request::{
    AsyncInvoke, Invocation, InvocationArn, client_request_token, output_uri,
};
use docket::domain::failure::{Failure, codes};
use docket::domain::job::ending::AttemptError;
use serde_json::json;
use test_support::eventually;
use test_support::stand_in::StandIn;

const BUCKET: &str = "documents";

async fn sdk(url: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(docket::aws::http_client())
        .endpoint_url(url)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .load()
        .await
}

async fn model(stand_in: &StandIn) -> AsyncModel {
    let timeouts = AsyncTimeouts { start: Duration::from_secs(2), poll: Duration::from_secs(1) };
    AsyncModel::new(&sdk(&stand_in.url).await, timeouts)
}

/// A request whose input has many fields. The order of the fields must not change.
fn request() -> AsyncInvoke {
    let fields: BTreeMap<String, usize> = (0..20).map(|n| (format!("field{n}"), n)).collect();
    AsyncInvoke {
        model_id: "amazon.nova-2-multimodal-embeddings-v1:0".into(),
        model_input: json!({"taskType": "SEGMENTED_EMBEDDING", "text": "é \u{1} \"/", "rate": 0.1, "fields": fields}),
        tags: [("team", "legal"), ("cost centre", "42")].map(|(key, value)| (key.into(), value.into())).into(),
    }
}

async fn start(model: &AsyncModel, job_id: &str, generation: u32) -> Result<InvocationArn, AttemptError> {
    start_request(model, job_id, generation, &request()).await
}

async fn start_request(
    model: &AsyncModel,
    job_id: &str,
    generation: u32,
    request: &AsyncInvoke,
) -> Result<InvocationArn, AttemptError> {
    let job_id = job_id.parse().unwrap();
    let token = client_request_token(BUCKET, &job_id, generation);
    model.start(&Start { request, output_uri: &output_uri(BUCKET, &job_id), token: &token }).await
}

async fn poll_until_ended(model: &AsyncModel, arn: &InvocationArn) -> Invocation {
    eventually("the end of the invocation", async || {
        let invocation = model.poll(arn).await.expect("a poll");
        (invocation != Invocation::InProgress).then_some(invocation)
    })
    .await
}

#[tokio::test]
async fn job_started_repeatedly_has_one_invocation() {
    let stand_in = StandIn::start();
    stand_in.behave(json!({"async_latency_ms": 500}));
    let model = model(&stand_in).await;
    let first = start(&model, "a-job", 0).await.unwrap();
    for _ in 0..9 {
        assert_eq!(start(&model, "a-job", 0).await.unwrap(), first);
    }
    let concurrent = futures_util::future::join_all((0..10).map(|_| start(&model, "a-job", 0))).await;
    assert!(concurrent.into_iter().all(|arn| arn.unwrap() == first));
    poll_until_ended(&model, &first).await;
    assert_eq!(start(&model, "a-job", 0).await.unwrap(), first, "a start finds an ended invocation too");
    let seen = &stand_in.calls()["async"];
    assert_eq!((&seen["starts"], &seen["invocations"]), (&json!(21), &json!(1)));
    assert_eq!(seen["by_output"], json!({"s3://documents/results/a-job/": 1}));
    assert_eq!(stand_in.calls()["total"], 0, "a start is not a Converse call");
}

#[tokio::test]
async fn job_started_by_twenty_workers_has_one_invocation() {
    let stand_in = StandIn::start();
    // Each worker has its own client.
    let mut models = Vec::new();
    for _ in 0..20 {
        models.push(model(&stand_in).await);
    }
    let arns = futures_util::future::join_all(models.iter().map(|model| start(model, "a-job", 0))).await;
    let first = arns[0].clone().unwrap();
    assert!(arns.into_iter().all(|arn| arn.unwrap() == first));
    assert_eq!(stand_in.calls()["async"]["invocations"], 1);
}

#[tokio::test]
async fn start_after_a_lost_response_finds_its_invocation() {
    let stand_in = StandIn::start();
    let model = model(&stand_in).await;
    for (kind, code) in [("answer_lost", codes::MODEL_UNREACHABLE), ("hang", codes::MODEL_TIMEOUT)] {
        stand_in.behave(json!({"async_faults": [{"kind": kind, "times": 2}]}));
        for _ in 0..2 {
            let lost = start(&model, kind, 0).await.expect_err("the response is lost");
            assert!(matches!(&lost, AttemptError::NoAnswer(failure) if failure.code == code), "{kind}: {lost:?}");
        }
        let found = start(&model, kind, 0).await.unwrap();
        assert_eq!(start(&model, kind, 0).await.unwrap(), found);
    }
    let seen = &stand_in.calls()["async"];
    assert_eq!((&seen["starts"], &seen["invocations"]), (&json!(8), &json!(2)));
}

#[tokio::test]
async fn other_job_and_other_generation_are_new_invocations() {
    let stand_in = StandIn::start();
    let model = model(&stand_in).await;
    let mut arns = Vec::new();
    for (job_id, generation) in [("a", 0), ("a", 3), ("b", 0)] {
        arns.push(start(&model, job_id, generation).await.unwrap());
    }
    arns.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    arns.dedup();
    assert_eq!(arns.len(), 3);
}

#[tokio::test]
async fn token_with_another_request_is_a_permanent_conflict() {
    let stand_in = StandIn::start();
    let model = model(&stand_in).await;
    start(&model, "a-job", 0).await.unwrap();
    let other = AsyncInvoke { model_input: json!({"another": true}), ..request() };
    let error = start_request(&model, "a-job", 0, &other).await.expect_err("a conflict");
    let AttemptError::Permanent(Failure { code, .. }) = error else { panic!("{error:?}") };
    assert_eq!(code, "conflict_exception");
    assert_eq!(stand_in.calls()["async"]["invocations"], 1);
}

#[tokio::test]
async fn every_start_and_poll_error_has_its_class_without_retry() {
    let stand_in = StandIn::start();
    let model = model(&stand_in).await;
    let arn = start(&model, "a-job", 0).await.unwrap();
    let (throttled, no_answer, permanent) = ("throttled", "no answer", "permanent");
    let (refused, account_fault) = ("refused", "account fault");
    for (kind, class, code, takes_effect) in [
        ("throttling", throttled, "throttling_exception", false),
        ("unavailable", throttled, "service_unavailable_exception", false),
        ("quota_exceeded", throttled, "service_quota_exceeded_exception", false),
        ("server_error", no_answer, "internal_server_exception", false),
        ("hang", no_answer, codes::MODEL_TIMEOUT, true),
        ("answer_lost", no_answer, codes::MODEL_UNREACHABLE, true),
        ("conflict", permanent, "conflict_exception", false),
        ("validation", refused, "validation_exception", false),
        ("access_denied", account_fault, "access_denied_exception", false),
        ("not_found", account_fault, "resource_not_found_exception", false),
    ] {
        for on in ["start", "get"] {
            stand_in.behave(json!({"async_faults": [{"kind": kind, "on": on}]}));
            let before = stand_in.calls()["async"].clone();
            let error = match on {
                "start" => start(&model, kind, 0).await.map(|_| ()),
                _ => model.poll(&arn).await.map(|_| ()),
            };
            let error = error.expect_err(kind);
            let (class_of, failure) = match &error {
                AttemptError::Throttled(failure) => (throttled, failure),
                AttemptError::NoAnswer(failure) => (no_answer, failure),
                AttemptError::Permanent(failure) => (permanent, failure),
                AttemptError::Refused(failure) => (refused, failure),
                AttemptError::AccountFault(failure) => (account_fault, failure),
                AttemptError::StoreUnavailable(_)
                | AttemptError::Transient(_)
                | AttemptError::Unproven { .. }
                | AttemptError::OnHold(_)
                | AttemptError::NotStored(_)
                | AttemptError::NoTime
                | AttemptError::NotAlone
                | AttemptError::OverQuota(_)
                | AttemptError::Cancelled => panic!("{kind}: {error:?}"),
            };
            assert_eq!((class_of, failure.code.as_str()), (class, code), "{on} {kind}: {failure:?}");
            let after = &stand_in.calls()["async"];
            let rise = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
            assert_eq!(rise("starts") + rise("gets"), 1, "{on} {kind}: the client must not retry");
            assert_eq!(rise("invocations"), u64::from(takes_effect && on == "start"), "{on} {kind}");
        }
    }
}

#[tokio::test]
async fn start_and_poll_have_separate_timeouts() {
    let stand_in = StandIn::start();
    let model = model(&stand_in).await;
    let arn = start(&model, "a-job", 0).await.unwrap();
    stand_in.behave(json!({"async_faults": [{"kind": "hang"}, {"kind": "hang", "on": "get"}]}));
    let begun = Instant::now();
    model.poll(&arn).await.expect_err("the poll hangs");
    let poll = begun.elapsed();
    start(&model, "another", 0).await.expect_err("the start hangs");
    let start = begun.elapsed() - poll;
    assert!((Duration::from_millis(900)..Duration::from_millis(1_900)).contains(&poll), "{poll:?}");
    assert!((Duration::from_millis(1_900)..Duration::from_secs(4)).contains(&start), "{start:?}");
}

#[tokio::test]
async fn poll_reports_a_running_and_a_completed_invocation() {
    let stand_in = StandIn::start();
    stand_in.behave(json!({"async_latency_ms": 700}));
    let model = model(&stand_in).await;
    let arn = start(&model, "a-job", 0).await.unwrap();
    assert_eq!(model.poll(&arn).await.unwrap(), Invocation::InProgress);
    let Invocation::Completed { output_uri, ended_at } = poll_until_ended(&model, &arn).await else {
        panic!("not completed")
    };
    let id = arn.as_str().rsplit('/').next().unwrap();
    assert_eq!(output_uri, format!("s3://documents/results/a-job/{id}"));
    assert!(ended_at.is_some());
    assert_eq!(stand_in.calls()["async"]["outputs"], "not written: no --s3-endpoint");
}

#[tokio::test]
async fn poll_reports_a_failed_invocation_with_its_reason() {
    let stand_in = StandIn::start();
    let reason = "The input video could not be decoded.";
    stand_in.behave(json!({"async_latency_ms": 300, "async_faults": [
        {"kind": "failed", "on": "invocation", "message": reason, "output_contains": "results/bad/"},
    ]}));
    let model = model(&stand_in).await;
    let (bad, good) = (start(&model, "bad", 0).await.unwrap(), start(&model, "good", 0).await.unwrap());
    let Invocation::Failed { message, ended_at } = poll_until_ended(&model, &bad).await else { panic!("not failed") };
    assert_eq!(message, reason);
    assert!(ended_at.is_some());
    assert!(matches!(poll_until_ended(&model, &good).await, Invocation::Completed { .. }));
    assert_eq!(stand_in.calls()["async"]["by_status"], json!({"Completed": 1, "Failed": 1}));
}

#[tokio::test]
async fn poll_of_an_unknown_invocation_is_refused() {
    let stand_in = StandIn::start();
    let arn = InvocationArn::new("arn:aws:bedrock:us-east-1:000000000000:async-invoke/aaaaaaaaaaaa");
    let error = model(&stand_in).await.poll(&arn).await.expect_err("the invocation is unknown");
    assert!(matches!(error, AttemptError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn local_limits_agree_with_those_of_the_service() {
    let stand_in = StandIn::start();
    let model = model(&stand_in).await;
    let tags: BTreeMap<_, _> = (0..200).map(|n| (format!("{n:0>128}"), "v".repeat(256))).collect();
    let largest = AsyncInvoke { model_id: "m".repeat(256), model_input: json!("x".repeat(899_998)), tags };
    largest.check().unwrap();
    start_request(&model, &"j".repeat(128), u32::MAX, &largest).await.unwrap();
    for invalid in [
        AsyncInvoke { model_id: "a model".into(), ..request() },
        AsyncInvoke { tags: [("k".into(), "ü".into())].into(), ..request() },
    ] {
        invalid.check().expect_err("the local limits refuse the request");
        let error = start_request(&model, "a-job", 0, &invalid).await.expect_err("the service refuses it");
        assert!(
            matches!(&error, AttemptError::Refused(failure) if failure.code == "validation_exception"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn stand_in_lists_invocations_with_pages_and_filters() {
    let stand_in = StandIn::start();
    stand_in.behave(json!({"async_faults": [{"kind": "failed", "on": "invocation", "times": 2}]}));
    let model = model(&stand_in).await;
    let mut arns = Vec::new();
    for n in 0..5 {
        arns.push(start(&model, &format!("job-{n}"), 0).await.unwrap().as_str().to_owned());
        poll_until_ended(&model, &InvocationArn::new(&arns[n])).await;
    }
    let client = aws_sdk_bedrockruntime::Client::new(&sdk(&stand_in.url).await);
    let mut pages = client.list_async_invokes().max_results(2).into_paginator().send();
    let (mut listed, mut sizes) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let summaries = page.unwrap().async_invoke_summaries.unwrap_or_default();
        sizes.push(summaries.len());
        listed.extend(summaries.into_iter().map(|summary| summary.invocation_arn));
    }
    assert_eq!((listed, sizes), (arns.clone(), vec![2, 2, 1]));
    let failed = client.list_async_invokes().status_equals(AsyncInvokeStatus::Failed).sort_order(SortOrder::Descending);
    let failed = failed.send().await.unwrap();
    let failed_arns: Vec<_> = failed.async_invoke_summaries().iter().map(|summary| summary.invocation_arn()).collect();
    assert_eq!(failed_arns, [&arns[1], &arns[0]]);
    let last = failed.async_invoke_summaries()[0].submit_time();
    let later = client.list_async_invokes().submit_time_after(*last).send().await.unwrap();
    assert!(later.async_invoke_summaries().iter().all(|summary| summary.submit_time() > last));
    client.list_async_invokes().max_results(1_001).send().await.expect_err("more than the maximal page");
}
