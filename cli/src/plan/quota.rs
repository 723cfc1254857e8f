//! The calls per second that the model's quota allows.
//!
//! Bedrock reserves a call's input tokens and its maxTokens when the call begins.
//! When the call ends, Bedrock corrects that to input + output × factor: an output
//! token of some models counts as several.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html>

use super::workload::{Limits, Workload};
use docket::domain::limits::QUOTA_UNUSED_WINDOW;

/// The window of a quota, in seconds.
const WINDOW: f64 = 60.0;

/// The quota of the model that limits the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitingQuota {
    /// Tokens per minute.
    Tokens,
    /// Requests per minute.
    Requests,
}

/// Tokens that a call counts after its end.
pub fn settled_tokens(work: &Workload) -> f64 {
    work.tokens_in + work.tokens_out * work.output_token_factor
}

/// Tokens that a call counts while it runs.
pub fn reserved_tokens(work: &Workload) -> f64 {
    work.tokens_in + work.max_tokens
}

/// Tokens that the plan counts for a call.
///
/// In every minute, the calls of the last `seconds` still run and count their
/// reservation; earlier calls count their use. The average is therefore
/// `settled + min(seconds, 60) / 60 × (reserved − settled)`. A call that reserves
/// less than it uses counts its use.
///
/// Docket's own admission may count a larger part of an unused reservation
/// ([`counted`](docket::domain::quota::gcra::Quota::counted)); the plan then uses
/// that amount.
pub fn counted_tokens(work: &Workload) -> f64 {
    let settled = settled_tokens(work);
    let reserved = reserved_tokens(work);
    let excess = (reserved - settled).max(0.0);
    let by_admission = (work.seconds / QUOTA_UNUSED_WINDOW.as_secs_f64() * excess).min(reserved);
    by_admission.max(settled + work.seconds.min(WINDOW) / WINDOW * excess)
}

/// Calls per second that the quotas allow, and the quota that limits them.
pub fn calls_per_second(work: &Workload, limits: &Limits) -> (f64, LimitingQuota) {
    let by_tokens = limits.tokens_per_minute / counted_tokens(work) / WINDOW;
    match limits.requests_per_minute {
        Some(requests) if requests / WINDOW < by_tokens => (requests / WINDOW, LimitingQuota::Requests),
        _ => (by_tokens, LimitingQuota::Tokens),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{limits, work};
    use super::*;
    use docket::domain::job::stored::Usage;
    use docket::domain::quota::gcra::Quota;

    #[test]
    fn running_call_counts_its_reservation_ended_call_its_use() {
        // 2,000 + 300 = 2,300 used; 2,000 + 1,024 = 3,024 reserved, 724 more.
        // 8 s of each minute's 60: 2,300 + 8 / 60 × 724 = 2,396.53.
        assert!((counted_tokens(&work()) - 2_396.53).abs() < 0.01);
        // A call of a minute or more always counts its whole reservation.
        assert_eq!(counted_tokens(&Workload { seconds: 60.0, ..work() }), 3_024.0);
        assert_eq!(counted_tokens(&Workload { seconds: 300.0, ..work() }), 3_024.0);
    }

    #[test]
    fn plan_allows_no_more_calls_than_admission_grants() {
        let works: [[u32; 4]; 5] = [
            [500, 100, 8_192, 30],
            [2_000, 300, 8_192, 8],
            [2_000, 300, 1_024, 8],
            [500, 100, 8_192, 90],
            [10, 9, 5, 1],
        ];
        for [tokens_in, tokens_out, max_tokens, seconds] in works {
            let planned = Workload {
                tokens_in: f64::from(tokens_in),
                tokens_out: f64::from(tokens_out),
                max_tokens: f64::from(max_tokens),
                seconds: f64::from(seconds),
                ..work()
            };
            let quota = Quota { tokens_per_minute: 600_000, requests_per_minute: 0, output_token_factor: 1 };
            let reserved = quota.deducted(tokens_in.into(), max_tokens.into());
            let usage = Usage { input_tokens: tokens_in.into(), output_tokens: tokens_out.into() };
            let counted = quota.counted(reserved, usage, Duration::from_secs(seconds.into()));
            // `counted` is time: 60 s are one minute's quota.
            let granted = counted.as_secs_f64() / 60.0 * 600_000.0;
            assert!(counted_tokens(&planned) >= granted - 0.01, "{granted} {planned:?}");
        }
        let long = Workload { tokens_in: 500.0, tokens_out: 100.0, max_tokens: 8_192.0, seconds: 30.0, ..work() };
        assert_eq!(counted_tokens(&long), 8_092.0, "the whole unused reservation");
    }

    #[test]
    fn call_that_uses_more_than_it_reserved_counts_its_use() {
        // 2,000 + 300 × 5 = 3,500, which is more than the 3,024 reserved.
        let five = Workload { output_token_factor: 5.0, ..work() };
        assert_eq!(counted_tokens(&five), 3_500.0);
        // 10,000 such documents in an hour: 10,000 × 3,500 / 60 = 583,333 tokens a minute.
        let quota = Limits { tokens_per_minute: 583_333.34, ..limits() };
        assert!((calls_per_second(&five, &quota).0 * 3_600.0 - 10_000.0).abs() < 0.01);
    }

    #[test]
    fn smaller_quota_limits_the_calls() {
        // 600,000 / 2,396.53 = 250.36 calls a minute by tokens.
        let (rate, limiting) = calls_per_second(&work(), &limits());
        assert!((rate * 60.0 - 250.36).abs() < 0.01);
        assert_eq!(limiting, LimitingQuota::Tokens);
        let requests = Limits { requests_per_minute: Some(120.0), ..limits() };
        assert_eq!(calls_per_second(&work(), &requests), (2.0, LimitingQuota::Requests));
        let wide = Limits { requests_per_minute: Some(251.0), ..limits() };
        assert_eq!(calls_per_second(&work(), &wide).1, LimitingQuota::Tokens);
    }
}
