//! The estimate of a submit: tokens, cost and time, by the formulas of `docket plan`.

use serde::Serialize;

use crate::plan::prices::Prices;
use crate::plan::{Intake, Limits, Ramp, Workload, format_duration, plan};

/// Bytes per token of a text.
const TEXT_BYTES_PER_TOKEN: u64 = 4;
/// Assumed bytes per token of a file with pages: it also has fonts, pictures and layout.
const FILE_BYTES_PER_TOKEN: u64 = 20;
/// Assumed tokens of an image.
const IMAGE_TOKENS: u64 = 1_600;
/// Tokens of instructions and schema in every call.
const PROMPT_TOKENS: u64 = 600;
/// Assumed tokens of an answer.
const ANSWER_TOKENS: f64 = 300.0;
/// Duration of a batch in addition to the call, as in `docket plan`.
const OVERHEAD_SECONDS: f64 = 0.2;
/// A year: the estimate has no deadline.
const NO_DEADLINE_SECONDS: f64 = 365.0 * 86_400.0;
/// Without a configured quota, the quota does not limit the estimate.
const NO_QUOTA: f64 = 1e12;
/// Lambda's default quota of concurrent executions.
const FUNCTION_CONCURRENCY: u32 = 1_000;
const IMAGES: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];
const FILES: [&str; 5] = ["pdf", "doc", "docx", "xls", "xlsx"];

/// The sums over the files of a walk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Sums {
    /// Files to submit.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their estimated input tokens.
    pub input_tokens: u64,
}

impl Sums {
    /// Adds a file.
    pub fn add(&mut self, path: &str, size: u64) {
        self.files += 1;
        self.bytes += size;
        self.input_tokens += PROMPT_TOKENS + estimate_tokens(path, size);
    }
}

/// The tokens of a document, by its extension and size.
fn estimate_tokens(path: &str, size: u64) -> u64 {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).unwrap_or_default();
    match extension.as_str() {
        kind if IMAGES.contains(&kind) => IMAGE_TOKENS,
        kind if FILES.contains(&kind) => size.div_ceil(FILE_BYTES_PER_TOKEN),
        _ => size.div_ceil(TEXT_BYTES_PER_TOKEN),
    }
}

/// The stack's settings that the estimate needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Settings {
    /// The model or inference profile.
    pub model: String,
    /// `MaximumConcurrency`.
    pub maximum_concurrency: u32,
    /// `BatchSize`.
    pub batch_size: u32,
    /// `MaxTokens`.
    pub max_tokens: f64,
    /// `ModelTokensPerMinute`, if it is configured.
    pub tokens_per_minute: Option<f64>,
    /// `ModelRequestsPerMinute`, if it is configured.
    pub requests_per_minute: Option<f64>,
    /// Whether these are the stack's settings, and not the template's defaults.
    pub are_of_stack: bool,
}

/// An estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Estimate {
    /// The files.
    #[serde(flatten)]
    pub sums: Sums,
    /// The tokens of all answers.
    pub output_tokens: u64,
    /// The cost in dollars; `None` if the price table has no such model.
    pub cost_usd: Option<f64>,
    /// The duration in seconds; `None` if no setting fits such calls.
    pub seconds: Option<f64>,
    /// The settings.
    pub settings: Settings,
}

/// Makes the estimate. `seconds` is the duration of a call.
pub(super) fn estimate(sums: Sums, settings: Settings, seconds: f64, prices: &Prices) -> Estimate {
    let price = prices.model(&settings.model);
    let documents = (sums.files as f64).max(1.0);
    let work = Workload {
        documents,
        seconds,
        overhead_seconds: OVERHEAD_SECONDS,
        tokens_in: sums.input_tokens as f64 / documents,
        tokens_out: ANSWER_TOKENS,
        max_tokens: settings.max_tokens,
        output_token_factor: price.map_or(1.0, |price| price.output_token_factor),
        intake: Intake::Bucket,
    };
    let limits = Limits {
        tokens_per_minute: settings.tokens_per_minute.unwrap_or(NO_QUOTA),
        requests_per_minute: settings.requests_per_minute,
        function_concurrency: FUNCTION_CONCURRENCY,
        memory_mb: 512,
        deadline_seconds: NO_DEADLINE_SECONDS,
        batch_size: Some(settings.batch_size),
        maximum_concurrency: Some(settings.maximum_concurrency),
        ramp: Ramp::AWS,
    };
    let planned = plan(work, limits, &settings.model, prices).ok();
    let cost = planned.as_ref().and_then(|plan| plan.ways.first()?.cost);
    Estimate {
        sums,
        output_tokens: (documents * ANSWER_TOKENS) as u64,
        cost_usd: cost.filter(|_| price.is_some()).map(|cost| cost.total),
        seconds: planned.map(|plan| plan.seconds),
        settings,
    }
}

impl Estimate {
    /// The estimate as text.
    pub fn as_text(&self) -> String {
        let Self { sums, output_tokens, settings, .. } = self;
        let cost = self
            .cost_usd
            .map_or_else(|| format!("unknown: no price of {}", settings.model), |cost| format!("${cost:.2}"));
        let time = self.seconds.map_or_else(|| "unknown".to_owned(), format_duration);
        let source = if settings.are_of_stack { "the stack" } else { "the template's defaults" };
        format!(
            "files   {}, {:.1} MB\ntokens  {} input, {output_tokens} output\ncost    {cost}\ntime    {time}\n\n\
             Estimated for {} with MaximumConcurrency {} and BatchSize {} of {source}.\n\
             Assumed: {TEXT_BYTES_PER_TOKEN} bytes a token of text, {FILE_BYTES_PER_TOKEN} bytes a token of pdf and \
             office files, {IMAGE_TOKENS} tokens an image, {ANSWER_TOKENS} tokens an answer.\n",
            sums.files,
            sums.bytes as f64 / 1e6,
            sums.input_tokens,
            settings.model,
            settings.maximum_concurrency,
            settings.batch_size,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(model: &str) -> Settings {
        Settings {
            model: model.to_owned(),
            maximum_concurrency: 10,
            batch_size: 10,
            max_tokens: 1_024.0,
            tokens_per_minute: None,
            requests_per_minute: None,
            are_of_stack: true,
        }
    }

    #[test]
    fn tokens_follow_from_kind_and_size() {
        for (path, size, expected) in [("a.txt", 401, 101), ("a", 8, 2), ("a.PDF", 20_000, 1_000), ("a.png", 9, 1_600)]
        {
            assert_eq!(estimate_tokens(path, size), expected, "{path}");
        }
    }

    #[test]
    fn estimate_has_cost_and_time_of_the_plan() {
        let mut sums = Sums::default();
        for number in 0..10_000 {
            sums.add(&format!("{number}.txt"), 8_000);
        }
        let prices = Prices::built_in();
        let known = estimate(sums, settings("us.amazon.nova-2-lite-v1:0"), 8.0, &prices);
        assert_eq!((known.sums.input_tokens, known.output_tokens), (26_000_000, 3_000_000));
        assert!(known.cost_usd.is_some_and(|cost| cost > 10.0 && cost < 50.0), "{known:?}");
        assert!(known.seconds.is_some_and(|seconds| seconds > 800.0 && seconds < 1_000.0), "{known:?}");
        let unknown = estimate(sums, settings("unknown.model"), 8.0, &prices);
        assert_eq!(unknown.cost_usd, None);
        assert!(unknown.as_text().contains("no price of unknown.model"));
    }
}
