//! A proxy between the notifier and the local AWS. It makes requests to the bus fail, and
//! returns old answers of the index, which is eventually consistent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The fault of one PutEvents request.
#[derive(Debug, Clone)]
pub enum BusFault {
    /// The request fails, with this status and code.
    Request(u16, &'static str),
    /// The entries with these indexes fail; the others are published.
    Entries(Vec<usize>),
}

#[derive(Default)]
struct Plan {
    bus_faults: VecDeque<BusFault>,
    put_events_requests: usize,
    /// The last answers of the index, by query.
    query_answers: HashMap<String, String>,
    is_index_frozen: bool,
}

#[derive(Clone)]
pub struct FaultProxy {
    pub url: String,
    aws: String,
    plan: Arc<Mutex<Plan>>,
}

impl FaultProxy {
    pub async fn start(aws: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let proxy = Self { url, aws: aws.to_owned(), plan: Arc::default() };
        let router = axum::Router::new().fallback(handle).with_state(proxy.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        proxy
    }

    /// Adds faults for the next PutEvents requests, one for each.
    pub fn inject(&self, faults: impl IntoIterator<Item = BusFault>) {
        self.plan.lock().unwrap().bus_faults.extend(faults);
    }

    /// The number of PutEvents requests so far.
    pub fn put_events_requests(&self) -> usize {
        self.plan.lock().unwrap().put_events_requests
    }

    /// While the index is frozen, a query that was sent before gets its last answer.
    pub fn freeze_index(&self, frozen: bool) {
        self.plan.lock().unwrap().is_index_frozen = frozen;
    }

    async fn forward(&self, headers: &HeaderMap, body: String) -> String {
        let mut request = ureq::post(&self.aws);
        for (name, value) in headers.iter().filter(|(name, _)| !["host", "content-length"].contains(&name.as_str())) {
            request = request.header(name, value);
        }
        let response = tokio::task::spawn_blocking(move || {
            request.send(body).expect("the local AWS answers").body_mut().read_to_string().expect("text")
        });
        response.await.expect("the request is forwarded")
    }

    /// Forwards the entries that do not fail, and returns a response for all entries.
    async fn put_events(&self, headers: &HeaderMap, mut body: Value, failed: &[usize]) -> String {
        let entries = body["Entries"].as_array().expect("entries").clone();
        let published: Vec<usize> = (0..entries.len()).filter(|index| !failed.contains(index)).collect();
        let mut answers = vec![json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "…"}); entries.len()];
        if !published.is_empty() {
            body["Entries"] = published.iter().map(|index| entries[*index].clone()).collect();
            let response: Value = serde_json::from_str(&self.forward(headers, body.to_string()).await).expect("JSON");
            for (answer, index) in response["Entries"].as_array().expect("entries").iter().zip(&published) {
                answers[*index] = answer.clone();
            }
        }
        json!({"FailedEntryCount": entries.len() - published.len(), "Entries": answers}).to_string()
    }
}

async fn handle(State(proxy): State<FaultProxy>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let target = headers["x-amz-target"].to_str().expect("text").to_owned();
    let answer = match target.rsplit('.').next() {
        Some("PutEvents") => {
            let fault = {
                let mut plan = proxy.plan.lock().unwrap();
                plan.put_events_requests += 1;
                plan.bus_faults.pop_front()
            };
            match fault {
                Some(BusFault::Request(status, code)) => {
                    let status = StatusCode::from_u16(status).expect("a status");
                    return (status, [("x-amzn-errortype", code)], json!({"__type": code}).to_string()).into_response();
                }
                Some(BusFault::Entries(failed)) => proxy.put_events(&headers, body, &failed).await,
                None => proxy.put_events(&headers, body, &[]).await,
            }
        }
        Some("Query") => {
            let query = body.to_string();
            let stale = {
                let plan = proxy.plan.lock().unwrap();
                plan.query_answers.get(&query).filter(|_| plan.is_index_frozen).cloned()
            };
            match stale {
                Some(answer) => answer,
                None => {
                    let answer = proxy.forward(&headers, query.clone()).await;
                    proxy.plan.lock().unwrap().query_answers.insert(query, answer.clone());
                    answer
                }
            }
        }
        _ => proxy.forward(&headers, body.to_string()).await,
    };
    ([("content-type", "application/x-amz-json-1.0")], answer).into_response()
}
