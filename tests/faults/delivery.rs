//! Delivers a queue's messages by AWS's rules: visibility time-outs, receive counts, and
//! partial batch responses read as Lambda reads them.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use serde_json::Value;
use test_support::aws::{World, queued, receive};
use test_support::function::{Answer, Function};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::proxy::{FaultPlan, ProcessFault, Proxy, RecordedRequest};

/// Time of one invocation, from its start to its deadline. A call, two canaries and the end of
/// a job take up to 8 s, and a busy machine adds to them.
const INVOCATION: Duration = Duration::from_secs(11);
/// The queue's visibility time-out. It is shorter than the lease, so that a message is
/// redelivered while another worker holds its job.
const VISIBILITY_SECONDS: i32 = 4;
/// Time from SIGSTOP to SIGCONT. It exceeds the lease, which ends 5 s after the deadline.
const PAUSE: Duration = Duration::from_secs(17);
/// Most duration of a run.
const PATIENCE: Duration = Duration::from_secs(200);

/// The ids of the messages that a batch response acknowledges.
///
/// A null or empty response acknowledges all. An empty or unknown identifier, or a
/// response of another shape, acknowledges none.
pub fn acknowledged_ids<'a>(answer: &Answer, ids: &[&'a str]) -> HashSet<&'a str> {
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
    let mut acknowledged = all.clone();
    for failure in failures {
        match failure["itemIdentifier"].as_str().filter(|id| all.contains(id)) {
            Some(id) => acknowledged.remove(id),
            None => return HashSet::new(),
        };
    }
    acknowledged
}

/// A run that has ended.
pub struct Run {
    /// All requests of all workers, in the order of their arrival at the proxy.
    pub requests: Vec<RecordedRequest>,
    /// The state at the time limit, if messages or invocations were left.
    pub unfinished: Option<String>,
}

/// Delivers the queue's messages until none is left. A worker that was killed or is
/// stopped is replaced by a new one.
pub async fn deliver_all(world: &World, plan: FaultPlan, environment: &HashMap<String, String>) -> Run {
    let (process_faults, mut requested_faults) = unbounded_channel();
    let proxy = Proxy::new(plan, process_faults);
    let sqs = Client::new(&world.sdk);
    let mut idle: Vec<Function> = Vec::new();
    let mut invocations = JoinSet::new();
    let mut processes: HashMap<usize, u32> = HashMap::new();
    let mut workers = 0;
    let begun = Instant::now();
    let unfinished = loop {
        if begun.elapsed() > PATIENCE {
            let (running, queued) = (invocations.len(), world.queued().await);
            break Some(format!("{running} invocations are running, and the queue has {queued:?} messages"));
        }
        apply_process_faults(&mut requested_faults, &processes);
        while let Some(invocation) = invocations.try_join_next() {
            if let Some(worker) = invocation.expect("the delivery does not panic") {
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
                let address = proxy.listen(workers).await;
                let mut environment = environment.clone();
                environment.insert("AWS_ENDPOINT_URL".into(), address.clone());
                environment.insert("AWS_ENDPOINT_URL_BEDROCK_RUNTIME".into(), address);
                let worker = Function::start(env!("CARGO_BIN_EXE_consumer"), &environment).await;
                processes.insert(workers, worker.process_id());
                worker
            }
        };
        invocations.spawn(invoke(sqs.clone(), world.queue.clone(), worker, records));
    };
    Run { requests: proxy.requests(), unfinished }
}

/// Invokes a worker and deletes the acknowledged messages. Returns the worker, unless its
/// process ended or stayed stopped.
async fn invoke(sqs: Client, queue: String, worker: Function, records: Vec<Value>) -> Option<Function> {
    let event = serde_json::json!({"Records": records});
    // A stopped process answers after its pause, which is after the deadline.
    let answer = worker.try_invoke(event, INVOCATION, INVOCATION + PAUSE * 2).await?;
    let ids: Vec<&str> = records.iter().filter_map(|record| record["messageId"].as_str()).collect();
    let acknowledged = acknowledged_ids(&answer, &ids);
    for record in records.iter().filter(|record| acknowledged.contains(record["messageId"].as_str().unwrap_or(""))) {
        let receipt = record["receiptHandle"].as_str().expect("a receipt handle");
        let _ = sqs.delete_message().queue_url(&queue).receipt_handle(receipt).send().await;
    }
    Some(worker)
}

fn apply_process_faults(requested: &mut UnboundedReceiver<(usize, ProcessFault)>, processes: &HashMap<usize, u32>) {
    while let Ok((worker, fault)) = requested.try_recv() {
        let Some(process) = processes.get(&worker).copied() else { continue };
        match fault {
            ProcessFault::Kill => send_signal(process, "KILL"),
            ProcessFault::Pause => {
                send_signal(process, "STOP");
                tokio::spawn(async move {
                    tokio::time::sleep(PAUSE).await;
                    send_signal(process, "CONT");
                });
            }
        }
    }
}

/// Sends a signal to a process by its id. The process may have ended already.
fn send_signal(process: u32, name: &str) {
    let _ = std::process::Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .stderr(std::process::Stdio::null())
        .status();
}
