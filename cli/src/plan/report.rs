//! The text of the plan.

use std::fmt::Write;

use jiff::SignedDuration;

use super::bound::Bound;
use super::cost::BATCH_INFERENCE_MIN;
use super::cost::Way;
use super::planner::Plan;
use super::prices::Prices;
use super::quota::{reserved_tokens, settled_tokens};
use super::remedy::Remedy;

/// Formats seconds, rounded up to whole ones, as `1h 30m`.
pub fn format_duration(seconds: f64) -> String {
    format!("{:#}", SignedDuration::from_secs(seconds.ceil().min(1e15) as i64))
}

/// Formats a whole number with commas between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes the plan as text.
pub fn report(plan: &Plan, prices: &Prices) -> String {
    let work = &plan.work;
    let mut text = format!(
        "{} documents of {} s, {} input and {} output tokens each, with {}\n\n",
        grouped(work.documents),
        work.seconds,
        grouped(work.tokens_in),
        grouped(work.tokens_out),
        plan.model
    );
    write_verdict(&mut text, plan);
    write_bounds(&mut text, plan);
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
    write_costs(&mut text, plan);
    write_footnotes(&mut text, plan, prices);
    text
}

fn write_verdict(text: &mut String, plan: &Plan) {
    let (needed, deadline) = (format_duration(plan.seconds), format_duration(plan.limits.deadline_seconds));
    let _ = match &plan.remedy {
        None => writeln!(text, "Meets the deadline of {deadline}: the run takes {needed}."),
        Some(remedy) => writeln!(
            text,
            "Does not meet the deadline of {deadline}: the run takes {needed}.\n{}",
            recommendation(plan, remedy)
        ),
    };
    let _ = writeln!(text, "Limited by: {}.", bound_name(plan.binds));
}

/// The quotas to request, or the earliest possible deadline.
fn recommendation(plan: &Plan, remedy: &Remedy) -> String {
    let possible = format_duration(remedy.possible_deadline_seconds);
    let mut requests = Vec::new();
    if let Some(tokens) = remedy.tokens_per_minute {
        let scope = if plan.model.split('.').count() > 2 { "Cross-Region" } else { "On-demand" };
        requests.push(format!("{} of \"{scope} InvokeModel tokens per minute\" for the model", grouped(tokens)));
    }
    if let Some(quota) = remedy.requests_per_minute {
        requests.push(format!("{} of the model's requests per minute", grouped(quota)));
    }
    if let Some(functions) = remedy.function_concurrency {
        requests.push(format!("{} of Lambda's \"Concurrent executions\"", grouped(f64::from(functions))));
    }
    if requests.is_empty() {
        let earliest = format_duration(remedy.earliest_seconds);
        return format!(
            "No larger quota helps: the shortest possible run takes {earliest}. Your quotas allow a deadline of {possible}."
        );
    }
    format!("Request {} in Service Quotas, or use a deadline of {possible}.", requests.join(" and "))
}

fn bound_name(bound: Bound) -> &'static str {
    match bound {
        Bound::TokensPerMinute => "the model's tokens per minute",
        Bound::RequestsPerMinute => "the model's requests per minute",
        Bound::FunctionConcurrency => "concurrent functions",
        Bound::Ramp => "ramp of the event source mapping",
        Bound::Model => "one call of the model",
    }
}

fn write_bounds(text: &mut String, plan: &Plan) {
    let _ = writeln!(text, "\nDuration by each bound alone:");
    for bound in &plan.bounds {
        let _ = writeln!(text, "  {:<34} {:>12}", bound_name(bound.bound), format_duration(bound.seconds));
    }
    let _ = writeln!(
        text,
        "A call reserves {} tokens of the quota, uses {}, and counts {}. The quota therefore allows {} calls per minute.",
        grouped(reserved_tokens(&plan.work)),
        grouped(settled_tokens(&plan.work)),
        grouped(plan.tokens_counted_per_call),
        grouped(plan.calls_per_minute_by_quota),
    );
}

fn write_costs(text: &mut String, plan: &Plan) {
    let _ = writeln!(
        text,
        "{:<16}{:>13}{:>11}{:>11}{:>9}{:>9}{:>9}{:>9}{:>11}",
        "", "time", "model", "functions", "queue", "table", "bucket", "API", "total"
    );
    for Way { name, seconds, cost } in &plan.ways {
        let up_to = if *name == "batch inference" { "≤ " } else { "" };
        let time = format!("{up_to}{}", format_duration(*seconds));
        let _ = match cost {
            Some(cost) => writeln!(
                text,
                "{name:<16}{time:>13}{:>11}{:>11}{:>9}{:>9}{:>9}{:>9}{:>11}",
                format_dollars(cost.model),
                format_dollars(cost.functions),
                format_dollars(cost.queue),
                format_dollars(cost.table),
                format_dollars(cost.bucket),
                format_dollars(cost.api),
                format_dollars(cost.total)
            ),
            None => writeln!(text, "{name:<16}needs at least {BATCH_INFERENCE_MIN} records"),
        };
    }
}

fn format_dollars(amount: f64) -> String {
    match amount {
        _ if amount >= 1_000.0 => format!("${}", grouped(amount)),
        _ if amount > 0.0 && amount < 1.0 => format!("${amount:.3}"),
        _ => format!("${amount:.2}"),
    }
}

fn write_footnotes(text: &mut String, plan: &Plan, prices: &Prices) {
    text.push_str(
        "\nBatch inference guarantees no duration: a job may wait, and by default ends after 24 h, finished or not.\n\
         It needs at least 100 records, supports no forced tool call, and does not retry single records.\n",
    );
    let _ = writeln!(
        text,
        "List prices of {}, {}, without free tiers, logs, traces and storage. --prices FILE replaces them.",
        prices.region, prices.date
    );
    for assumed in prices.assumed_names() {
        let _ = writeln!(text, "Assumed price: {assumed}.");
    }
    if let Some(price) = prices.model(&plan.model).filter(|price| !price.assumed.is_empty()) {
        let _ = writeln!(text, "Assumed: {}.", price.assumed);
    }
}
