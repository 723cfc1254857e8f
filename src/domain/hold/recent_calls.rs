//! The last calls of one model, which show a partial outage: most calls of many jobs fail,
//! and some are answered.

use std::collections::{HashSet, VecDeque};

use crate::domain::ids::JobId;
use crate::domain::limits::{OUTAGE_FAILURES_MIN, OUTAGE_JOBS_MIN, RECENT_CALLS};

/// The ends of the last [`RECENT_CALLS`] calls.
#[derive(Debug, Default)]
pub struct RecentCalls {
    /// The job of each call that had no answer; `None` for an answered call.
    ends: VecDeque<Option<JobId>>,
}

impl RecentCalls {
    /// Adds a call that the model answered.
    pub fn add_answered(&mut self) {
        self.add(None);
    }

    /// Adds a call of a job without an answer: a 5xx, a time-out or a broken connection.
    pub fn add_unanswered(&mut self, job_id: JobId) {
        self.add(Some(job_id));
    }

    fn add(&mut self, end: Option<JobId>) {
        if self.ends.len() == RECENT_CALLS {
            self.ends.pop_front();
        }
        self.ends.push_back(end);
    }

    /// Whether most of the calls failed, and those were calls of many jobs.
    pub fn mostly_fail(&self) -> bool {
        let failures: Vec<&JobId> = self.ends.iter().flatten().collect();
        let jobs: HashSet<&JobId> = failures.iter().copied().collect();
        failures.len() >= OUTAGE_FAILURES_MIN && jobs.len() >= OUTAGE_JOBS_MIN && failures.len() * 2 > self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls in their order: a number is the job of a call without an answer.
    fn recent(ends: &[Option<u32>]) -> RecentCalls {
        let mut recent = RecentCalls::default();
        for end in ends {
            match end {
                Some(job) => recent.add_unanswered(format!("job-{job}").parse().unwrap()),
                None => recent.add_answered(),
            }
        }
        recent
    }

    #[test]
    fn most_calls_of_many_jobs_must_fail() {
        let failures: Vec<Option<u32>> = (0..OUTAGE_FAILURES_MIN as u32).map(Some).collect();
        assert!(recent(&failures).mostly_fail());
        assert!(!recent(&failures[1..]).mostly_fail(), "too few failures");
        assert!(!recent(&[Some(1); RECENT_CALLS]).mostly_fail(), "one job");
        let half = [failures.clone(), vec![None; failures.len()]].concat();
        assert!(!recent(&half).mostly_fail(), "half of the calls are answered");
        assert!(recent(&half[..half.len() - 1]).mostly_fail());
    }

    #[test]
    fn old_calls_are_forgotten() {
        let failures: Vec<Option<u32>> = (0..RECENT_CALLS as u32).map(Some).collect();
        assert!(recent(&failures).mostly_fail());
        assert!(!recent(&[failures, vec![None; RECENT_CALLS]].concat()).mostly_fail());
    }
}
