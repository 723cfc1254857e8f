//! How an invocation is waited for without a function that waits: by a message
//! with a delay, the check, and a row that says which check it waits for.
//!
//! ```text
//! job's message  claim ─ start(token) ─ send check 1 ─ row waits for 1 ─ acknowledge
//! check 1                                  take ─ ask ─ send check 2 ─ row waits for 2 ─ acknowledge
//! check 2                                                  take ─ ask ─ complete ─ acknowledge
//! ```
//!
//! A check is the job's own message once more, with one attribute. So each of
//! them can do all that is left to do, and none is more than a copy:
//!
//! - A row waits for a check only after that check was sent. So whoever finds a
//!   row that waits for another check than theirs may be acknowledged: what
//!   brings the job to its end is in the queue.
//! - A crash after the send and before the row leaves two messages and a claim
//!   whose lease ends. One of them then takes over, as from any silent worker,
//!   and finds the invocation by the row or by its token.
//! - A crash after the row leaves the message, which finds the row waiting.
//! - A take counts the attempt up, so that of two checks one goes on, and what
//!   the other writes is refused.
//! - A check that is late by [`ASYNC_POLL_MARGIN`](crate::domain::limits::ASYNC_POLL_MARGIN)
//!   counts as lost: any copy of the job's message may take its place.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::domain::job::stored::{State, StoredJob};

/// Names one check of a job. As text, `0.3`: generation and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// The job's life: see
    /// [`client_request_token`](crate::domain::async_invocation::request::client_request_token).
    pub generation: u32,
    /// From 1.
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
        let number_of = |text: &str| text.parse().map_err(|_| ());
        Ok(Self { generation: number_of(generation)?, number: number_of(number)? })
    }
}

/// What a message of a job for a long-running model does first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nobody waits: it claims the job as any other does.
    Claim,
    /// It takes the row that waits at this attempt. No try is charged.
    Resume {
        /// The attempt that waits.
        attempt: u32,
    },
    /// The row waits for another check, which is in the queue: acknowledge.
    Superseded,
}

/// Decides, from what the table holds and which check the message brings.
pub fn next_step(row: Option<&StoredJob>, brought: Option<Poll>, now: Timestamp) -> Step {
    let waiting = row.and_then(|row| match (&row.state, &row.invocation) {
        (State::Processing { lease_until }, Some(started)) if started.is_waiting => {
            let due = Poll { generation: row.generation, number: started.poll };
            Some((row.attempt, due, *lease_until))
        }
        _ => None,
    });
    match waiting {
        None => Step::Claim,
        Some((attempt, due, lease_until)) if brought == Some(due) || lease_until <= now => Step::Resume { attempt },
        Some(_) => Step::Superseded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_read_as_it_was_written_and_nothing_else_is_one() {
        let check = Poll { generation: 7, number: 12 };
        assert_eq!(check.to_string().parse(), Ok(check));
        for wrong in ["", "1", "1.", ".1", "1.2.3", "-1.2", "a.b", "1.4294967296"] {
            assert_eq!(wrong.parse::<Poll>(), Err(()), "{wrong}");
        }
    }
}
