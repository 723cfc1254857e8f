//! Ctrl-C while a command waits.

use crate::error::CommandError;

/// Runs a command until its end, or until Ctrl-C.
///
/// # Errors
/// [`CommandError::Interrupted`] with `message` after Ctrl-C.
pub(crate) async fn interruptible<T>(
    message: &str,
    command: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    tokio::select! {
        ended = command => ended,
        Ok(()) = tokio::signal::ctrl_c() => Err(CommandError::Interrupted(message.to_owned())),
    }
}
