//! The exit codes of the commands.

use std::process::ExitCode;

/// How a command ended. Invalid arguments that clap finds end the process with 2 before a
/// command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command did what it should.
    Done,
    /// A check or a job failed, something was not found, or an error prevented the command.
    Failed,
    /// The arguments are not valid.
    Usage,
    /// The outcome is not known yet: a time-out passed, or jobs are unfinished.
    NotEstablished,
    /// There are no credentials, or AWS does not accept them.
    Credentials,
    /// Jobs were cancelled, or wait for a hold or a budget.
    Incomplete,
    /// The user ended the command.
    Interrupted,
}

impl Exit {
    /// The number of the exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotEstablished => 3,
            Self::Credentials => 4,
            Self::Incomplete => 5,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
