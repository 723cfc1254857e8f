//! How many calls a second the model's quota feeds.
//!
//! Bedrock takes a call's input tokens and its maxTokens from the minute's
//! tokens when the call begins, and puts that right to input + output × factor
//! when it ends; an output token of some models counts as several.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html>

use super::{Limits, Workload};

/// The window of a quota, in seconds.
const WINDOW: f64 = 60.0;

/// Which quota of the model is the narrowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrowest {
    /// Tokens a minute.
    Tokens,
    /// Requests a minute.
    Requests,
}

/// What a call counts once it is over.
pub fn settled_tokens(work: &Workload) -> f64 {
    work.tokens_in + work.tokens_out * work.output_token_factor
}

/// What a call counts when it begins.
pub fn reserved_tokens(work: &Workload) -> f64 {
    work.tokens_in + work.max_tokens
}

/// Tokens that one call a minute takes from the quota.
///
/// Of the calls that begin within a minute, those of the last `seconds` still
/// run and count what they reserved; the others count what they used. So a call
/// counts `settled + min(seconds, 60) / 60 × (reserved − settled)`; where less
/// is reserved than used, it counts what it used.
pub fn counted_tokens(work: &Workload) -> f64 {
    let settled = settled_tokens(work);
    let excess = (reserved_tokens(work) - settled).max(0.0);
    settled + work.seconds.min(WINDOW) / WINDOW * excess
}

/// Calls a second that the quotas feed, and which of them is the narrowest.
pub fn calls_per_second(work: &Workload, limits: &Limits) -> (f64, Narrowest) {
    let by_tokens = limits.tokens_per_minute / counted_tokens(work) / WINDOW;
    match limits.requests_per_minute {
        Some(requests) if requests / WINDOW < by_tokens => (requests / WINDOW, Narrowest::Requests),
        _ => (by_tokens, Narrowest::Tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{limits, work};
    use super::*;

    #[test]
    fn a_running_call_counts_what_it_reserved_and_an_ended_one_what_it_used() {
        // 2,000 + 300 = 2,300 used; 2,000 + 1,024 = 3,024 reserved, 724 more.
        // 8 s of each minute's 60: 2,300 + 8 / 60 × 724 = 2,396.53.
        assert!((counted_tokens(&work()) - 2_396.53).abs() < 0.01);
        // A call of a minute or more counts its whole reservation.
        assert_eq!(counted_tokens(&Workload { seconds: 60.0, ..work() }), 3_024.0);
        assert_eq!(counted_tokens(&Workload { seconds: 300.0, ..work() }), 3_024.0);
    }

    #[test]
    fn an_output_token_may_count_as_five_and_a_small_reservation_frees_nothing() {
        // 2,000 + 300 × 5 = 3,500, which is more than the 3,024 reserved.
        let five = Workload { output_token_factor: 5.0, ..work() };
        assert_eq!(counted_tokens(&five), 3_500.0);
        // 10,000 such documents in an hour: 10,000 × 3,500 / 60 = 583,333 tokens a minute.
        let quota = Limits { tokens_per_minute: 583_333.34, ..limits() };
        assert!((calls_per_second(&five, &quota).0 * 3_600.0 - 10_000.0).abs() < 0.01);
    }

    #[test]
    fn the_narrower_quota_counts() {
        // 600,000 / 2,396.53 = 250.36 calls a minute by tokens.
        let (rate, narrowest) = calls_per_second(&work(), &limits());
        assert!((rate * 60.0 - 250.36).abs() < 0.01);
        assert_eq!(narrowest, Narrowest::Tokens);
        let requests = Limits { requests_per_minute: Some(120.0), ..limits() };
        assert_eq!(calls_per_second(&work(), &requests), (2.0, Narrowest::Requests));
        let wide = Limits { requests_per_minute: Some(251.0), ..limits() };
        assert_eq!(calls_per_second(&work(), &wide).1, Narrowest::Tokens);
    }
}
