//! Two queues of SQS in virtual time: the jobs queue and the dead-letter queue. Delays,
//! visibility time-outs and receive counts follow AWS's rules. No message waits in true time
//! while the clock skips.
//!
//! The queues are served as SQS, so the functions' real binaries send to them. A test
//! receives from them, as an event source mapping would.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::proxy::{self, Request, Response};

/// Both queues. Clones share them.
#[derive(Clone)]
pub struct VirtualQueue {
    /// The endpoint of SQS.
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

struct State {
    started: Instant,
    /// The virtual time that passed in addition to true time.
    skipped: Duration,
    pace: Pace,
    messages: BTreeMap<u64, Message>,
    dead_letters: Vec<Letter>,
    /// The bodies of all messages that a function sent, with the virtual time.
    sent: Vec<(Duration, String)>,
    next_id: u64,
    /// Batches that a function handles.
    in_flight: usize,
    /// Text of bodies that the queue does not accept.
    lost: Option<&'static str>,
    has_lost: bool,
}

/// How virtual time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As true time.
    Real,
    /// While no function runs, the clock skips to the next message, but not beyond this time.
    SkipUntil(Duration),
    /// As above, until a function sends a message to resend jobs; then as true time. An
    /// environment may know a hold for 10 s of true time after it ended.
    SkipUntilResend,
}

struct Message {
    body: String,
    attributes: Value,
    trace_header: Option<String>,
    visible_at: Duration,
    receives: u32,
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The body.
    pub body: String,
    /// The message attributes with a string value.
    pub attributes: BTreeMap<String, String>,
}

/// Messages of one batch, as records of an SQS event.
pub struct Batch {
    /// The records.
    pub records: Vec<Value>,
    ids: Vec<u64>,
}

const JOBS: &str = "jobs";
const DEAD_LETTERS: &str = "dead-letters";

impl VirtualQueue {
    /// Starts two empty queues, whose clock runs at [`Pace::Real`].
    pub async fn start() -> Self {
        let state = State {
            started: Instant::now(),
            skipped: Duration::ZERO,
            pace: Pace::Real,
            messages: BTreeMap::new(),
            dead_letters: Vec::new(),
            sent: Vec::new(),
            next_id: 1,
            in_flight: 0,
            lost: None,
            has_lost: false,
        };
        let state = Arc::new(Mutex::new(state));
        let served = state.clone();
        let endpoint = proxy::serve(move |request| std::future::ready(lock(&served).answer(&request))).await;
        Self { endpoint, state }
    }

    /// The variables by which functions use the queues.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("AWS_ENDPOINT_URL_SQS", self.endpoint.clone()),
            ("JOBS_QUEUE_URL", format!("{}/{JOBS}", self.endpoint)),
            ("DEAD_LETTER_QUEUE_URL", format!("{}/{DEAD_LETTERS}", self.endpoint)),
        ]
    }

    /// The virtual time since the start.
    pub fn now(&self) -> Duration {
        self.state().now()
    }

    /// Sets how virtual time passes from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.state().pace = pace;
    }

    /// Sends a message without attributes to the jobs queue.
    pub fn send(&self, body: &str) {
        let mut state = self.state();
        let visible_at = state.now();
        state.push(body.to_owned(), Value::Null, None, visible_at);
    }

    /// Loses messages whose body contains `text`: their senders get no response. `None` loses
    /// no message.
    pub fn lose(&self, text: Option<&'static str>) {
        self.state().lost = text;
    }

    /// Whether a message was lost.
    pub fn has_lost(&self) -> bool {
        self.state().has_lost
    }

    /// The bodies of messages that functions sent to the jobs queue, with their times.
    pub fn sent(&self) -> Vec<(Duration, String)> {
        self.state().sent.clone()
    }

    /// The dead letters so far.
    pub fn dead_letters(&self) -> Vec<Letter> {
        self.state().dead_letters.clone()
    }

    /// The largest receive count of a message in the jobs queue whose body contains `text`.
    pub fn most_receives(&self, text: &str) -> u32 {
        let state = self.state();
        let messages = state.messages.values().filter(|message| message.body.contains(text));
        messages.map(|message| message.receives).max().unwrap_or(0)
    }

    /// The virtual time that passed in addition to true time: the waits of messages.
    pub fn skipped(&self) -> Duration {
        self.state().skipped
    }

    /// Receives up to ten visible messages for an invocation. They stay invisible for
    /// `visibility`. The caller ends the batch with [`Self::end_batch`].
    pub fn receive(&self, visibility: Duration) -> Option<Batch> {
        self.receive_up_to(10, visibility)
    }

    /// Receives up to `count` visible messages, as [`Self::receive`] does.
    pub fn receive_up_to(&self, count: usize, visibility: Duration) -> Option<Batch> {
        let mut state = self.state();
        state.skip();
        let now = state.now();
        let mut due: Vec<(Duration, u64)> =
            state.messages.iter().filter(|(_, m)| m.visible_at <= now).map(|(id, m)| (m.visible_at, *id)).collect();
        due.sort_unstable();
        due.truncate(count);
        if due.is_empty() {
            return None;
        }
        state.in_flight += 1;
        let ids: Vec<u64> = due.into_iter().map(|(_, id)| id).collect();
        let mut records = Vec::new();
        for id in &ids {
            let message = state.messages.get_mut(id).expect("the message is in the queue");
            message.receives += 1;
            message.visible_at = now + visibility;
            records.push(message.record(*id));
        }
        Some(Batch { records, ids })
    }

    /// Deletes the messages of a batch that `is_acknowledged` names by their ids.
    pub fn end_batch(&self, batch: &Batch, is_acknowledged: impl Fn(&str) -> bool) {
        let mut state = self.state();
        state.in_flight -= 1;
        for id in batch.ids.iter().filter(|id| is_acknowledged(&id.to_string())) {
            state.messages.remove(id);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no thread panics while it holds the lock")
}

impl Message {
    fn record(&self, id: u64) -> Value {
        let attributes = self.attributes.as_object().into_iter().flatten().map(|(name, value)| {
            (name.clone(), json!({"stringValue": value["StringValue"], "dataType": value["DataType"], "stringListValues": [], "binaryListValues": []}))
        });
        let mut system = json!({"ApproximateReceiveCount": self.receives.to_string()});
        if let Some(header) = &self.trace_header {
            system["AWSTraceHeader"] = json!(header);
        }
        json!({
            "messageId": id.to_string(),
            "receiptHandle": format!("{id}/{}", self.receives),
            "body": self.body,
            "attributes": system,
            "messageAttributes": attributes.collect::<serde_json::Map<_, _>>(),
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{JOBS}"),
            "awsRegion": "us-east-1",
        })
    }
}

impl State {
    fn now(&self) -> Duration {
        self.started.elapsed() + self.skipped
    }

    /// Lets the clock skip, if no function runs.
    fn skip(&mut self) {
        let limit = match self.pace {
            Pace::Real => return,
            Pace::SkipUntil(limit) => limit,
            Pace::SkipUntilResend => Duration::MAX,
        };
        let next = self.messages.values().map(|message| message.visible_at).min().unwrap_or(limit).min(limit);
        if self.in_flight == 0 && next < Duration::MAX {
            self.skipped += next.saturating_sub(self.now());
        }
    }

    fn push(&mut self, body: String, attributes: Value, trace_header: Option<String>, visible_at: Duration) {
        let message = Message { body, attributes, trace_header, visible_at, receives: 0 };
        self.messages.insert(self.next_id, message);
        self.next_id += 1;
    }

    /// Answers a request to SQS. `None` loses the request.
    fn answer(&mut self, request: &Request) -> Option<Response> {
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let body: Value = serde_json::from_slice(request.body()).expect("a request to SQS is JSON");
        let seconds = |name: &str| Duration::from_secs(body[name].as_u64().unwrap_or(0));
        let answer = match target {
            "AmazonSQS.SendMessage" => {
                let text = body["MessageBody"].as_str().expect("a body").to_owned();
                if self.lost.is_some_and(|lost| text.contains(lost)) {
                    self.has_lost = true;
                    return None;
                }
                self.accept(&body, text, seconds("DelaySeconds"));
                json!({"MessageId": self.next_id.to_string(), "MD5OfMessageBody": ""})
            }
            "AmazonSQS.ChangeMessageVisibility" => {
                let receipt = body["ReceiptHandle"].as_str().unwrap_or_default();
                let (id, receives) = receipt.split_once('/').expect("a receipt handle of this queue");
                let visible_at = self.now() + seconds("VisibilityTimeout");
                if let Some(message) = self.messages.get_mut(&id.parse().expect("a number"))
                    && message.receives.to_string() == receives
                {
                    message.visible_at = visible_at;
                }
                json!({})
            }
            "AmazonSQS.GetQueueAttributes" => {
                json!({"Attributes": {"ApproximateNumberOfMessages": self.messages.len().to_string()}})
            }
            other => panic!("the virtual queue has no {other}"),
        };
        let response = Response::new(answer.to_string().into());
        Some(response)
    }

    fn accept(&mut self, request: &Value, body: String, delay: Duration) {
        if request["QueueUrl"].as_str().is_some_and(|url| url.ends_with(DEAD_LETTERS)) {
            let attributes = request["MessageAttributes"].as_object().into_iter().flatten();
            let attributes = attributes
                .filter_map(|(name, value)| Some((name.clone(), value["StringValue"].as_str()?.to_owned())))
                .collect();
            return self.dead_letters.push(Letter { body, attributes });
        }
        if self.pace == Pace::SkipUntilResend && body.contains(r#""control":"resend""#) {
            self.pace = Pace::Real;
        }
        let now = self.now();
        self.sent.push((now, body.clone()));
        let trace_header = request["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"].as_str();
        self.push(body, request["MessageAttributes"].clone(), trace_header.map(str::to_owned), now + delay);
    }
}
