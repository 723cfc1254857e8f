//! Work that costs processor time: compiling a schema, validating an answer, parsing
//! messages. It runs on separate threads, because the functions have one thread that also
//! keeps the time of the response.
//!
//! Each piece of work has a thread with a large stack, and there are [`HEAVY_WORK_THREADS`]
//! of them at most. Work that takes longer than [`HEAVY_WORK_TIME`] is abandoned: its caller
//! goes on, and its thread ends by itself, because the budgets of the domain bound every
//! piece of work. Until then the thread counts. Lambda freezes it between invocations.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::domain::limits::{HEAVY_WORK_STACK_BYTES, HEAVY_WORK_THREADS, HEAVY_WORK_TIME};

static THREADS: Semaphore = Semaphore::const_new(HEAVY_WORK_THREADS);

/// The work took longer than its time, or the system started no thread for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("took more than {} s", HEAVY_WORK_TIME.as_secs())]
pub struct Abandoned;

/// Runs work on a separate thread, as soon as one is free. A panic of the work continues
/// in the caller.
///
/// # Errors
/// [`Abandoned`], after [`HEAVY_WORK_TIME`].
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Abandoned> {
    run_within(HEAVY_WORK_TIME, work).await
}

/// Runs work as [`run`] does, with another time.
///
/// # Errors
/// [`Abandoned`], after `time`.
pub async fn run_within<T: Send + 'static>(
    time: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Abandoned> {
    let permit = THREADS.acquire().await.map_err(|_| Abandoned)?;
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("heavy-work".to_owned()).stack_size(HEAVY_WORK_STACK_BYTES);
    let started = thread.spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(work));
        drop(permit);
        // Nobody waits for abandoned work.
        let _ = sender.send(result);
    });
    started.map_err(|_| Abandoned)?;
    match tokio::time::timeout(time, receiver).await {
        Ok(Ok(Ok(result))) => Ok(result),
        Ok(Ok(Err(panic))) => resume_unwind(panic),
        Ok(Err(_)) | Err(_) => Err(Abandoned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    use futures_util::FutureExt;

    #[tokio::test]
    async fn timekeeper_goes_on_during_heavy_work() {
        let work = run(|| {
            std::thread::sleep(Duration::from_millis(300));
            7
        });
        let ticks = async {
            let mut ticks = 0;
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(200) {
                tokio::time::sleep(Duration::from_millis(10)).await;
                ticks += 1;
            }
            ticks
        };
        let (result, ticks) = futures_util::join!(work, ticks);
        assert_eq!(result, Ok(7));
        assert!(ticks > 1, "the thread that keeps time was blocked");
    }

    #[tokio::test]
    async fn panic_of_heavy_work_reaches_its_caller() {
        let panicked = AssertUnwindSafe(run(|| -> u8 { panic!("a defect") })).catch_unwind().await;
        assert!(panicked.is_err());
        assert_eq!(run(|| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn slow_work_is_abandoned_and_ends_by_itself() {
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (ended, end) = std::sync::mpsc::channel();
        let abandoned = run_within(Duration::from_millis(20), move || {
            let _ = wait.recv();
            ended.send(()).unwrap();
        });
        assert_eq!(abandoned.await, Err(Abandoned));
        drop(release);
        end.recv_timeout(Duration::from_secs(10)).expect("the thread ends");
    }
}
