//! The HTTP server of the page: it binds, routes, and guards every request.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, HeaderName, ORIGIN, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::app::App;
use super::failure::Failure;
use super::guard::{Facts, Guard, OPEN_PATH, Refusal, content_security_policy};
use super::views::layout::failure_page;
use super::{actions, events, export, pages, uploads};
use crate::aws::connect::Target;
use crate::client::Client;
use crate::error::CommandError;
use crate::submit::FILE_MAX_BYTES;
use crate::terminal::{print_status, print_text};

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");
const ICON: &str = include_str!("assets/icon.svg");

/// The session of the one user, and the guard.
struct Door {
    guard: Guard,
    session: String,
}

/// Serves the page until Ctrl-C. `port` 0 takes a free port.
pub(super) async fn serve(target: &Target, port: u16, is_writable: bool) -> Result<(), CommandError> {
    let client = Client::open(target).await?;
    let of_port = |error: std::io::Error| {
        CommandError::Failed(format!("127.0.0.1:{port}: {error}; choose another port by --port, or 0 for a free one"))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(of_port)?;
    let port = listener.local_addr().map_err(of_port)?.port();
    let (token, session) = (secret(), secret());
    let guard = Guard::new(port, &token, &session, is_writable);
    let app = Arc::new(App::new(client, is_writable));
    let routes = routes(app, Arc::new(Door { guard, session }));
    print_text(&format!("http://127.0.0.1:{port}{OPEN_PATH}?token={token}\n"));
    let mode = if is_writable { "actions are allowed" } else { "read-only; --write allows actions" };
    print_status(&format!("open the address above; it works once; {mode}; Ctrl-C ends the page"));
    tokio::select! {
        served = axum::serve(listener, routes) => served.map_err(of_port),
        Ok(()) = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// 244 random bits of the operating system.
fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn routes(app: Arc<App>, door: Arc<Door>) -> Router {
    Router::new()
        .route("/", get(pages::batches))
        .route("/batches", post(uploads::create))
        .route("/batches/{batch_id}", get(pages::batch))
        .route("/batches/{batch_id}/documents", post(uploads::upload))
        .route("/batches/{batch_id}/export", get(export::export))
        .route("/batches/{batch_id}/pause", post(actions::pause))
        .route("/batches/{batch_id}/resume", post(actions::resume))
        .route("/batches/{batch_id}/cancel", get(pages::ask_cancel).post(actions::cancel_all))
        .route("/batches/{batch_id}/retry-jobs", get(actions::ask_retry).post(actions::retry_jobs))
        .route("/batches/{batch_id}/cancel-jobs", get(actions::ask_cancel).post(actions::cancel_jobs))
        .route("/jobs/{job_id}", get(pages::job))
        .route("/jobs/{job_id}/document", get(pages::document))
        .route("/jobs/{job_id}/retry", post(actions::retry_job))
        .route("/jobs/{job_id}/cancel", post(actions::cancel_job))
        .route("/events/batches", get(events::batches))
        .route("/events/batches/{batch_id}", get(events::batch))
        .route("/events/jobs/{job_id}", get(events::job))
        .with_state(app)
        .route("/page.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }))
        .route("/page.js", get(|| async { ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT) }))
        .route("/icon.svg", get(|| async { ([(CONTENT_TYPE, "image/svg+xml")], ICON) }))
        .route(OPEN_PATH, get(open).with_state(door.clone()))
        .fallback(|| async { Failure::not_found("There is no such page.") })
        .layer(DefaultBodyLimit::max(FILE_MAX_BYTES as usize))
        .layer(from_fn_with_state(door, guard_request))
}

/// Judges a request, and adds the headers of every response.
async fn guard_request(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let judged = judge(&door.guard, &request);
    let mut response = match judged {
        Ok(()) => next.run(request).await,
        Err(refusal) => refuse(refusal),
    };
    add_headers(response.headers_mut());
    response
}

fn judge(guard: &Guard, request: &Request) -> Result<(), Refusal> {
    let text = |name: HeaderName| {
        let mut values = request.headers().get_all(name).iter();
        // A repeated header is none.
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    let facts = Facts {
        method: request.method().as_str(),
        path: request.uri().path(),
        host: text(HOST),
        origin: text(ORIGIN),
        fetch_site: text(HeaderName::from_static("sec-fetch-site")),
        cookies: text(COOKIE),
    };
    guard.judge(&facts)
}

fn add_headers(headers: &mut HeaderMap) {
    let policy = content_security_policy(None);
    let policy = HeaderValue::from_str(&policy).expect("the policy has visible characters alone");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The browser then sends `Origin: null` for the page's own forms, which the guard knows.
        // https://fetch.spec.whatwg.org/#append-a-request-origin-header
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn refuse(refusal: Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).expect("a valid status");
    (status, Html(failure_page(refusal.message()))).into_response()
}

#[derive(Deserialize)]
struct Opening {
    #[serde(default)]
    token: String,
}

/// Exchanges the token of the printed address for a session.
async fn open(State(door): State<Arc<Door>>, Query(opening): Query<Opening>, headers: HeaderMap) -> Response {
    let cookies = headers.get(COOKIE).and_then(|value| value.to_str().ok());
    if door.guard.has_session(cookies) {
        return Redirect::to("/").into_response();
    }
    if !door.guard.take_token(&opening.token) {
        return refuse(Refusal::Session);
    }
    ([(SET_COOKIE, door.guard.cookie(&door.session))], Redirect::to("/")).into_response()
}
