//! The guard of a loopback page that holds credentials. Every request passes it.
//!
//! - The `Host` must be one of two exact names, so that another name that resolves to the
//!   loopback interface (DNS rebinding) reaches nothing.
//! - Another site, also another port of this machine, may neither read nor write.
//! - A token in the printed address works once and becomes a cookie, which every other
//!   request must have.
//! - Only POST writes, and only with `--write`.

use std::sync::atomic::{AtomicBool, Ordering};

use docket::domain::document::sha256_hex;

/// The path of the printed address.
pub(super) const OPEN_PATH: &str = "/open";

/// The parts of a request that the guard judges.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub host: Option<&'a str>,
    pub origin: Option<&'a str>,
    pub fetch_site: Option<&'a str>,
    pub cookies: Option<&'a str>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Host,
    OtherSite,
    Session,
    Method,
    ReadOnly,
}

impl Refusal {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::Host => 421,
            Self::Method => 405,
            Self::OtherSite | Self::Session | Self::ReadOnly => 403,
        }
    }

    /// The explanation and the remedy.
    pub fn message(self) -> &'static str {
        match self {
            Self::Host => "This host name is not served. Open the address that docket ui printed.",
            Self::OtherSite => "Requests of other sites are refused. Enter the address in the browser yourself.",
            Self::Session => {
                "There is no session. Open the address that docket ui printed. It works once; start docket ui again \
                 for another one."
            }
            Self::Method => "Only GET, HEAD and POST are served.",
            Self::ReadOnly => "This page is read-only. Start docket ui with --write to allow actions.",
        }
    }
}

/// The secrets and the rules of one run.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: [String; 2],
    origins: [String; 2],
    /// The hashes, so that the time of a comparison says nothing about the secrets.
    token: String,
    session: String,
    cookie_name: String,
    is_used: AtomicBool,
    is_writable: bool,
}

impl Guard {
    /// The guard of a page on this port.
    pub fn new(port: u16, token: &str, session: &str, is_writable: bool) -> Self {
        // A browser leaves out the port of HTTP.
        let suffix = if port == 80 { String::new() } else { format!(":{port}") };
        let hosts = [format!("127.0.0.1{suffix}"), format!("localhost{suffix}")];
        Self {
            origins: hosts.clone().map(|host| format!("http://{host}")),
            hosts,
            token: sha256_hex(token.as_bytes()),
            session: sha256_hex(session.as_bytes()),
            // Cookies do not distinguish ports: the name does.
            cookie_name: format!("docket-{port}"),
            is_used: AtomicBool::new(false),
            is_writable,
        }
    }

    /// Judges a request.
    pub fn judge(&self, request: &Facts<'_>) -> Result<(), Refusal> {
        let host = request.host.and_then(|host| self.hosts.iter().position(|known| known == host));
        let host = host.ok_or(Refusal::Host)?;
        let is_write = match request.method {
            "GET" | "HEAD" => false,
            "POST" => true,
            _ => return Err(Refusal::Method),
        };
        // A typed address has `none`. A browser without the header sends no request of
        // another site with the cookie either.
        let is_own = match request.fetch_site {
            Some("same-origin") => true,
            Some("none") | None => !is_write,
            Some(_) => false,
        };
        let has_origin = match request.origin {
            // The form of a page without a referrer has no origin. No site can forge the other
            // header: a browser says there that the form is the page's own.
            Some("null") => request.fetch_site == Some("same-origin"),
            Some(origin) => origin == self.origins[host],
            None => !is_write,
        };
        if !is_own || !has_origin {
            return Err(Refusal::OtherSite);
        }
        if !is_write && request.path == OPEN_PATH {
            return Ok(());
        }
        if !self.has_session(request.cookies) {
            return Err(Refusal::Session);
        }
        if is_write && !self.is_writable { Err(Refusal::ReadOnly) } else { Ok(()) }
    }

    /// Whether the cookies have the session.
    pub fn has_session(&self, cookies: Option<&str>) -> bool {
        let pairs = cookies.unwrap_or_default().split(';').filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(name, _)| *name == self.cookie_name).map(|(_, value)| value);
        values.any(|value| sha256_hex(value.as_bytes()) == self.session)
    }

    /// Takes the token of the printed address. It works once.
    pub fn take_token(&self, token: &str) -> bool {
        sha256_hex(token.as_bytes()) == self.token && !self.is_used.swap(true, Ordering::SeqCst)
    }

    /// The value of `Set-Cookie` for a session.
    pub fn cookie(&self, session: &str) -> String {
        format!("{}={session}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name)
    }
}

/// The content security policy of a page. `images` is a further origin of images.
pub(super) fn content_security_policy(images: Option<&str>) -> String {
    let images = images.map(|origin| format!(" {origin}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'{images}; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(is_writable: bool) -> Guard {
        Guard::new(8420, "token", "session", is_writable)
    }

    const READ: Facts<'_> = Facts {
        method: "GET",
        path: "/",
        host: Some("127.0.0.1:8420"),
        origin: None,
        fetch_site: Some("same-origin"),
        cookies: Some("a=b; docket-8420=session"),
    };
    const WRITE: Facts<'_> = Facts { method: "POST", origin: Some("http://127.0.0.1:8420"), ..READ };

    #[test]
    fn own_requests_pass() {
        assert_eq!(guard(false).judge(&READ), Ok(()));
        assert_eq!(guard(false).judge(&Facts { fetch_site: Some("none"), ..READ }), Ok(()));
        assert_eq!(guard(true).judge(&WRITE), Ok(()));
        let localhost = Facts { host: Some("localhost:8420"), origin: Some("http://localhost:8420"), ..WRITE };
        assert_eq!(guard(true).judge(&localhost), Ok(()));
    }

    #[test]
    fn other_requests_are_refused_with_their_reason() {
        for (facts, reason) in [
            (Facts { host: None, ..READ }, Refusal::Host),
            (Facts { host: Some("evil.example:8420"), ..READ }, Refusal::Host),
            (Facts { host: Some("127.0.0.1"), ..READ }, Refusal::Host),
            (Facts { host: Some("127.0.0.1:8421"), path: OPEN_PATH, ..READ }, Refusal::Host),
            (Facts { fetch_site: Some("cross-site"), ..READ }, Refusal::OtherSite),
            (Facts { fetch_site: Some("same-site"), path: OPEN_PATH, ..READ }, Refusal::OtherSite),
            (Facts { fetch_site: Some("none"), ..WRITE }, Refusal::OtherSite),
            (Facts { fetch_site: None, ..WRITE }, Refusal::OtherSite),
            (Facts { origin: None, ..WRITE }, Refusal::OtherSite),
            (Facts { origin: Some("null"), fetch_site: Some("cross-site"), ..WRITE }, Refusal::OtherSite),
            (Facts { origin: Some("null"), fetch_site: None, ..WRITE }, Refusal::OtherSite),
            (Facts { origin: Some("http://127.0.0.1:8421"), ..WRITE }, Refusal::OtherSite),
            (Facts { origin: Some("http://localhost:8420"), ..WRITE }, Refusal::OtherSite),
            (Facts { cookies: None, ..READ }, Refusal::Session),
            (Facts { cookies: Some("docket-8420=other"), ..READ }, Refusal::Session),
            (Facts { cookies: Some("docket-8421=session"), ..WRITE }, Refusal::Session),
            (Facts { method: "DELETE", ..WRITE }, Refusal::Method),
            (Facts { method: "PUT", ..WRITE }, Refusal::Method),
        ] {
            assert_eq!(guard(true).judge(&facts), Err(reason), "{facts:?}");
        }
        assert_eq!(guard(false).judge(&WRITE), Err(Refusal::ReadOnly));
        assert_eq!(guard(true).judge(&Facts { path: OPEN_PATH, cookies: None, ..WRITE }), Err(Refusal::Session));
    }

    #[test]
    fn token_works_once() {
        let guard = guard(false);
        assert!(!guard.take_token("other"));
        assert!(guard.take_token("token"));
        assert!(!guard.take_token("token"));
    }

    #[test]
    fn policy_allows_this_origin_and_one_bucket() {
        let policy = content_security_policy(Some("https://b.s3.amazonaws.com"));
        assert!(policy.starts_with("default-src 'none';") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(policy.contains("img-src 'self' https://b.s3.amazonaws.com;"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
