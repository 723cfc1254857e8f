//! How a request says who sends it.

use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_bedrockruntime::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_bedrockruntime::config::{ConfigBag, Intercept, RuntimeComponents, SharedInterceptor};
use aws_sdk_bedrockruntime::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::disable_interceptor;

/// What CloudTrail records as `userAgent`.
const USER_AGENT: &str = concat!("docket/", env!("CARGO_PKG_VERSION"));

/// A request says `docket/<version>`: for the table's and the model's clients, which
/// a job asks most. The SDK's own user agent lists what the SDK is made of, and is
/// put together anew for each request.
pub(super) fn short_user_agent() -> SharedInterceptor {
    // Permanent: no hook of it asks whether it was disabled for the call.
    SharedInterceptor::permanent(ShortUserAgent)
}

#[derive(Debug)]
struct ShortUserAgent;

impl Intercept for ShortUserAgent {
    fn name(&self) -> &'static str {
        "ShortUserAgent"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let own = disable_interceptor::<UserAgentInterceptor>("a shorter one is sent");
        config.interceptor_state().store_put(own);
        Ok(())
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().headers_mut().insert("user-agent", USER_AGENT);
        Ok(())
    }
}
