//! The cost of the plan, compared with other ways to process the same documents.

use serde::Serialize;

use super::choice::Choice;
use super::prices::Prices;
use super::settings::Settings;
use super::workload::{Intake, Limits, Workload};

/// Seconds of the producer for one document. This is an assumption: several
/// requests to AWS services, in a warm function.
const PRODUCER_SECONDS: f64 = 0.1;
/// Maximum SQS requests for one document: send, receive, delete. Lambda receives
/// and deletes up to ten messages per request.
const QUEUE_REQUESTS: f64 = 3.0;
/// Bytes of a stored job without its result.
const STORED_JOB_BYTES: f64 = 800.0;
/// Bytes per token of a text or a result.
const BYTES_PER_TOKEN: f64 = 4.0;
/// SQS counts every 64 KB of a message as a request.
///
/// <https://aws.amazon.com/sqs/pricing/>
const QUEUE_REQUEST_BYTES: f64 = 65_536.0;
/// Minimum records of a batch inference job, by the default quota.
///
/// <https://docs.aws.amazon.com/general/latest/gr/bedrock.html>
pub(super) const BATCH_INFERENCE_MIN: f64 = 100.0;
/// Default time-out of a batch inference job.
///
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelInvocationJob.html>
pub(super) const BATCH_INFERENCE_SECONDS: f64 = 24.0 * 3_600.0;

/// A cost in dollars, by service.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Input and output tokens.
    pub model: f64,
    /// Consumer and producer.
    pub functions: f64,
    /// Requests to the queue.
    pub queue: f64,
    /// Requests to the table.
    pub table: f64,
    /// Puts and gets of objects.
    pub bucket: f64,
    /// Requests to the API.
    pub api: f64,
    /// The sum.
    pub total: f64,
}

/// A way to process the documents.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Way {
    /// Its name in the report.
    pub name: &'static str,
    /// Its duration in seconds; for batch inference the default time-out of a job.
    pub seconds: f64,
    /// Its cost; none if the documents are too few for it.
    pub cost: Option<Cost>,
}

/// This plan, one document at a time, and Bedrock's batch inference.
pub(super) fn compare_ways(work: &Workload, limits: &Limits, chosen: Choice, model: &str, prices: &Prices) -> Vec<Way> {
    let plan = docket_cost(work, limits, chosen.settings, model, prices);
    let single = docket_cost(work, limits, Settings { maximum_concurrency: 1, batch_size: 1 }, model, prices);
    let batch = batch_inference_cost(work, model, prices);
    vec![
        Way { name: "this plan", seconds: chosen.seconds, cost: Some(plan) },
        Way { name: "one at a time", seconds: work.documents * work.batch_seconds(), cost: Some(single) },
        Way {
            name: "batch inference",
            seconds: BATCH_INFERENCE_SECONDS,
            cost: (work.documents >= BATCH_INFERENCE_MIN).then_some(batch),
        },
    ]
}

fn token_cost(work: &Workload, model: &str, prices: &Prices) -> f64 {
    let Some(price) = prices.model(model) else { return 0.0 };
    let each = work.tokens_in * price.input_per_1000 + work.tokens_out * price.output_per_1000;
    work.documents * each / 1_000.0
}

fn docket_cost(work: &Workload, limits: &Limits, settings: Settings, model: &str, prices: &Prices) -> Cost {
    let gb = f64::from(limits.memory_mb) / 1_024.0;
    let batches = settings.batches(work.documents);
    let by_api = if work.intake == Intake::Api { work.documents } else { 0.0 };
    let in_bucket = if work.intake == Intake::Queue { 0.0 } else { work.documents };
    let seconds = batches * work.batch_seconds() + by_api * PRODUCER_SECONDS;
    let functions = seconds * gb * prices.function_gb_second.usd + (batches + by_api) * prices.function_request.usd;
    let message = if work.intake == Intake::Queue { work.tokens_in * BYTES_PER_TOKEN } else { 1.0 };
    // Write units: 1 for the claim, and the size of the stored job for the result. The
    // API also reads the job once and creates it.
    let result_units = ((STORED_JOB_BYTES + work.tokens_out * BYTES_PER_TOKEN) / 1_024.0).ceil();
    let units = work.documents * (1.0 + result_units) + by_api;
    with_total(Cost {
        model: token_cost(work, model, prices),
        functions,
        queue: work.documents * QUEUE_REQUESTS * (message / QUEUE_REQUEST_BYTES).ceil() * prices.queue_request.usd,
        table: units * prices.table_write.usd + by_api * prices.table_read.usd,
        bucket: in_bucket * (prices.bucket_put.usd + prices.bucket_get.usd),
        api: by_api * prices.api_request.usd,
        total: 0.0,
    })
}

/// Batch inference reads and writes few files in S3, whose cost is negligible.
fn batch_inference_cost(work: &Workload, model: &str, prices: &Prices) -> Cost {
    let model = token_cost(work, model, prices) * prices.batch_inference_part.usd;
    with_total(Cost { model, functions: 0.0, queue: 0.0, table: 0.0, bucket: 0.0, api: 0.0, total: 0.0 })
}

fn with_total(cost: Cost) -> Cost {
    let Cost { model, functions, queue, table, bucket, api, .. } = cost;
    Cost { total: model + functions + queue + table + bucket + api, ..cost }
}
