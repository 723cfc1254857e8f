//! The walks of a sweep over all unfinished jobs.
//!
//! A sweep that one invocation can finish is one walk. A longer sweep walks twice: the first
//! walk counts the jobs, and the second one sends messages. The queues explain jobs of every
//! part, so no part of the first walk can know which of its jobs lack a message.

use serde::{Deserialize, Serialize};

use super::stranded::{UnfinishedPosition, lost_messages};

/// The part of a sweep that one invocation handles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepWalk {
    /// The position at which the walk continues; `None` for the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<UnfinishedPosition>,
    /// The jobs before that position that should have a message.
    #[serde(default)]
    pub expected: u64,
    /// In the second walk: the messages that it may still send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<usize>,
}

impl SweepWalk {
    /// Whether this invocation begins a sweep.
    pub fn is_first(&self) -> bool {
        self.after.is_none() && self.left.is_none()
    }

    /// Whether this walk only counts the jobs, given where this invocation stopped.
    pub fn only_counts(&self, stopped: Option<&UnfinishedPosition>) -> bool {
        self.left.is_none() && (self.after.is_some() || stopped.is_some())
    }

    /// The messages that this invocation may send, if `expected` jobs up to its end should
    /// have one and the queues have `depth`.
    pub fn lost(&self, expected: u64, depth: u64) -> usize {
        self.left.unwrap_or_else(|| lost_messages(expected, depth))
    }

    /// The next part of the sweep after this one stopped at `stopped` and sent `sent` of the
    /// `lost` messages. `None` if the sweep has ended. The second walk ends with its last message.
    pub fn next(&self, stopped: Option<UnfinishedPosition>, expected: u64, lost: usize, sent: usize) -> Option<Self> {
        let only_counts = self.only_counts(stopped.as_ref());
        match stopped {
            Some(after) => {
                let left = self.left.map(|left| left.saturating_sub(sent));
                (left != Some(0)).then_some(Self { after: Some(after), expected, left })
            }
            None if only_counts && lost > 0 => Some(Self { after: None, expected: 0, left: Some(lost) }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(number: usize) -> UnfinishedPosition {
        UnfinishedPosition { partition: "p".into(), job_id: format!("j{number}").parse().unwrap() }
    }

    /// Sweeps jobs in parts. `true` is a job without a message. Returns the jobs whose messages
    /// were sent, and the number of invocations.
    fn sweep(jobs: &[bool], part: usize) -> (Vec<usize>, usize) {
        let depth = jobs.iter().filter(|is_lost| !**is_lost).count() as u64;
        let (mut walk, mut sent, mut invocations) = (SweepWalk::default(), Vec::new(), 0);
        let mut start = 0;
        loop {
            invocations += 1;
            assert!(invocations < 1_000, "the sweep does not end");
            let end = (start + part).min(jobs.len());
            let stopped = (end < jobs.len()).then(|| position(end));
            let expected = walk.expected + (end - start) as u64;
            let lost = walk.lost(expected, depth);
            let sendable = if walk.only_counts(stopped.as_ref()) { 0 } else { lost };
            // The judgement of the jobs is not the subject: the lost ones come first.
            let of_part: Vec<usize> = (start..end).filter(|job| jobs[*job]).take(sendable).collect();
            let next = walk.next(stopped, expected, lost, of_part.len());
            sent.extend(of_part);
            match next {
                Some(next) => {
                    start = if next.after.is_some() { end } else { 0 };
                    walk = next;
                }
                None => return (sent, invocations),
            }
        }
    }

    #[test]
    fn lost_messages_of_every_part_are_sent_once() {
        for lost in [vec![], vec![0], vec![9], vec![0, 4, 9], (0..10).collect::<Vec<_>>()] {
            let jobs: Vec<bool> = (0..10).map(|job| lost.contains(&job)).collect();
            for part in 1..=12 {
                let (sent, invocations) = sweep(&jobs, part);
                assert_eq!(sent, lost, "part {part}");
                let parts = jobs.len().div_ceil(part);
                let walks = if parts == 1 || lost.is_empty() { 1 } else { 2 };
                assert!(invocations <= parts * walks, "part {part}, lost {lost:?}: {invocations}");
            }
        }
    }
}
