//! Server-sent events: an event reports that a page changed, and the page reads itself again.

use std::collections::hash_map::DefaultHasher;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use docket::domain::ids::{BatchId, JobId};
use futures_util::stream::{self, Stream};
use serde::Deserialize;

use super::app::App;
use super::failure::Failure;
use super::pages::{parse_id, statistics};
use crate::error::CommandError;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
pub(super) struct Position {
    cursor: Option<String>,
}

/// The subject of a connection.
#[derive(Clone)]
enum Subject {
    Batches(Option<String>),
    Batch(BatchId),
    Job(JobId),
}

/// Events of a page of the batches.
pub(super) async fn batches(
    State(app): State<Arc<App>>,
    Query(position): Query<Position>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    watch(app, Subject::Batches(position.cursor))
}

/// Events of a batch.
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    Path(batch_id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    Ok(watch(app, Subject::Batch(parse_id(&batch_id)?)))
}

/// Events of a job.
pub(super) async fn job(
    State(app): State<Arc<App>>,
    Path(job_id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    Ok(watch(app, Subject::Job(parse_id(&job_id)?)))
}

/// An event `change` for each change of the subject. The first one follows the first look, so
/// that a change between the page and the connection is not lost.
fn watch(app: Arc<App>, subject: Subject) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold(None, move |mut seen: Option<u64>| {
        let (app, subject) = (app.clone(), subject.clone());
        async move {
            loop {
                let is_first = seen.is_none();
                if !is_first {
                    tokio::time::sleep(INTERVAL).await;
                }
                match version(&app, &subject).await {
                    Ok(now) if seen != Some(now) => {
                        return Some((Ok(Event::default().event("change").data(now.to_string())), Some(now)));
                    }
                    Ok(_) => {}
                    // The page stays as it is until the API answers again.
                    Err(_) => seen = Some(seen.unwrap_or(0)),
                }
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// A number that changes with everything that the page of the subject shows.
async fn version(app: &Arc<App>, subject: &Subject) -> Result<u64, CommandError> {
    let mut hasher = DefaultHasher::new();
    match subject {
        Subject::Batches(cursor) => {
            for batch in app.reader.batches(&app.client, cursor.as_deref()).await?.batches {
                batch.to_string().hash(&mut hasher);
            }
        }
        Subject::Batch(batch_id) => {
            let batch = app.reader.batch(&app.client, batch_id).await?;
            let finished = batch.as_ref().map_or(0, |json| crate::batch::Batch::new(json.clone(), None).finished());
            let statistics = statistics(app, batch_id, finished);
            batch.map(|batch| batch.to_string()).hash(&mut hasher);
            (statistics.jobs, app.uploads.count(batch_id)).hash(&mut hasher);
            for operation in app.operations.list(batch_id) {
                (operation.has_ended, operation.changed, operation.error).hash(&mut hasher);
            }
        }
        Subject::Job(job_id) => {
            let job = app.client.get(&format!("/jobs/{job_id}")).await?;
            job.map(|job| job.to_string()).hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}
