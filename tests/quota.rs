//! Keeping to a quota: the reservation in both of its forms, and the consumer's
//! real binary under a quota that is full, scarce, or another model's.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use docket::aws::quota::{QuotaRow, Quotas, Reservation};
use docket::clock::now;
use docket::domain::limits::QUOTA_BURST;
use docket::domain::quota::gcra::{Slot, find_slot, used_until_after};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use test_support::aws::World;
use test_support::stand_in::get;
use test_support::unique;

const TIME: Duration = Duration::from_secs(30);
const MODEL: &str = "test.model-v1:0";

/// A world with a table of quotas.
struct Limited {
    world: World,
    table: String,
}

impl Limited {
    async fn new() -> Self {
        let (world, table) = (World::new().await, unique("quotas"));
        let name = AttributeDefinition::builder().attribute_name("quota").attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name("quota").key_type(KeyType::Hash);
        aws_sdk_dynamodb::Client::new(&world.sdk)
            .create_table()
            .table_name(&table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(name.build().expect("whole"))
            .key_schema(key.build().expect("whole"))
            .send()
            .await
            .expect("a table");
        Self { world, table }
    }

    fn quotas(&self) -> Quotas {
        Quotas::new(&self.world.sdk, self.table.clone())
    }

    async fn reserve(quotas: &Quotas, taken: SignedDuration, now: Timestamp, wait: SignedDuration) -> Option<Slot> {
        let row: QuotaRow = quotas.read(MODEL).await.expect("the table answers");
        let wanted = Reservation { reserved: taken, now, latest_start: now + wait, used_fraction: None };
        // One that met too many others is an error, and took nothing.
        quotas.reserve(MODEL, row, wanted).await.ok()
    }

    async fn used_until(&self) -> Option<Timestamp> {
        let key = AttributeValue::S(MODEL.to_owned());
        let client = aws_sdk_dynamodb::Client::new(&self.world.sdk);
        let answer = client.get_item().table_name(&self.table).key("quota", key).consistent_read(true).send().await;
        let item = answer.expect("the table answers").item?;
        let micros = item.get("used_until_us")?.as_n().expect("a number").parse().expect("a whole number");
        Some(Timestamp::from_microsecond(micros).expect("a time"))
    }

    async fn set_used_until(&self, until: Option<Timestamp>) {
        let until = until.map(|until| ("used_until_us", until.as_microsecond().to_string()));
        self.put_row(until.as_slice()).await;
    }

    /// The quota's row, of these numbers alone.
    async fn put_row(&self, numbers: &[(&str, String)]) {
        let fields = numbers.iter().map(|(name, number)| ((*name).to_owned(), AttributeValue::N(number.clone())));
        let key = [("quota".to_owned(), AttributeValue::S(MODEL.to_owned()))];
        let client = aws_sdk_dynamodb::Client::new(&self.world.sdk);
        let item = key.into_iter().chain(fields).collect();
        client.put_item().table_name(&self.table).set_item(Some(item)).send().await.expect("written");
    }

    async fn consumer(&self, more: &[(&str, &str)]) -> test_support::function::Function {
        let quota = [("QUOTAS_TABLE", self.table.as_str())];
        self.world.consumer_with(&[&quota, more].concat()).await
    }

    /// As many messages, received, each with a document.
    async fn messages(&self, names: impl IntoIterator<Item = String>, more: Value) -> Value {
        let bodies = names.into_iter().map(|job_id| {
            let mut body = json!({"job_id": job_id, "document": "The tenant pays a rent of 900 euros."});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            (body.to_string(), HashMap::new())
        });
        self.world.delivered(&bodies.collect::<Vec<_>>()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn the_decision_and_the_conditional_write_agree_on_every_case() {
    let limited = Limited::new().await;
    let quotas = limited.quotas();
    let (mut made, mut refused) = (0, 0);
    let us = SignedDuration::from_micros;
    let burst = SignedDuration::try_from(QUOTA_BURST).unwrap();
    for wait in [us(0), us(4_000_000)] {
        let edges = [us(-60_000_000), us(-1), us(0), us(1), burst, burst + us(1), burst + wait, burst + wait + us(1)];
        for from_now in [None, Some(us(600_000_000))].into_iter().chain(edges.map(Some)) {
            for taken in [us(1), us(1_500_000), us(90_000_000)] {
                let at = now();
                let before = from_now.map(|from_now| at + from_now);
                limited.set_used_until(before).await;
                let found = Limited::reserve(&quotas, taken, at, wait).await.expect("nobody else asks");
                let name = format!("used up {from_now:?} from now, {taken:?} taken, {wait:?} to wait");
                assert_eq!(found, find_slot(before, at, at + wait), "{name}");
                let after = limited.used_until().await;
                match found {
                    Slot::Admit { at: start } => {
                        made += 1;
                        assert!(start >= at && start <= at + wait, "{name}: {start}");
                        assert_eq!(after, Some(used_until_after(before, at, taken)), "{name}");
                    }
                    Slot::Reject { retry_at: free_at } => {
                        refused += 1;
                        assert!(free_at > at, "{name}: {free_at}");
                        assert_eq!(after, before, "{name}: a refused reservation changed the row");
                    }
                }
            }
        }
    }
    assert!(made > 20 && refused > 5, "the cases cover too little: {made}, {refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn reservations_side_by_side_are_each_counted_once() {
    let limited = Limited::new().await;
    let taken = SignedDuration::from_millis(500);
    let at = now();
    let asked: Vec<_> = (0..32)
        .map(|_| {
            let quotas = limited.quotas();
            tokio::spawn(async move { Limited::reserve(&quotas, taken, at, SignedDuration::from_secs(4)).await })
        })
        .collect();
    let mut starts = Vec::new();
    for asked in asked {
        if let Some(Slot::Admit { at: start }) = asked.await.expect("no panic") {
            starts.push(start);
        }
    }
    // A burst of 2 s and a wait of 4 s hold twelve of 0.5 s, and one that begins last.
    assert!(!starts.is_empty() && starts.len() <= 13, "{}", starts.len());
    assert_eq!(limited.used_until().await, Some(at + taken * starts.len() as i32));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn what_would_wait_too_long_goes_back_to_the_queue_unclaimed_and_uncharged() {
    let limited = Limited::new().await;
    limited.set_used_until(Some(now() + Duration::from_secs(60))).await;
    let before = limited.used_until().await;
    let consumer = limited.consumer(&[("MODEL_TOKENS_PER_MINUTE", "600000")]).await;
    let event = limited.messages((0..10).map(|n| format!("over-{n}")), json!({})).await;
    let answer = consumer.invoke(event, TIME).await.expect("an answer");
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(10), "{answer}");
    for n in 0..10 {
        assert_eq!(limited.world.status(&format!("over-{n}")).await, "none", "it was claimed");
    }
    assert_eq!(limited.world.model.calls()["total"], 0);
    assert_eq!(limited.used_until().await, before, "what is refused takes nothing");
    assert!(limited.world.letters().await.is_empty());
    assert_eq!(limited.world.queued().await, (0, 10), "they wait for the quota, and are not had at once");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn calls_begin_as_fast_as_the_quota_feeds_them() {
    let limited = Limited::new().await;
    // Ten calls a second: a burst of 20, and ten more each second.
    let consumer = limited.consumer(&[("MODEL_REQUESTS_PER_MINUTE", "600")]).await;
    limited.world.model.behave(json!({"latency_ms": 200}));
    let event = limited.messages((0..60).map(|n| format!("fed-{n}")), json!({})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let log = get(&format!("{}/_calls/log", limited.world.model.url));
    let mut began: Vec<u64> = log.as_array().unwrap().iter().map(|call| call["began_ms"].as_u64().unwrap()).collect();
    began.sort_unstable();
    assert_eq!(began.len(), 60);
    for (first, from) in began.iter().enumerate() {
        for (last, to) in began.iter().enumerate().skip(first) {
            // Never more than the span feeds, a burst, and one chunk that begins
            // together; calls may bunch by what a busy machine holds up.
            let most = (to - from) / 100 + 20 + 20 + 10;
            assert!((last - first) as u64 <= most, "{} calls within {} ms", last - first, to - from);
        }
    }
    let taken = began[59] - began[0];
    assert!(taken >= 1_500, "60 calls at ten a second after a burst and a chunk took {taken} ms");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn what_a_call_did_not_use_serves_the_next_without_a_write() {
    let limited = Limited::new().await;
    let settings = [("MODEL_TOKENS_PER_MINUTE", "6000000"), ("MAX_TOKENS", "60000")];
    let consumer = limited.consumer(&settings).await;
    let event = limited.messages(["unused-1".to_owned()], json!({})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let reserved = limited.used_until().await.expect("reserved");
    // Some sixty thousand tokens were reserved for each call, and a few hundred used.
    let event = limited.messages((2..5).map(|n| format!("unused-{n}")), json!({})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(limited.used_until().await, Some(reserved));
    assert_eq!(limited.world.model.calls()["total"], 4);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_call_takes_its_input_at_least_whatever_part_of_theirs_other_calls_count() {
    let limited = Limited::new().await;
    // Others have had a MaxTokens of thousands, and short answers.
    limited.put_row(&[("part", "0.01".to_owned())]).await;
    let consumer = limited.consumer(&[("MODEL_TOKENS_PER_MINUTE", "600000")]).await;
    let begun = now();
    let event = limited.messages(["large".to_owned()], json!({"document": "A rent. ".repeat(12_500)})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    // 100,000 bytes are about 25,000 tokens, of which the quota feeds 10,000 a second.
    let taken = limited.used_until().await.expect("reserved").duration_since(begun);
    assert!(taken >= SignedDuration::from_millis(2_400), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_document_that_takes_more_than_a_minutes_tokens_is_charged_for_being_throttled() {
    let limited = Limited::new().await;
    let settings = [("MODEL_TOKENS_PER_MINUTE", "10000"), ("MAX_ATTEMPTS", "2")];
    let consumer = limited.consumer(&settings).await;
    limited.world.model.behave(json!({"tokens_per_minute": 10_000}));
    for _ in 0..10 {
        // A minute later.
        limited.set_used_until(None).await;
        let event = limited.messages(["large".to_owned()], json!({"document": "A rent. ".repeat(6_000)})).await;
        consumer.invoke(event, TIME).await.expect("an answer");
        if limited.world.status("large").await == "failed" {
            break;
        }
    }
    assert_eq!((limited.world.status("large").await, limited.world.model.calls_of("large")), ("failed", 2));
    let letters = limited.world.letters().await;
    assert_eq!(letters.len(), 1);
    let row = limited.world.item("large").await;
    let message = row["error"].as_m().expect("an error")["message"].as_s().expect("a text");
    assert!(message.contains("throttling_exception") && message.contains("ModelTokensPerMinute"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_duplicate_of_a_finished_job_takes_nothing_from_the_quota() {
    let limited = Limited::new().await;
    let consumer = limited.consumer(&[("MODEL_REQUESTS_PER_MINUTE", "600")]).await;
    let event = limited.messages(["again".to_owned()], json!({})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let after_one = limited.used_until().await;
    // One reservation serves eight calls: twenty that took would make more.
    for _ in 0..20 {
        let event = limited.messages(["again".to_owned()], json!({})).await;
        assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    }
    assert_eq!(limited.used_until().await, after_one);
    assert_eq!(limited.world.model.calls_of("again"), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn another_model_has_a_quota_of_its_own() {
    let limited = Limited::new().await;
    limited.set_used_until(Some(now() + Duration::from_secs(60))).await;
    let consumer = limited.consumer(&[("MODEL_TOKENS_PER_MINUTE", "600000")]).await;
    let event = limited.messages(["other".to_owned()], json!({"model_id": "other.model-v1:0"})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(limited.world.status("other").await, "complete");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn two_functions_share_one_quota() {
    let limited = Limited::new().await;
    let settings = [("MODEL_REQUESTS_PER_MINUTE", "60"), ("MODEL_TIMEOUT_SECONDS", "5")];
    let (first, second) = (limited.consumer(&settings).await, limited.consumer(&settings).await);
    // One call a second: the first takes the burst and what can be waited for.
    let event = limited.messages((0..10).map(|n| format!("one-{n}")), json!({})).await;
    let answer = first.invoke(event, TIME).await.expect("an answer");
    let waiting = answer["batchItemFailures"].as_array().expect("a list").len();
    assert!((1..10).contains(&waiting), "{answer}");
    let before = limited.world.model.calls()["total"].as_u64().unwrap();
    assert_eq!(before, 10 - waiting as u64);
    limited.set_used_until(limited.used_until().await.map(|until| until + Duration::from_secs(30))).await;
    // Some that the first gave back may be there again, and come with these.
    let event = limited.messages((0..5).map(|n| format!("two-{n}")), json!({})).await;
    let delivered = event["Records"].as_array().expect("a list").len();
    assert!(delivered >= 5, "{event}");
    let answer = second.invoke(event, TIME).await.expect("an answer");
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(delivered), "{answer}");
    assert_eq!(limited.world.model.calls()["total"], before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn a_table_of_quotas_that_does_not_answer_costs_no_call_and_loses_nothing() {
    let limited = Limited::new().await;
    let settings = [("QUOTAS_TABLE", "no-such-table"), ("MODEL_TOKENS_PER_MINUTE", "600000")];
    let consumer = limited.world.consumer_with(&settings).await;
    let event = limited.messages(["waits".to_owned()], json!({})).await;
    let answer = consumer.invoke(event, TIME).await.expect("an answer");
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!((limited.world.status("waits").await, limited.world.queued().await), ("none", (0, 1)));
    assert_eq!(limited.world.model.calls()["total"], 0);
}
