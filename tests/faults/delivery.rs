//! A queue's deliveries, by AWS's rules: visibility, receive counts, and the
//! partial batch response read as Lambda reads it.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::proxy::{Blow, Plan, Proxy, Seen};
use test_support::aws::{World, queued, receive};
use test_support::function::{Answer, Function};

/// Time of one invocation, from its start to its deadline.
pub const INVOCATION: Duration = Duration::from_secs(7);
/// The queue's visibility time-out: shorter than the lease, so that messages
/// come again while somebody works.
const VISIBILITY_SECONDS: i32 = 4;
/// From SIGSTOP to SIGCONT: past the lease, which is the deadline and 5 s.
const PAUSE: Duration = Duration::from_secs(13);
/// When a run counts as one that never settles.
const PATIENCE: Duration = Duration::from_secs(150);

/// What a batch response says of its messages.
///
/// A null or empty response is success of all; an empty or unknown identifier,
/// or a response of another shape, is failure of all.
pub fn acknowledged<'a>(answer: &Answer, ids: &[&'a str]) -> HashSet<&'a str> {
    let all: HashSet<&str> = ids.iter().copied().collect();
    let Ok(response) = answer else { return HashSet::new() };
    let failures = match response {
        Value::Null => return all,
        Value::Object(fields) => match fields.get("batchItemFailures") {
            None | Some(Value::Null) => return all,
            Some(Value::Array(failures)) => failures,
            Some(_) => return HashSet::new(),
        },
        _ => return HashSet::new(),
    };
    let mut left = all.clone();
    for failure in failures {
        match failure["itemIdentifier"].as_str().filter(|id| all.contains(id)) {
            Some(id) => left.remove(id),
            None => return HashSet::new(),
        };
    }
    left
}

/// What a run left behind.
pub struct Run {
    pub seen: Vec<Seen>,
    /// Why it did not settle, if it did not.
    pub unsettled: Option<String>,
}

/// A worker: a process of the consumer, busy or idle.
struct Worker {
    function: Function,
    number: usize,
}

/// Delivers the queue's messages until none is left, to as many workers as it
/// takes: one that was killed or sleeps is replaced.
pub async fn run(world: &World, plan: Plan, environment: &HashMap<String, String>) -> Run {
    let (blows, mut blown) = unbounded_channel();
    let proxy = Proxy::new(plan, blows);
    let sqs = Client::new(&world.sdk);
    let mut idle: Vec<Worker> = Vec::new();
    let mut invocations = JoinSet::new();
    let mut processes: HashMap<usize, u32> = HashMap::new();
    let mut workers = 0;
    let begun = Instant::now();
    let unsettled = loop {
        if begun.elapsed() > PATIENCE {
            break Some(format!("{} invocations run, the queue has {:?}", invocations.len(), world.queued().await));
        }
        strike(&mut blown, &processes);
        while let Some(done) = invocations.try_join_next() {
            if let Some(worker) = done.expect("the delivery does not panic") {
                idle.push(worker);
            }
        }
        let records = receive(&world.sdk, &world.queue, VISIBILITY_SECONDS).await;
        if records.is_empty() {
            if invocations.is_empty() && queued(&world.sdk, &world.queue).await == (0, 0) {
                break None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let worker = match idle.pop() {
            Some(worker) => worker,
            None => {
                workers += 1;
                let address = proxy.open(workers).await;
                let mut environment = environment.clone();
                environment.insert("AWS_ENDPOINT_URL".into(), address.clone());
                environment.insert("AWS_ENDPOINT_URL_BEDROCK_RUNTIME".into(), address);
                let function = Function::start(env!("CARGO_BIN_EXE_consumer"), &environment).await;
                processes.insert(workers, function.process_id());
                Worker { function, number: workers }
            }
        };
        invocations.spawn(deliver(sqs.clone(), world.queue.clone(), worker, records));
    };
    // What still sleeps is let go with its process.
    Run { seen: proxy.seen(), unsettled }
}

/// One invocation: the worker comes back unless it died.
async fn deliver(sqs: Client, queue: String, worker: Worker, records: Vec<Value>) -> Option<Worker> {
    let event = serde_json::json!({"Records": records});
    // A process that was ended gives no answer; one that slept gives it late.
    let answer = worker.function.try_invoke(event, INVOCATION, INVOCATION + PAUSE * 2).await?;
    let ids: Vec<&str> = records.iter().filter_map(|record| record["messageId"].as_str()).collect();
    let acknowledged = acknowledged(&answer, &ids);
    for record in records.iter().filter(|record| acknowledged.contains(record["messageId"].as_str().unwrap_or(""))) {
        let receipt = record["receiptHandle"].as_str().expect("a receipt");
        let _ = sqs.delete_message().queue_url(&queue).receipt_handle(receipt).send().await;
    }
    Some(Worker { number: worker.number, ..worker })
}

fn strike(blown: &mut UnboundedReceiver<(usize, Blow)>, processes: &HashMap<usize, u32>) {
    while let Ok((worker, blow)) = blown.try_recv() {
        let Some(process) = processes.get(&worker).copied() else { continue };
        match blow {
            Blow::Kill => signal(process, "KILL"),
            Blow::Pause => {
                signal(process, "STOP");
                tokio::spawn(async move {
                    tokio::time::sleep(PAUSE).await;
                    signal(process, "CONT");
                });
            }
        }
    }
}

/// By the process's own id. A process that has ended meanwhile is no matter.
fn signal(process: u32, name: &str) {
    let _ = std::process::Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .stderr(std::process::Stdio::null())
        .status();
}
