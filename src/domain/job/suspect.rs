//! Suspects: jobs whose worker fell silent together with others.
//!
//! Nobody knows which of them ended the worker, so none is charged for it, and each runs alone
//! until it ends. Only a job that falls silent alone is charged.

use jiff::Timestamp;

use crate::domain::job::stored::{State, StoredJob};

/// Whether a stored job must run alone if a worker claims it now.
pub fn is_suspect(job: &StoredJob, now: Timestamp) -> bool {
    match &job.state {
        State::Pending => job.suspect && job.not_before.is_none_or(|until| until <= now) && job.waiting_for.is_none(),
        State::Processing { lease_until } => *lease_until <= now && job.invocation.is_none(),
        State::Complete(_) | State::Failed { .. } | State::Cancelled { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn silent_and_marked_jobs_are_suspects() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let job = |state| StoredJob { state, ..StoredJob::new("j".parse().unwrap(), now) };
        let processing = |lease_until| job(State::Processing { lease_until });
        let second = Duration::from_secs(1);
        assert!(is_suspect(&processing(now), now));
        assert!(!is_suspect(&processing(now + second), now), "another worker has it");
        assert!(!is_suspect(&job(State::Pending), now));
        let marked = StoredJob { suspect: true, ..job(State::Pending) };
        assert!(is_suspect(&marked, now));
        assert!(!is_suspect(&StoredJob { not_before: Some(now + second), ..marked.clone() }, now));
        assert!(!is_suspect(&StoredJob { state: State::Cancelled { completed_at: now }, ..marked }, now));
    }
}
