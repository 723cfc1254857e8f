//! The plan as a person reads it.

use std::fmt::Write;

use jiff::SignedDuration;

use super::cost::BATCH_INFERENCE_MIN;
use super::prices::Prices;
use super::quota::{reserved_tokens, settled_tokens};
use super::{Bound, Plan, Remedy, Way};

/// Whole seconds, as `1h 30m`.
pub fn duration(seconds: f64) -> String {
    format!("{:#}", SignedDuration::from_secs(seconds.ceil().min(1e15) as i64))
}

/// A number with its thousands apart.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The plan, in lines of text.
pub fn report(plan: &Plan, prices: &Prices) -> String {
    let work = &plan.work;
    let mut text = format!(
        "{} documents of {} s, {} tokens in and {} out, by {}\n\n",
        grouped(work.documents),
        work.seconds,
        grouped(work.tokens_in),
        grouped(work.tokens_out),
        plan.model
    );
    verdict(&mut text, plan);
    bounds(&mut text, plan);
    let settings = plan.settings;
    let _ = write!(
        text,
        "\nCalls in flight: {} = MaximumConcurrency {} × BatchSize {}\n\n  STACK_PARAMETERS=\"{}\"\n  parameter_overrides = \"{}\"\n\n",
        grouped(f64::from(plan.calls_in_flight)),
        settings.maximum_concurrency,
        settings.batch_size,
        plan.stack_parameters,
        plan.stack_parameters
    );
    ways(&mut text, plan);
    footnotes(&mut text, plan, prices);
    text
}

fn verdict(text: &mut String, plan: &Plan) {
    let (takes, deadline) = (duration(plan.seconds), duration(plan.limits.deadline_seconds));
    let _ = match &plan.remedy {
        None => writeln!(text, "Meets the deadline of {deadline}: done in {takes}."),
        Some(remedy) => {
            writeln!(text, "Does not meet the deadline of {deadline}: done in {takes}.\n{}", change(plan, remedy))
        }
    };
    let _ = writeln!(text, "What binds: {}.", name(plan.binds));
}

/// What to change, in a sentence.
fn change(plan: &Plan, remedy: &Remedy) -> String {
    let possible = duration(remedy.possible_deadline_seconds);
    let mut asked = Vec::new();
    if let Some(tokens) = remedy.tokens_per_minute {
        let scope = if plan.model.split('.').count() > 2 { "Cross-Region" } else { "On-demand" };
        asked.push(format!("{} of \"{scope} InvokeModel tokens per minute\" for the model", grouped(tokens)));
    }
    if let Some(requests) = remedy.requests_per_minute {
        asked.push(format!("{} of its requests per minute", grouped(requests)));
    }
    if let Some(functions) = remedy.function_concurrency {
        asked.push(format!("{} of Lambda's \"Concurrent executions\"", grouped(f64::from(functions))));
    }
    if asked.is_empty() {
        let earliest = duration(remedy.earliest_seconds);
        return format!("No quota helps: with any it takes {earliest}, with yours take a deadline of {possible}.");
    }
    format!("Ask Service Quotas for {}, or take a deadline of {possible}.", asked.join(" and "))
}

fn name(bound: Bound) -> &'static str {
    match bound {
        Bound::TokensPerMinute => "the model's tokens a minute",
        Bound::RequestsPerMinute => "the model's requests a minute",
        Bound::FunctionConcurrency => "functions at the same time",
        Bound::Ramp => "the ramp of the poller",
        Bound::Model => "one call of the model",
    }
}

fn bounds(text: &mut String, plan: &Plan) {
    let _ = writeln!(text, "\nEach bound alone would take");
    for bound in &plan.bounds {
        let _ = writeln!(text, "  {:<30} {:>12}", name(bound.bound), duration(bound.seconds));
    }
    let _ = writeln!(
        text,
        "A call reserves {} tokens of the quota, and uses {}: it counts {}, so the quota feeds {} calls a minute.",
        grouped(reserved_tokens(&plan.work)),
        grouped(settled_tokens(&plan.work)),
        grouped(plan.tokens_counted_per_call),
        grouped(plan.calls_per_minute_by_quota),
    );
}

fn ways(text: &mut String, plan: &Plan) {
    let _ = writeln!(
        text,
        "{:<16}{:>13}{:>11}{:>11}{:>9}{:>9}{:>9}{:>9}{:>11}",
        "", "time", "model", "functions", "queue", "table", "bucket", "API", "total"
    );
    for Way { name, seconds, cost } in &plan.ways {
        let up_to = if *name == "batch inference" { "≤ " } else { "" };
        let time = format!("{up_to}{}", duration(*seconds));
        let _ = match cost {
            Some(cost) => writeln!(
                text,
                "{name:<16}{time:>13}{:>11}{:>11}{:>9}{:>9}{:>9}{:>9}{:>11}",
                dollars(cost.model),
                dollars(cost.functions),
                dollars(cost.queue),
                dollars(cost.table),
                dollars(cost.bucket),
                dollars(cost.api),
                dollars(cost.total)
            ),
            None => writeln!(text, "{name:<16}not below {BATCH_INFERENCE_MIN} records"),
        };
    }
}

fn dollars(amount: f64) -> String {
    match amount {
        _ if amount >= 1_000.0 => format!("${}", grouped(amount)),
        _ if amount > 0.0 && amount < 1.0 => format!("${amount:.3}"),
        _ => format!("${amount:.2}"),
    }
}

fn footnotes(text: &mut String, plan: &Plan, prices: &Prices) {
    text.push_str(
        "\nBatch inference promises no time: a job may wait, and ends unfinished after 24 h unless told otherwise.\n\
         It takes at least 100 records, no forced tool call by Converse, and nothing claims or retries them.\n",
    );
    let _ = writeln!(
        text,
        "List prices of {} of {}, without free tiers, logs, traces and storage; --prices FILE replaces them.",
        prices.region, prices.date
    );
    for assumed in prices.assumed() {
        let _ = writeln!(text, "Assumed: the price {assumed}.");
    }
    if let Some(price) = prices.model(&plan.model).filter(|price| !price.assumed.is_empty()) {
        let _ = writeln!(text, "Assumed: {}.", price.assumed);
    }
}
