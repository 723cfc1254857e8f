//! The chain of messages that polls a long invocation. Lambda ends a chain after about 16
//! invocations, unless the function allows recursive loops. The consumer's real binary
//! sends the trace header of its invocation, and SQS keeps the header. The test counts the
//! invocations as Lambda does. Time is compressed: no message waits for its delay.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use docket::domain::async_invocation::request::poll_delay;
use docket::domain::job::stored::State;
use docket::domain::limits::ASYNC_MAX_AGE;
use jiff::Timestamp;
use serde_json::{Value, json};
use test_support::aws::{World, receive};
use test_support::event_source::{CHAIN_MAX, count_invocations, deliver_records, trace_header};
use test_support::function::Function;
use test_support::proxy::{self, Forwarder, Request, Response};

const TIME: Duration = Duration::from_secs(30);
const JOB: &str = "long";

/// A proxy between the consumer and two services. SQS gets no delays, and Bedrock's answer
/// is that the invocation runs until the delays add up to its duration.
#[derive(Clone)]
struct TimeLapse {
    url: String,
    aws: String,
    model: String,
    duration: Duration,
    clock: Arc<Mutex<Clock>>,
}

#[derive(Default)]
struct Clock {
    /// The sum of all delays.
    elapsed: Duration,
    /// The delays since the last call of [`TimeLapse::take_delay`].
    new: Duration,
}

impl TimeLapse {
    /// Starts the proxy for an invocation of this duration.
    async fn start(world: &World, duration: Duration) -> Self {
        let aws = world.sdk.endpoint_url().expect("a local AWS").to_owned();
        let model = world.model.url.clone();
        let mut lapse = Self { url: String::new(), aws, model, duration, clock: Arc::default() };
        let (served, forwarder) = (lapse.clone(), Forwarder::default());
        lapse.url = proxy::serve(move |request| forward(served.clone(), forwarder.clone(), request)).await;
        lapse
    }

    fn elapsed(&self) -> Duration {
        self.clock.lock().unwrap().elapsed
    }

    /// The delays since the last call.
    fn take_delay(&self) -> Duration {
        std::mem::take(&mut self.clock.lock().unwrap().new)
    }

    /// Removes the delay of a request to SQS, and adds it to the clock.
    fn skip_delay(&self, request: &[u8]) -> Vec<u8> {
        let mut request: Value = serde_json::from_slice(request).expect("JSON");
        if let Some(seconds) = request["DelaySeconds"].as_u64() {
            request["DelaySeconds"] = json!(0);
            let mut clock = self.clock.lock().unwrap();
            clock.elapsed += Duration::from_secs(seconds);
            clock.new += Duration::from_secs(seconds);
        }
        request.to_string().into_bytes()
    }

    /// Bedrock's answer to a poll, as it is at this time.
    fn answer_poll(&self, answer: &[u8]) -> Vec<u8> {
        let mut answer: Value = serde_json::from_slice(answer).expect("JSON");
        if self.elapsed() < self.duration {
            answer["status"] = json!("InProgress");
            answer.as_object_mut().expect("an object").remove("endTime");
        }
        answer.to_string().into_bytes()
    }
}

async fn forward(lapse: TimeLapse, forwarder: Forwarder, request: Request) -> Option<Response> {
    if request.headers().contains_key("x-amz-target") {
        return forwarder.forward(&lapse.aws, request.map(|body| lapse.skip_delay(&body).into())).await;
    }
    let is_poll = request.method() == "GET";
    let response = forwarder.forward(&lapse.model, request).await?;
    Some(if is_poll { response.map(|body| lapse.answer_poll(&body).into()) } else { response })
}

/// One job with a long invocation, its consumer, and the time that passes.
struct Chain {
    world: World,
    consumer: Function,
    lapse: TimeLapse,
}

impl Chain {
    /// Sends the job, whose invocation takes `duration`.
    async fn start(duration: Duration) -> Self {
        let world = World::new().await;
        world.model.behave(json!({"async_latency_ms": 0}));
        let lapse = TimeLapse::start(&world, duration).await;
        let endpoints =
            [("AWS_ENDPOINT_URL_SQS", lapse.url.as_str()), ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", lapse.url.as_str())];
        let consumer = world.consumer_with(&endpoints).await;
        let async_invoke = json!({"model_id": "amazon.nova-reel-v1:1", "model_input": {"text": "a piano"}});
        world.send(&json!({"job_id": JOB, "async_invoke": async_invoke}).to_string()).await;
        Self { world, consumer, lapse }
    }

    /// Delivers the messages until the queue is empty, or until Lambda stops the chain.
    /// Returns the number of invocations.
    async fn run(&self, allows_loops: bool) -> u32 {
        let mut invocations = 0;
        while let Some(record) = self.receive_message().await {
            let position = count_invocations(&trace_header(&json!({"Records": [record]})));
            assert_eq!(position, invocations + 1, "the consumer passes the trace header on");
            if position > CHAIN_MAX && !allows_loops {
                return invocations;
            }
            deliver_records(&self.world, &self.consumer, vec![record], TIME).await;
            invocations += 1;
            self.pass_time().await;
        }
        invocations
    }

    async fn receive_message(&self) -> Option<Value> {
        let mut records = receive(&self.world.sdk, &self.world.queue, 600).await;
        assert!(records.len() <= 1, "the chain has one message at a time");
        records.pop()
    }

    /// Moves the start of the invocation into the past by the delays since the last call.
    /// The age of the invocation is then the sum of all delays.
    async fn pass_time(&self) {
        let delay = self.lapse.take_delay();
        let mut item = self.world.item(JOB).await;
        let started: Timestamp = item["invocation_started_at"].as_s().expect("text").parse().expect("a time");
        item.insert("invocation_started_at".into(), AttributeValue::S((started - delay).to_string()));
        self.world.put_item(item).await;
    }

    fn polls(&self) -> u64 {
        self.world.model.calls()["async"]["gets"].as_u64().expect("a number")
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn invocation_of_24_hours_completes_if_loops_are_allowed() {
    let chain = Chain::start(ASYNC_MAX_AGE).await;
    let invocations = chain.run(true).await;
    let row = chain.world.row(JOB).await.expect("a stored job");
    let State::Complete(done) = row.state else { panic!("the job is not complete: {:?}", row.state) };
    let (mut polls, mut waited) = (0, Duration::ZERO);
    while waited < ASYNC_MAX_AGE {
        polls += 1;
        waited += poll_delay(polls);
    }
    assert_eq!((chain.lapse.elapsed(), chain.polls()), (waited, polls.into()));
    assert_eq!(invocations, polls + 1, "one invocation starts the work, and the others poll");
    assert!(invocations > 100, "{invocations}");
    assert!(Duration::from_millis(done.model_latency_ms) + Duration::from_secs(60) > ASYNC_MAX_AGE, "{done:?}");
    assert_eq!((row.charged_attempts, &chain.world.model.calls()["async"]["starts"]), (1, &json!(1)));
    assert!(chain.world.drain_dead_letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the local AWS: make test"]
async fn chain_of_polls_stops_after_16_if_loops_are_terminated() {
    let chain = Chain::start(ASYNC_MAX_AGE).await;
    assert_eq!(chain.run(false).await, CHAIN_MAX);
    assert_eq!(chain.polls(), u64::from(CHAIN_MAX) - 1);
    assert_eq!(chain.lapse.elapsed().as_secs() / 60, 71, "minutes from the start to the poll that Lambda stops");
    // The job has no worker, no error and no dead letter. SQS redelivers the poll later, and
    // Lambda stops it again.
    assert_eq!((chain.world.status(JOB).await, chain.world.queued().await), ("processing", (0, 1)));
    assert!(chain.world.drain_dead_letters().await.is_empty());
}
