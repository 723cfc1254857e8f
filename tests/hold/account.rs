//! An account with a fault: the consumer's real binary in several environments, queues in
//! virtual time, and a proxy before Bedrock and S3.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docket::domain::hold::{Hold, HoldTarget};
use docket::domain::job::stored::{State, StoredJob};
use docket::domain::message::body::{ParsedMessage, parse_message};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use test_support::aws::{World, outputs};
use test_support::function::Function;
use test_support::proxy::{self, Forwarder};
use test_support::virtual_queue::{Pace, VirtualQueue};
use tokio::task::JoinHandle;

use crate::services::{Services, forward_call, forward_object};

/// Time of one invocation. A call and a canary take 5 s each at most, and an ending 4.75 s.
const INVOCATION: Duration = Duration::from_secs(20);
/// The visibility time-out of the jobs queue: six times the invocation.
const VISIBILITY: Duration = Duration::from_secs(120);
/// The model of jobs without another one.
pub const MODEL: &str = "test.model-v1:0";
const TEXT: &str = "The tenant pays a rent of 900 euros for the flat in Mill Lane.";

/// The number of documents of a test: `HOLD_DOCUMENTS`, or `default`.
pub fn documents(default: usize) -> usize {
    std::env::var("HOLD_DOCUMENTS").map_or(default, |text| text.parse().expect("HOLD_DOCUMENTS is a number"))
}

/// The time in which the consumers of a test complete this many waiting jobs.
pub fn completion_time(documents: usize) -> Duration {
    5 * Duration::from_secs(60) + documents as u32 * Duration::from_millis(200)
}

/// One test's account.
pub struct Account {
    pub world: World,
    pub queue: VirtualQueue,
    pub services: Arc<Services>,
    environment: Vec<(&'static str, String)>,
    workers: Mutex<Vec<Worker>>,
    has_stopped: Arc<AtomicBool>,
}

/// The end of a hold, in virtual time.
#[derive(Debug)]
pub struct Lift {
    /// The time of the message that resends the jobs.
    pub resent_at: Duration,
    /// The time from that message to the first completion.
    pub first_after: Duration,
    /// The time from that message to the last completion.
    pub all_after: Duration,
}

struct Worker {
    process_id: u32,
    task: JoinHandle<Option<Function>>,
}

impl Account {
    /// Starts the account with this number of environments of the consumer.
    pub async fn start(workers: usize) -> Self {
        Self::start_with(workers, &[]).await
    }

    /// Starts the account with further environment variables of the consumer.
    pub async fn start_with(workers: usize, more: &[(&'static str, &str)]) -> Self {
        let (world, queue, services) = (World::new().await, VirtualQueue::start().await, Arc::<Services>::default());
        let forwarder = Forwarder::default();
        let (model, faults, forward) = (world.model.url.clone(), services.clone(), forwarder.clone());
        let model = proxy::serve(move |request| forward_call(model.clone(), faults.clone(), forward.clone(), request));
        let (s3, faults) = (outputs()["AwsEndpointUrl"].clone(), services.clone());
        let s3 = proxy::serve(move |request| forward_object(s3.clone(), faults.clone(), forwarder.clone(), request));
        let mut environment = queue.environment().to_vec();
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        environment.push(("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", model.await));
        environment.push(("AWS_ENDPOINT_URL_S3", s3.await));
        let has_stopped = Arc::default();
        let account = Self { world, queue, services, environment, workers: Mutex::default(), has_stopped };
        for _ in 0..workers {
            account.start_worker().await;
        }
        account
    }

    /// Starts one more environment of the consumer.
    pub async fn start_worker(&self) {
        let function = self.world.consumer_with(&self.variables()).await;
        let (process_id, queue, has_stopped) = (function.process_id(), self.queue.clone(), self.has_stopped.clone());
        let task = tokio::spawn(work(queue, function, has_stopped));
        self.workers.lock().unwrap().push(Worker { process_id, task });
    }

    /// Starts the producer.
    pub async fn producer(&self) -> Function {
        let mut environment = self.world.environment();
        environment.extend(self.variables().iter().map(|(name, value)| (name.to_string(), value.to_string())));
        environment.insert("ALLOWED_MODEL_IDS".into(), MODEL.into());
        Function::start("producer", &environment).await
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// Ends the processes of all environments by SIGKILL.
    pub fn kill_workers(&self) {
        for worker in self.workers.lock().unwrap().drain(..) {
            let killed = std::process::Command::new("kill").args(["-KILL", &worker.process_id.to_string()]).status();
            assert!(killed.is_ok_and(|status| status.success()), "the worker runs");
        }
    }

    /// Ends all environments, and returns their logs.
    pub async fn stop(self) -> String {
        self.has_stopped.store(true, Ordering::Relaxed);
        let mut written = String::new();
        for worker in self.workers.into_inner().unwrap() {
            if let Some(function) = worker.task.await.expect("the worker does not panic") {
                written += &function.output().await;
            }
        }
        written
    }

    /// Sends jobs whose documents are in the message, in the bucket, and in S3 events, in
    /// turn. Returns their ids.
    pub async fn send_mixed(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let next = ids.len()..count.min(ids.len() + 300);
            ids.extend(self.send_range(next).await);
        }
        ids
    }

    async fn send_range(&self, numbers: std::ops::Range<usize>) -> Vec<String> {
        let s3 = aws_sdk_s3::Client::new(&self.world.sdk);
        let bucket = &self.world.bucket;
        join_all(numbers.map(async |n| {
            let key = format!("uploads/held/{n}.txt");
            if n % 3 > 0 {
                let text = format!("{TEXT} {n}").into_bytes();
                s3.put_object().bucket(bucket).key(&key).body(text.into()).send().await.expect("the object is stored");
            }
            let (body, job_id) = match n % 3 {
                0 => (json!({"job_id": format!("inline-{n}"), "document": format!("{TEXT} {n}")}).to_string(), None),
                1 => {
                    let document = json!({"bucket": bucket, "key": key});
                    (json!({"job_id": format!("object-{n}"), "document_s3": document}).to_string(), None)
                }
                _ => {
                    let body = s3_event(bucket, &key);
                    let Ok(ParsedMessage::Job(job)) = parse_message(Some(&body), None, "b") else { panic!("{body}") };
                    (body, Some(job.job_id.to_string()))
                }
            };
            self.queue.send(&body);
            let prefix = if n % 3 == 0 { "inline" } else { "object" };
            job_id.unwrap_or(format!("{prefix}-{n}"))
        }))
        .await
    }

    /// Sends a job whose document is in the message.
    pub fn send_inline(&self, job_id: &str) {
        self.queue.send(&json!({"job_id": job_id, "document": TEXT}).to_string());
    }

    /// The hold of the model, if there is one.
    pub async fn model_hold(&self) -> Option<Hold> {
        self.hold(&HoldTarget::Model(MODEL.to_owned())).await
    }

    pub async fn hold(&self, target: &HoldTarget) -> Option<Hold> {
        self.world.jobs().get_hold(target).await.expect("the table answers")
    }

    pub async fn rows(&self, ids: &[String]) -> Vec<Option<StoredJob>> {
        let mut rows = Vec::with_capacity(ids.len());
        for some in ids.chunks(300) {
            rows.extend(join_all(some.iter().map(|id| self.world.row(id))).await);
        }
        rows
    }

    /// Lets virtual time skip to this time.
    pub async fn skip_to(&self, time: Duration) {
        self.queue.set_pace(Pace::SkipUntil(time));
        test_support::eventually("the time", async || (self.queue.now() >= time).then_some(())).await;
        self.queue.set_pace(Pace::Real);
    }

    /// Waits until a hold of the model is stored.
    pub async fn wait_for_hold(&self) -> Hold {
        test_support::eventually("a hold", async || self.model_hold().await).await
    }

    /// Lets virtual time skip until a hold ends and its jobs are resent, then waits until
    /// all jobs are complete.
    pub async fn wait_for_lift(&self, ids: &[String]) -> Lift {
        let before = self.resends().len();
        self.queue.set_pace(Pace::SkipUntilResend);
        let resent_at = test_support::eventually("a resend", async || self.resends().get(before).copied()).await;
        self.wait_until_complete(ids).await;
        // Since the resend, virtual time is true time.
        let since_resend = |at: Timestamp| (self.queue.now() - resent_at).saturating_sub(elapsed_since(at));
        let rows = self.rows(ids).await.into_iter().flatten();
        let ends: Vec<Duration> = rows
            .filter_map(|row| match row.state {
                State::Complete(done) => Some(since_resend(done.completed_at)),
                _ => None,
            })
            .collect();
        let first_after = *ends.iter().min().expect("a complete job");
        Lift { resent_at, first_after, all_after: *ends.iter().max().expect("a complete job") }
    }

    pub async fn wait_until_complete(&self, ids: &[String]) {
        // Each job has its own limit: thousands of jobs take longer than `eventually` waits.
        for id in ids.iter().rev() {
            test_support::eventually("a complete job", async || match self.world.status(id).await {
                "complete" => Some(()),
                "failed" => panic!("{:?}", self.world.row(id).await),
                _ => None,
            })
            .await;
        }
    }

    /// The times at which a function sent the first message that resends jobs.
    pub fn resends(&self) -> Vec<Duration> {
        let is_resend = |body: &str| body.contains(r#""control":"resend""#) && body.contains(r#""last_look":false"#);
        self.queue.sent().into_iter().filter(|(_, body)| is_resend(body)).map(|(time, _)| time).collect()
    }

    /// The probes that functions sent.
    pub fn probes(&self) -> usize {
        self.queue.sent().iter().filter(|(_, body)| body.contains(r#""control":"probe""#)).count()
    }

    /// Checks that all jobs are complete and charged one attempt, and that no dead letter
    /// was sent.
    pub async fn assert_complete(&self, ids: &[String]) {
        for (id, row) in ids.iter().zip(self.rows(ids).await) {
            let row = row.unwrap_or_else(|| panic!("{id} is not stored"));
            assert!(matches!(row.state, State::Complete(_)), "{row:?}");
            assert_eq!(row.charged_attempts, 1, "{row:?}");
            assert_eq!(row.waiting_for, None, "{row:?}");
        }
        assert_eq!(self.queue.dead_letters().len(), 0);
    }

    /// Checks that no job ended or was charged.
    pub async fn assert_waiting(&self, ids: &[String]) {
        for row in self.rows(ids).await.into_iter().flatten() {
            assert_eq!((row.state.status().as_str(), row.charged_attempts), ("pending", 0), "{row:?}");
        }
        assert_eq!(self.queue.dead_letters().len(), 0);
    }

    pub fn calls(&self) -> u64 {
        self.world.model.calls()["total"].as_u64().expect("a number")
    }
}

fn elapsed_since(at: Timestamp) -> Duration {
    Timestamp::now().duration_since(at).try_into().unwrap_or_default()
}

/// Delivers batches to one environment, until the account stops or the process ends.
async fn work(queue: VirtualQueue, function: Function, has_stopped: Arc<AtomicBool>) -> Option<Function> {
    while !has_stopped.load(Ordering::Relaxed) {
        let Some(batch) = queue.receive(VISIBILITY) else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let event = json!({"Records": batch.records});
        let answer = function.try_invoke(event, INVOCATION, INVOCATION * 3).await;
        let failed: Option<HashSet<&str>> = match &answer {
            Some(Ok(response)) => {
                let failures = response["batchItemFailures"].as_array().into_iter().flatten();
                Some(failures.filter_map(|failure| failure["itemIdentifier"].as_str()).collect())
            }
            Some(Err(_)) | None => None,
        };
        queue.end_batch(&batch, |id| failed.as_ref().is_some_and(|failed| !failed.contains(id)));
        answer.as_ref()?;
    }
    Some(function)
}

fn s3_event(bucket: &str, key: &str) -> String {
    let mut event = test_support::event("s3-upload");
    let body = event["Records"][0]["body"].take();
    let mut body: Value = serde_json::from_str(body.as_str().expect("a body")).expect("JSON");
    body["Records"][0]["s3"]["bucket"]["name"] = json!(bucket);
    body["Records"][0]["s3"]["object"] = json!({"key": key, "size": 1, "sequencer": "00"});
    body.to_string()
}
