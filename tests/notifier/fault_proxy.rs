//! Stands between the notifier and the local AWS: a bus that refuses for a
//! while, and an index that is behind its table.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What the bus does with one request.
#[derive(Debug, Clone)]
pub enum ClaimRejected {
    /// An error in place of an answer: status and code.
    Whole(u16, &'static str),
    /// The entries at these places are refused, the others are taken.
    Entries(Vec<usize>),
}

#[derive(Default)]
struct Plan {
    refusals: VecDeque<ClaimRejected>,
    put_events: usize,
    /// Answers of the index, by what was asked.
    index: HashMap<String, String>,
    frozen: bool,
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
        let between = Self { url, aws: aws.to_owned(), plan: Arc::default() };
        let router = axum::Router::new().fallback(pass).with_state(between.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        between
    }

    /// The next requests to the bus end so, one after the other.
    pub fn refuse(&self, refusals: impl IntoIterator<Item = ClaimRejected>) {
        self.plan.lock().unwrap().refusals.extend(refusals);
    }

    /// How many requests to the bus there were.
    pub fn put_events(&self) -> usize {
        self.plan.lock().unwrap().put_events
    }

    /// From now on the index tells what it told before; or, thawed, what is so.
    pub fn freeze(&self, frozen: bool) {
        self.plan.lock().unwrap().frozen = frozen;
    }

    async fn forward(&self, headers: &HeaderMap, body: String) -> String {
        let mut request = ureq::post(&self.aws);
        for (name, value) in headers.iter().filter(|(name, _)| !["host", "content-length"].contains(&name.as_str())) {
            request = request.header(name, value);
        }
        let answer = tokio::task::spawn_blocking(move || {
            request.send(body).expect("the local AWS answers").body_mut().read_to_string().expect("text")
        });
        answer.await.expect("forwarded")
    }

    /// Hands on the entries that are taken, and answers for all of them.
    async fn put(&self, headers: &HeaderMap, mut body: Value, refused: &[usize]) -> String {
        let entries = body["Entries"].as_array().expect("entries").clone();
        let places: Vec<usize> = (0..entries.len()).filter(|place| !refused.contains(place)).collect();
        let mut answers = vec![json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "…"}); entries.len()];
        if !places.is_empty() {
            body["Entries"] = places.iter().map(|place| entries[*place].clone()).collect();
            let taken: Value = serde_json::from_str(&self.forward(headers, body.to_string()).await).expect("JSON");
            for (answer, place) in taken["Entries"].as_array().expect("entries").iter().zip(&places) {
                answers[*place] = answer.clone();
            }
        }
        json!({"FailedEntryCount": entries.len() - places.len(), "Entries": answers}).to_string()
    }
}

async fn pass(State(between): State<FaultProxy>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let target = headers["x-amz-target"].to_str().expect("text").to_owned();
    let answer = match target.rsplit('.').next() {
        Some("PutEvents") => {
            let refusal = {
                let mut plan = between.plan.lock().unwrap();
                plan.put_events += 1;
                plan.refusals.pop_front()
            };
            match refusal {
                Some(ClaimRejected::Whole(status, code)) => {
                    let status = StatusCode::from_u16(status).expect("a status");
                    return (status, [("x-amzn-errortype", code)], json!({"__type": code}).to_string()).into_response();
                }
                Some(ClaimRejected::Entries(refused)) => between.put(&headers, body, &refused).await,
                None => between.put(&headers, body, &[]).await,
            }
        }
        Some("Query") => {
            let asked = body.to_string();
            let remembered = {
                let plan = between.plan.lock().unwrap();
                plan.index.get(&asked).filter(|_| plan.frozen).cloned()
            };
            match remembered {
                Some(answer) => answer,
                None => {
                    let answer = between.forward(&headers, asked.clone()).await;
                    between.plan.lock().unwrap().index.insert(asked, answer.clone());
                    answer
                }
            }
        }
        _ => between.forward(&headers, body.to_string()).await,
    };
    ([("content-type", "application/x-amz-json-1.0")], answer).into_response()
}
