//! The consumer: a batch of queue messages in, the failures of the batch out.
//!
//! One function a nesting level: `batch` → `record` → `job`. Each record runs
//! in a task of its own, so that one that panics or is slow harms no other.

mod admission;
mod analyse;
mod batch;
mod job;
mod long_running;
mod permit;
mod record;
mod response;
mod result;
mod room;

use self::admission::Admission;
pub use self::response::BatchFailed;
use self::room::Room;

use std::time::Duration;

use aws_config::SdkConfig;

use crate::aws::async_invoke::{AsyncModel, AsyncTimeouts};
use crate::aws::documents::Documents;
use crate::aws::jobs::Jobs;
use crate::aws::model::{Model, ModelSettings};
use crate::aws::part_results::PartResults;
use crate::aws::queue::{DeadLetterQueue, JobsQueue};
use crate::aws::quota::Quotas;
use crate::config::ConsumerConfig;

/// What handles batches. Cheap to clone; it keeps nothing between them.
#[derive(Debug, Clone)]
pub struct Consumer {
    jobs: Jobs,
    queue: JobsQueue,
    dead_letters: DeadLetterQueue,
    documents: Documents,
    part_results: PartResults,
    model: Model,
    /// Keeps the model's calls to its quota, where there is one to keep to.
    admission: Option<Admission>,
    async_model: AsyncModel,
    bucket: String,
    deduplicate: bool,
    room: Room,
    part_max_bytes: usize,
    max_tries: u32,
    max_concurrent_records: Option<usize>,
}

impl Consumer {
    /// Makes the clients; connects to nothing yet.
    pub fn new(sdk: &SdkConfig, config: ConsumerConfig) -> Self {
        let model = Model::new(sdk, config.model.clone());
        Self::with_model(sdk, config, model)
    }

    /// The same with a model made elsewhere.
    pub fn with_model(sdk: &SdkConfig, config: ConsumerConfig, model: Model) -> Self {
        // Where there is time for the model there is time for these.
        let AsyncTimeouts { start, check } = AsyncTimeouts::default();
        let (start, check) = (start.min(model.timeout()), check.min(model.timeout()));
        let queue = JobsQueue::new(sdk, config.jobs_queue_url, config.high_priority_queue_url);
        let admission = config.quota.map(|(quota, table)| {
            let ModelSettings { model_id, max_tokens, .. } = config.model;
            Admission::new(quota, Quotas::new(sdk, table), model_id, max_tokens, queue.clone())
        });
        Self {
            admission,
            async_model: AsyncModel::new(sdk, AsyncTimeouts { start, check }),
            jobs: Jobs::new(sdk, config.jobs_table, config.retention),
            queue,
            dead_letters: DeadLetterQueue::new(sdk, config.dead_letter_queue_url),
            documents: Documents::new(sdk),
            part_results: PartResults::new(sdk, config.documents_bucket.clone()),
            model,
            bucket: config.documents_bucket,
            deduplicate: config.deduplicate,
            room: Room::new(config.memory_mb),
            part_max_bytes: config.part_max_bytes,
            max_tries: config.max_tries,
            max_concurrent_records: config.max_concurrent_records,
        }
    }

    /// What must be left of an invocation for a job to begin: its model's
    /// time-out, and what storing the result and answering the queue take.
    fn time_for_a_job(&self) -> Duration {
        self.model.timeout() + crate::domain::limits::STORE_RESERVE + crate::domain::limits::RESPONSE_MARGIN
    }
}
