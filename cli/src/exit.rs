//! The exit codes of the commands that use a deployed stack.

use std::process::ExitCode;

/// How a command ended. Invalid arguments end the process with 2 before a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command did what it should.
    Done,
    /// A check failed, or an error prevented the command.
    Failed,
    /// The time-out passed, and documents are unfinished.
    TimedOut,
    /// There are no credentials, or AWS does not accept them.
    Credentials,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::TimedOut => 3,
            Exit::Credentials => 4,
        })
    }
}
