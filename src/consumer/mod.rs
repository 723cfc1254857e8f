//! The consumer: handles a batch of queue messages, and reports its failures.
//!
//! One function a nesting level: `batch` → `record` → `job`. Each record runs in its own
//! task, so that a slow or panicking record harms no other record.

mod admission;
mod analyser;
mod analyses;
mod async_invocation;
mod attempt;
mod batch;
mod batch_retry;
mod batches;
mod canary;
mod children;
mod conversation;
mod delivery;
mod document_opener;
mod document_reader;
mod document_work;
mod evidence_check;
mod gate;
mod gate_holds;
mod gate_memory;
mod hold_control;
mod job;
mod long_text;
mod measures;
mod memory_budget;
mod parking;
mod permit;
mod record;
mod response;
mod result_store;
mod schema_primer;
mod store_probe;
mod suspects;
mod sweep;

pub use self::response::BatchFailed;

use std::time::Duration;

use aws_config::SdkConfig;

use self::admission::Admission;
use self::analyser::Analyser;
use self::analyses::Analyses;
use self::async_invocation::AsyncInvocations;
use self::attempt::Endings;
use self::batches::Batches;
use self::canary::Canary;
use self::children::ChildJobs;
use self::conversation::Conversation;
use self::document_opener::DocumentOpener;
use self::document_reader::DocumentReader;
use self::document_work::DocumentWork;
use self::gate::Gate;
use self::hold_control::HoldControl;
use self::parking::Parking;
use self::result_store::ResultStore;
use self::schema_primer::SchemaPrimer;
use self::store_probe::StoreProbe;
use self::sweep::Sweep;
use crate::aws::async_invoke::{AsyncModel, AsyncTimeouts};
use crate::aws::chunk_results::ChunkResults;
use crate::aws::documents::Documents;
use crate::aws::jobs::Jobs;
use crate::aws::json_objects::JsonObjects;
use crate::aws::model::{Model, ModelSettings};
use crate::aws::output_objects::OutputObjects;
use crate::aws::queue::{DeadLetterQueue, JobsQueue};
use crate::aws::quota::Quotas;
use crate::aws::requeue::Requeue;
use crate::aws::uploaded_objects::UploadedObjects;
use crate::config::ConsumerConfig;
use crate::domain::limits::{RESPONSE_MARGIN, STORE_RESERVE};
use crate::metrics::Meter;

/// Handles batches. Clones share the clients, the memory budget and the reserved quota.
#[derive(Debug, Clone)]
pub struct Consumer {
    queue: JobsQueue,
    endings: Endings,
    documents: DocumentWork,
    invocations: AsyncInvocations,
    gate: Gate,
    parking: Parking,
    holds: HoldControl,
    max_concurrent_records: Option<usize>,
    meter: Meter,
    /// The time that must remain before a job begins: the model's time-out, the
    /// store's, and the response's.
    time_for_a_job: Duration,
}

impl Consumer {
    /// Creates the clients; opens no connection yet.
    pub fn new(sdk: &SdkConfig, config: ConsumerConfig) -> Self {
        let model = Model::new(sdk, config.model.clone());
        Self::with_model(sdk, config, model)
    }

    /// Creates a consumer that uses an existing model.
    pub fn with_model(sdk: &SdkConfig, config: ConsumerConfig, model: Model) -> Self {
        let meter = Meter::default();
        let timeout = model.timeout();
        // A job begins only with time for a model call, so these fit as well.
        let AsyncTimeouts { start, poll } = AsyncTimeouts::default();
        let timeouts = AsyncTimeouts { start: start.min(timeout), poll: poll.min(timeout) };
        let queue = JobsQueue::new(sdk, config.jobs_queue_url, config.high_priority_queue_url);
        let jobs = Jobs::new(sdk, config.jobs_table, config.retention);
        let admission = config.quota.map(|(quota, table)| {
            let ModelSettings { model_id, max_tokens, .. } = config.model;
            Admission::new(quota, Quotas::new(sdk, table), model_id, max_tokens, queue.clone(), meter.clone())
        });
        let bucket = config.documents_bucket;
        let objects = JsonObjects::new(sdk, bucket.clone());
        let results = ResultStore { jobs: jobs.clone(), objects: objects.clone() };
        let dead_letters = DeadLetterQueue::new(sdk, config.dead_letter_queue_url);
        let sweep = Sweep {
            requeue: Requeue { jobs: jobs.clone(), queue: queue.clone(), objects: objects.clone() },
            uploads: UploadedObjects::new(sdk, bucket.clone()),
            dead_letters: dead_letters.clone(),
        };
        let gate = Gate::new(jobs.clone(), queue.clone(), Canary::new(model.clone(), meter.clone()), meter.clone());
        Self {
            endings: Endings {
                jobs: jobs.clone(),
                batches: Batches::new(jobs.clone()),
                dead_letters,
                max_attempts: config.max_attempts,
            },
            documents: DocumentWork {
                opener: DocumentOpener::default(),
                children: ChildJobs {
                    jobs: jobs.clone(),
                    queue: queue.clone(),
                    documents: Documents::new(sdk),
                    bucket: bucket.clone(),
                },
                reader: DocumentReader::new(Documents::new(sdk), config.memory_mb, config.chunk_max_bytes),
                analyser: Analyser {
                    conversation: Conversation {
                        model,
                        gate: gate.clone(),
                        primer: SchemaPrimer::default(),
                        admission,
                        meter: meter.clone(),
                    },
                    chunk_results: ChunkResults::new(sdk, bucket.clone()),
                    chunk_max_bytes: config.chunk_max_bytes,
                },
                analyses: Analyses::new(config.max_tokens_ceiling),
                results: results.clone(),
                store: StoreProbe { objects: objects.clone() },
                deduplicate: config.deduplicate,
            },
            invocations: AsyncInvocations {
                jobs,
                queue: queue.clone(),
                model: AsyncModel::new(sdk, timeouts),
                outputs: OutputObjects::new(sdk),
                results,
                bucket: bucket.clone(),
                poll_timeout: timeout,
            },
            parking: Parking { gate: gate.clone(), documents: Documents::new(sdk), bucket },
            holds: HoldControl { gate: gate.clone(), store: StoreProbe { objects: objects.clone() }, sweep },
            gate,
            queue,
            max_concurrent_records: config.max_concurrent_records,
            meter,
            time_for_a_job: timeout + STORE_RESERVE + RESPONSE_MARGIN,
        }
    }
}
