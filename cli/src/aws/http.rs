//! The HTTP client of the command line: TLS by rustls on ring, and the proxy of the environment.

use aws_sdk_sqs::config::SharedHttpClient;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};

const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// The client of the SDK. As in the SDK's default client, `HTTPS_PROXY`, `HTTP_PROXY` and
/// `NO_PROXY` apply.
pub(super) fn sdk_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut builder = Connector::builder().proxy_config(ProxyConfig::from_env()).tls_provider(TLS);
        builder.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            builder.set_sleep_impl(components.sleep_impl());
        }
        builder.build()
    })
}

/// The connections to the stack's API.
pub(super) fn api_connector() -> Connector {
    Connector::builder().proxy_config(ProxyConfig::from_env()).tls_provider(TLS).build()
}
