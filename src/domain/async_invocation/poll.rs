//! Polls: how a job waits for an async invocation while no function waits. A poll is a
//! delayed message, and the stored job records the poll for which it waits.
//!
//! ```text
//! job's message  claim ─ start(token) ─ send poll 1 ─ store "waits for 1" ─ acknowledge
//! poll 1                                   resume ─ ask ─ send poll 2 ─ store "waits for 2" ─ acknowledge
//! poll 2                                                     resume ─ ask ─ complete ─ acknowledge
//! ```
//!
//! A poll is a copy of the job's message with one more attribute, so every poll can do
//! all remaining work:
//!
//! - A stored job waits for a poll only after that poll was sent. A message that finds
//!   the job waiting for another poll can therefore be acknowledged.
//! - A crash between send and store leaves two messages and a lease that expires. One
//!   message then claims the job, and finds the invocation by its ARN or its token.
//! - A crash after the store leaves the message, which finds the job waiting.
//! - Resuming increments the attempt. One of two copies of a poll continues, and
//!   DynamoDB rejects the writes of the other.
//! - A poll that is late by [`ASYNC_POLL_MARGIN`](crate::domain::limits::ASYNC_POLL_MARGIN)
//!   counts as lost. Any copy of the job's message may then resume the job.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::domain::job::stored::{State, StoredJob};

/// One poll of a job. Its text is generation and number, such as `0.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// The job's generation; see [`StoredJob::generation`].
    pub generation: u32,
    /// The number of the poll, from 1.
    pub number: u32,
}

impl fmt::Display for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.number)
    }
}

impl FromStr for Poll {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (generation, number) = text.split_once('.').ok_or(())?;
        let parse = |text: &str| text.parse().map_err(|_| ());
        Ok(Self { generation: parse(generation)?, number: parse(number)? })
    }
}

/// The first step of a message whose job has an async invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The job waits for no poll: claim it like any other job.
    Claim,
    /// Resume the waiting job. No attempt is charged.
    Resume {
        /// The attempt at which the job waits.
        attempt: u32,
    },
    /// The job waits for another poll, which is in the queue: acknowledge.
    Superseded,
}

/// Decides the first step of a message. `row` is `None` if no job is stored; `received`
/// is the poll that the message is, if any.
pub fn next_step(row: Option<&StoredJob>, received: Option<Poll>, now: Timestamp) -> Step {
    let waiting = row.and_then(|row| match (&row.state, &row.invocation) {
        (State::Processing { lease_until }, Some(started)) if started.is_waiting => {
            let due = Poll { generation: row.generation, number: started.poll };
            Some((row.attempt, due, *lease_until))
        }
        _ => None,
    });
    match waiting {
        None => Step::Claim,
        Some((attempt, due, lease_until)) if received == Some(due) || lease_until <= now => Step::Resume { attempt },
        Some(_) => Step::Superseded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_is_parsed_from_its_text_only() {
        let poll = Poll { generation: 7, number: 12 };
        assert_eq!(poll.to_string().parse(), Ok(poll));
        for wrong in ["", "1", "1.", ".1", "1.2.3", "-1.2", "a.b", "1.4294967296"] {
            assert_eq!(wrong.parse::<Poll>(), Err(()), "{wrong}");
        }
    }
}
