//! Admission to a quota: the reservation in both of its forms, and the consumer's real
//! binary. The quota is exhausted, scarce, or set for another model.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use docket::aws::quota::{Quotas, Reservation, StoredQuota};
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

/// A world with a quotas table.
struct QuotaFixture {
    world: World,
    table: String,
}

impl QuotaFixture {
    async fn new() -> Self {
        let (world, table) = (World::new().await, unique("quotas"));
        let name = AttributeDefinition::builder().attribute_name("quota").attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name("quota").key_type(KeyType::Hash);
        aws_sdk_dynamodb::Client::new(&world.sdk)
            .create_table()
            .table_name(&table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(name.build().expect("a complete definition"))
            .key_schema(key.build().expect("a complete definition"))
            .send()
            .await
            .expect("a table");
        Self { world, table }
    }

    fn quotas(&self) -> Quotas {
        Quotas::new(&self.world.sdk, self.table.clone())
    }

    async fn reserve(quotas: &Quotas, amount: SignedDuration, now: Timestamp, wait: SignedDuration) -> Option<Slot> {
        let row: StoredQuota = quotas.read(MODEL).await.expect("the table answers");
        let reservation = Reservation { reserved: amount, now, latest_start: now + wait, counted_fraction: None };
        // A reservation that loses too many conditional writes fails, and reserves nothing.
        quotas.reserve(MODEL, row, reservation).await.ok()
    }

    async fn used_until(&self) -> Option<Timestamp> {
        let key = AttributeValue::S(MODEL.to_owned());
        let client = aws_sdk_dynamodb::Client::new(&self.world.sdk);
        let answer = client.get_item().table_name(&self.table).key("quota", key).consistent_read(true).send().await;
        let item = answer.expect("the table answers").item?;
        let micros = item.get("used_until_us")?.as_n().expect("a number").parse().expect("an integer");
        Some(Timestamp::from_microsecond(micros).expect("a time"))
    }

    async fn set_used_until(&self, used_until: Option<Timestamp>) {
        let number = used_until.map(|until| ("used_until_us", until.as_microsecond().to_string()));
        self.put_quota(number.as_slice()).await;
    }

    /// Replaces the quota's item by one with these numbers.
    async fn put_quota(&self, numbers: &[(&str, String)]) {
        let fields = numbers.iter().map(|(name, number)| ((*name).to_owned(), AttributeValue::N(number.clone())));
        let key = [("quota".to_owned(), AttributeValue::S(MODEL.to_owned()))];
        let client = aws_sdk_dynamodb::Client::new(&self.world.sdk);
        let item = key.into_iter().chain(fields).collect();
        client.put_item().table_name(&self.table).set_item(Some(item)).send().await.expect("written");
    }

    async fn consumer(&self, settings: &[(&str, &str)]) -> test_support::function::Function {
        let quota = [("QUOTAS_TABLE", self.table.as_str())];
        self.world.consumer_with(&[&quota, settings].concat()).await
    }

    /// Sends and receives a message for each job id. `fields` are added to each body.
    async fn deliver(&self, job_ids: impl IntoIterator<Item = String>, fields: Value) -> Value {
        let bodies = job_ids.into_iter().map(|job_id| {
            let mut body = json!({"job_id": job_id, "document": "The tenant pays a rent of 900 euros."});
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            (body.to_string(), HashMap::new())
        });
        self.world.deliver(&bodies.collect::<Vec<_>>()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn slot_decision_and_conditional_write_agree_on_every_case() {
    let fixture = QuotaFixture::new().await;
    let quotas = fixture.quotas();
    let (mut admitted, mut rejected) = (0, 0);
    let us = SignedDuration::from_micros;
    let burst = SignedDuration::try_from(QUOTA_BURST).unwrap();
    for wait in [us(0), us(4_000_000)] {
        let edges = [us(-60_000_000), us(-1), us(0), us(1), burst, burst + us(1), burst + wait, burst + wait + us(1)];
        for from_now in [None, Some(us(600_000_000))].into_iter().chain(edges.map(Some)) {
            for amount in [us(1), us(1_500_000), us(90_000_000)] {
                let at = now();
                let before = from_now.map(|from_now| at + from_now);
                fixture.set_used_until(before).await;
                let found = QuotaFixture::reserve(&quotas, amount, at, wait).await.expect("no concurrent reservation");
                let name = format!("used until {from_now:?} from now, reserved {amount:?}, may wait {wait:?}");
                assert_eq!(found, find_slot(before, at, at + wait), "{name}");
                let after = fixture.used_until().await;
                match found {
                    Slot::Admit { at: start } => {
                        admitted += 1;
                        assert!(start >= at && start <= at + wait, "{name}: {start}");
                        assert_eq!(after, Some(used_until_after(before, at, amount)), "{name}");
                    }
                    Slot::Reject { retry_at } => {
                        rejected += 1;
                        assert!(retry_at > at, "{name}: {retry_at}");
                        assert_eq!(after, before, "{name}: a rejected reservation changed the item");
                    }
                }
            }
        }
    }
    assert!(admitted > 20 && rejected > 5, "too few cases: {admitted} admitted, {rejected} rejected");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn concurrent_reservations_are_each_counted_once() {
    let fixture = QuotaFixture::new().await;
    let amount = SignedDuration::from_millis(500);
    let at = now();
    let reservations: Vec<_> = (0..32)
        .map(|_| {
            let quotas = fixture.quotas();
            tokio::spawn(async move { QuotaFixture::reserve(&quotas, amount, at, SignedDuration::from_secs(4)).await })
        })
        .collect();
    let mut starts = Vec::new();
    for reservation in reservations {
        if let Some(Slot::Admit { at: start }) = reservation.await.expect("no panic") {
            starts.push(start);
        }
    }
    // A burst of 2 s and a wait of 4 s admit twelve reservations of 0.5 s. One more
    // starts at the end of the wait.
    assert!(!starts.is_empty() && starts.len() <= 13, "{}", starts.len());
    assert_eq!(fixture.used_until().await, Some(at + amount * starts.len() as i32));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn call_over_the_quota_is_retried_unclaimed_and_uncharged() {
    let fixture = QuotaFixture::new().await;
    fixture.set_used_until(Some(now() + Duration::from_secs(60))).await;
    let before = fixture.used_until().await;
    let consumer = fixture.consumer(&[("MODEL_TOKENS_PER_MINUTE", "600000")]).await;
    let event = fixture.deliver((0..10).map(|n| format!("over-{n}")), json!({})).await;
    let answer = consumer.invoke(event, TIME).await.expect("an answer");
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(10), "{answer}");
    for n in 0..10 {
        assert_eq!(fixture.world.status(&format!("over-{n}")).await, "none", "no job may be claimed");
    }
    assert_eq!(fixture.world.model.calls()["total"], 0);
    assert_eq!(fixture.used_until().await, before, "a rejected call reserves nothing");
    assert!(fixture.world.drain_dead_letters().await.is_empty());
    assert_eq!(fixture.world.queued().await, (0, 10), "the messages wait for the quota, and are not retried at once");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn calls_begin_at_the_rate_of_the_quota() {
    let fixture = QuotaFixture::new().await;
    // Ten calls a second: a burst of 20 at first, then ten each second.
    let consumer = fixture.consumer(&[("MODEL_REQUESTS_PER_MINUTE", "600")]).await;
    fixture.world.model.behave(json!({"latency_ms": 200}));
    let event = fixture.deliver((0..60).map(|n| format!("fed-{n}")), json!({})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let log = get(&format!("{}/_calls/log", fixture.world.model.url));
    let mut began: Vec<u64> = log.as_array().unwrap().iter().map(|call| call["began_ms"].as_u64().unwrap()).collect();
    began.sort_unstable();
    assert_eq!(began.len(), 60);
    for (first, from) in began.iter().enumerate() {
        for (last, to) in began.iter().enumerate().skip(first) {
            // The rate of the interval, a burst, and the calls of one reservation, which
            // begin together. The last 10 are a tolerance for busy machines.
            let limit = (to - from) / 100 + 20 + 20 + 10;
            assert!((last - first) as u64 <= limit, "{} calls within {} ms", last - first, to - from);
        }
    }
    let elapsed_ms = began[59] - began[0];
    assert!(elapsed_ms >= 1_500, "60 calls began within {elapsed_ms} ms, faster than the quota");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn unused_reservation_serves_the_next_call_without_a_write() {
    let fixture = QuotaFixture::new().await;
    let settings = [("MODEL_TOKENS_PER_MINUTE", "6000000"), ("MAX_TOKENS", "60000")];
    let consumer = fixture.consumer(&settings).await;
    let event = fixture.deliver(["unused-1".to_owned()], json!({})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let reserved = fixture.used_until().await.expect("reserved");
    // Bedrock deducts about 60,000 tokens for each call, and a few hundred are used.
    let event = fixture.deliver((2..5).map(|n| format!("unused-{n}")), json!({})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(fixture.used_until().await, Some(reserved));
    assert_eq!(fixture.world.model.calls()["total"], 4);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn call_reserves_its_input_for_any_counted_fraction() {
    let fixture = QuotaFixture::new().await;
    // Another environment's calls counted 1 % of their deduction.
    fixture.put_quota(&[("counted_fraction", "0.01".to_owned())]).await;
    let consumer = fixture.consumer(&[("MODEL_TOKENS_PER_MINUTE", "600000")]).await;
    let begun = now();
    let event = fixture.deliver(["large".to_owned()], json!({"document": "A rent. ".repeat(12_500)})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    // 100,000 bytes are about 25,000 tokens. The quota admits 10,000 tokens a second.
    let reserved = fixture.used_until().await.expect("reserved").duration_since(begun);
    assert!(reserved >= SignedDuration::from_millis(2_400), "{reserved:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn document_over_a_minutes_tokens_is_charged_when_throttled() {
    let fixture = QuotaFixture::new().await;
    let settings = [("MODEL_TOKENS_PER_MINUTE", "10000"), ("MAX_ATTEMPTS", "2")];
    let consumer = fixture.consumer(&settings).await;
    fixture.world.model.behave(json!({"tokens_per_minute": 10_000}));
    for _ in 0..10 {
        // The quota is unused, as after one minute.
        fixture.set_used_until(None).await;
        let event = fixture.deliver(["large".to_owned()], json!({"document": "A rent. ".repeat(6_000)})).await;
        consumer.invoke(event, TIME).await.expect("an answer");
        if fixture.world.status("large").await == "failed" {
            break;
        }
        if fixture.world.item("large").await.contains_key("not_before") {
            fixture.world.end_backoff("large").await;
        }
    }
    assert_eq!((fixture.world.status("large").await, fixture.world.model.calls_of("large")), ("failed", 2));
    let letters = fixture.world.drain_dead_letters().await;
    assert_eq!(letters.len(), 1);
    let item = fixture.world.item("large").await;
    let message = item["error"].as_m().expect("an error")["message"].as_s().expect("a text");
    assert!(message.contains("throttling_exception") && message.contains("ModelTokensPerMinute"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn duplicate_of_a_finished_job_reserves_no_quota() {
    let fixture = QuotaFixture::new().await;
    let consumer = fixture.consumer(&[("MODEL_REQUESTS_PER_MINUTE", "600")]).await;
    let event = fixture.deliver(["repeated".to_owned()], json!({})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    let after_one = fixture.used_until().await;
    // One reservation serves eight calls, so 20 calls would need further reservations.
    for _ in 0..20 {
        let event = fixture.deliver(["repeated".to_owned()], json!({})).await;
        assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    }
    assert_eq!(fixture.used_until().await, after_one);
    assert_eq!(fixture.world.model.calls_of("repeated"), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn another_model_is_not_limited_by_the_quota() {
    let fixture = QuotaFixture::new().await;
    fixture.set_used_until(Some(now() + Duration::from_secs(60))).await;
    let consumer = fixture.consumer(&[("MODEL_TOKENS_PER_MINUTE", "600000")]).await;
    let event = fixture.deliver(["other".to_owned()], json!({"model_id": "other.model-v1:0"})).await;
    assert_eq!(consumer.invoke(event, TIME).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(fixture.world.status("other").await, "complete");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn two_environments_share_one_quota() {
    let fixture = QuotaFixture::new().await;
    let settings = [("MODEL_REQUESTS_PER_MINUTE", "60"), ("MODEL_TIMEOUT_SECONDS", "5")];
    let (first, second) = (fixture.consumer(&settings).await, fixture.consumer(&settings).await);
    // One call a second. The first environment uses the burst and the calls that may wait.
    let event = fixture.deliver((0..10).map(|n| format!("one-{n}")), json!({})).await;
    let answer = first.invoke(event, TIME).await.expect("an answer");
    let waiting = answer["batchItemFailures"].as_array().expect("a list").len();
    assert!((1..10).contains(&waiting), "{answer}");
    let before = fixture.world.model.calls()["total"].as_u64().unwrap();
    assert_eq!(before, 10 - waiting as u64);
    fixture.set_used_until(fixture.used_until().await.map(|until| until + Duration::from_secs(30))).await;
    // Messages that the first environment returned may be delivered with the new ones.
    let event = fixture.deliver((0..5).map(|n| format!("two-{n}")), json!({})).await;
    let delivered = event["Records"].as_array().expect("a list").len();
    assert!(delivered >= 5, "{event}");
    let answer = second.invoke(event, TIME).await.expect("an answer");
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(delivered), "{answer}");
    assert_eq!(fixture.world.model.calls()["total"], before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn unavailable_quotas_table_admits_no_call_and_loses_nothing() {
    let fixture = QuotaFixture::new().await;
    let settings = [("QUOTAS_TABLE", "no-such-table"), ("MODEL_TOKENS_PER_MINUTE", "600000")];
    let consumer = fixture.world.consumer_with(&settings).await;
    let event = fixture.deliver(["waits".to_owned()], json!({})).await;
    let answer = consumer.invoke(event, TIME).await.expect("an answer");
    assert_eq!(answer["batchItemFailures"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!((fixture.world.status("waits").await, fixture.world.queued().await), ("none", (0, 1)));
    assert_eq!(fixture.world.model.calls()["total"], 0);
}
