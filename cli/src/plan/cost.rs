//! What the plan costs, beside the other ways to do the same.

use serde::Serialize;

use super::choice::Chosen;
use super::prices::Prices;
use super::{Intake, Limits, Settings, Workload};

/// Seconds of the producer for one document. An assumption: some requests to the
/// services, in a function that runs.
const PRODUCER_SECONDS: f64 = 0.1;
/// Requests to the queue for one document, at most: sent, received and deleted.
/// Lambda receives and deletes up to ten at a time.
const QUEUE_REQUESTS: f64 = 3.0;
/// Bytes of a row beside its result, and of a token of the result.
const ROW_BYTES: f64 = 800.0;
const BYTES_PER_TOKEN: f64 = 4.0;
/// The queue counts each 64 KB of a message as a request.
/// <https://aws.amazon.com/sqs/pricing/>
const QUEUE_CHUNK_BYTES: f64 = 65_536.0;
/// Fewest records of a batch inference job, by the default quota.
/// <https://docs.aws.amazon.com/general/latest/gr/bedrock.html>
pub(super) const BATCH_INFERENCE_MIN: f64 = 100.0;
/// After so long a batch inference job ends, done or not, unless told otherwise.
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelInvocationJob.html>
pub(super) const BATCH_INFERENCE_SECONDS: f64 = 24.0 * 3_600.0;

/// Dollars, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Tokens.
    pub model: f64,
    /// Consumer and producer.
    pub functions: f64,
    /// Requests to the queue.
    pub queue: f64,
    /// Writes and reads.
    pub table: f64,
    /// Objects stored and read.
    pub bucket: f64,
    /// Requests to the API.
    pub api: f64,
    /// All of it.
    pub total: f64,
}

/// A way to do the work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Way {
    /// What it is called.
    pub name: &'static str,
    /// Seconds that it takes; for batch inference, at most and unpromised.
    pub seconds: f64,
    /// Its cost; none when it cannot be used.
    pub cost: Option<Cost>,
}

/// This plan, one document at a time, and Bedrock's batch inference.
pub(super) fn ways(work: &Workload, limits: &Limits, chosen: Chosen, model: &str, prices: &Prices) -> Vec<Way> {
    let plan = docket(work, limits, chosen.settings, model, prices);
    let single = docket(work, limits, Settings { maximum_concurrency: 1, batch_size: 1 }, model, prices);
    let batch = batch_inference(work, model, prices);
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

fn tokens(work: &Workload, model: &str, prices: &Prices) -> f64 {
    let Some(price) = prices.model(model) else { return 0.0 };
    let each = work.tokens_in * price.input_per_1000 + work.tokens_out * price.output_per_1000;
    work.documents * each / 1_000.0
}

fn docket(work: &Workload, limits: &Limits, settings: Settings, model: &str, prices: &Prices) -> Cost {
    let gb = f64::from(limits.memory_mb) / 1_024.0;
    let batches = settings.batches(work.documents);
    let by_api = if work.intake == Intake::Api { work.documents } else { 0.0 };
    let in_bucket = if work.intake == Intake::Queue { 0.0 } else { work.documents };
    let seconds = batches * work.batch_seconds() + by_api * PRODUCER_SECONDS;
    let functions = seconds * gb * prices.function_gb_second.usd + (batches + by_api) * prices.function_request.usd;
    let message = if work.intake == Intake::Queue { work.tokens_in * BYTES_PER_TOKEN } else { 1.0 };
    // The claim writes a small row, the result the whole; the API creates it
    // first, after a look whether it is there.
    let result_units = ((ROW_BYTES + work.tokens_out * BYTES_PER_TOKEN) / 1_024.0).ceil();
    let units = work.documents * (1.0 + result_units) + by_api;
    let parts = Cost {
        model: tokens(work, model, prices),
        functions,
        queue: work.documents * QUEUE_REQUESTS * (message / QUEUE_CHUNK_BYTES).ceil() * prices.queue_request.usd,
        table: units * prices.table_write.usd + by_api * prices.table_read.usd,
        bucket: in_bucket * (prices.bucket_put.usd + prices.bucket_get.usd),
        api: by_api * prices.api_request.usd,
        total: 0.0,
    };
    summed(parts)
}

/// Batch inference takes files of the bucket and gives files back; the few
/// objects cost next to nothing.
fn batch_inference(work: &Workload, model: &str, prices: &Prices) -> Cost {
    let model = tokens(work, model, prices) * prices.batch_inference_part.usd;
    summed(Cost { model, functions: 0.0, queue: 0.0, table: 0.0, bucket: 0.0, api: 0.0, total: 0.0 })
}

fn summed(cost: Cost) -> Cost {
    let Cost { model, functions, queue, table, bucket, api, .. } = cost;
    Cost { total: model + functions + queue + table + bucket + api, ..cost }
}
