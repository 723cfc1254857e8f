//! The facts that the SDK does not return with a response: the numbers that its parser
//! rounded, and the connection.

use std::collections::HashMap;
use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_bedrockruntime::config::interceptors::{
    AfterDeserializationInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_bedrockruntime::error::{BoxError, SdkError};
use aws_sdk_bedrockruntime::operation::converse::{ConverseError, ConverseOutput};
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;

use crate::domain::exact_json::{JsonPath, find_inexact_numbers};
use crate::domain::limits::{IDLE_CONNECTION_AGE, KNOWN_CONNECTIONS_MAX, STALE_ERROR_TIME};

/// A response of Converse.
pub(super) struct Response {
    pub output: ConverseOutput,
    /// The places in the JSON of the response whose numbers the SDK has rounded.
    pub rounded: Vec<JsonPath>,
}

/// Observes one call. Clones share what they observed.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace(Arc<Mutex<Observed>>);

#[derive(Debug, Default)]
struct Observed {
    rounded: Vec<JsonPath>,
    /// The local end of the connection.
    connection: Option<SocketAddr>,
}

impl Trace {
    pub fn take_rounded(&self) -> Vec<JsonPath> {
        std::mem::take(&mut lock(&self.0).rounded)
    }
}

impl Intercept for Trace {
    fn name(&self) -> &'static str {
        "Trace"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // The SDK parses a number into 64 bits, and rounds it silently.
        let body = context.response().body().bytes().and_then(|bytes| std::str::from_utf8(bytes).ok());
        lock(&self.0).rounded = body.map(find_inexact_numbers).unwrap_or_default();
        Ok(())
    }

    fn read_after_attempt(
        &self,
        _: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let connection = config.load::<CaptureSmithyConnection>().and_then(CaptureSmithyConnection::get);
        lock(&self.0).connection = connection.and_then(|connection| connection.local_addr());
        Ok(())
    }
}

/// The connections that have carried a response, with the time of the last one, by their
/// local addresses. Clones share them. The times are those of the system's clock, which goes
/// on while Lambda has frozen the environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections(Arc<Mutex<HashMap<SocketAddr, SystemTime>>>);

impl Connections {
    /// Whether a call failed because its connection had died while it was idle.
    ///
    /// AWS closes idle connections, also while Lambda has frozen the environment. The next
    /// call then fails at once and before any byte of the answer, and Bedrock has not seen it.
    /// The end of a connection that was new or in use, or after a while, is no such error,
    /// because Bedrock may have worked on the call. `elapsed` is the duration of the call.
    pub fn is_stale_error(
        &self,
        sent: &Result<ConverseOutput, SdkError<ConverseError>>,
        trace: &Trace,
        elapsed: Duration,
    ) -> bool {
        let Some(connection) = lock(&trace.0).connection else { return false };
        let mut known = lock(&self.0);
        match sent {
            Ok(_) | Err(SdkError::ServiceError(_)) => {
                if known.len() >= KNOWN_CONNECTIONS_MAX {
                    known.clear();
                }
                known.insert(connection, SystemTime::now());
                false
            }
            Err(SdkError::DispatchFailure(failure)) => {
                let idle = known.remove(&connection).and_then(|answered| answered.elapsed().ok());
                let was_idle = idle.is_some_and(|idle| idle.saturating_sub(elapsed) >= IDLE_CONNECTION_AGE);
                was_idle
                    && elapsed <= STALE_ERROR_TIME
                    && failure.as_connector_error().is_some_and(|error| is_end_of_connection(error))
            }
            Err(_) => {
                known.remove(&connection);
                false
            }
        }
    }
}

/// Whether an error, or one of its causes, is the end of a connection.
fn is_end_of_connection(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_closed() || error.is_canceled() || error.is_incomplete_message())
        {
            return true;
        }
        if error.downcast_ref::<h2::Error>().is_some_and(|error| error.is_go_away() && error.is_remote()) {
            return true;
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            let ends = [
                ErrorKind::ConnectionReset,
                ErrorKind::ConnectionAborted,
                ErrorKind::BrokenPipe,
                ErrorKind::UnexpectedEof,
                ErrorKind::NotConnected,
            ];
            if ends.contains(&error.kind()) {
                return true;
            }
        }
        cause = error.source();
    }
    false
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
