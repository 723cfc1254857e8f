//! The jobs of the documents inside a document: the attachments of a mail, and the entries of
//! a ZIP file. They exist, with messages in the queue, before their parent ends.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::aws::documents::Documents;
use crate::aws::jobs::{Created, Jobs, NewJob};
use crate::aws::queue::JobsQueue;
use crate::clock::now;
use crate::domain::document::reading::Children;
use crate::domain::document::{DocumentRecord, sha256_hex, too_slow};
use crate::domain::failure::{Failure, codes};
use crate::domain::job::Job;
use crate::domain::job::claim::Claim;
use crate::domain::job::ending::AttemptError;
use crate::domain::job::stored::StoredJob;
use crate::domain::job::work_id::object_work_id;
use crate::domain::limits::{CHILD_DEPTH_MAX, CONCURRENT_CHILDREN, READING_TIME};
use crate::domain::message::body::MessageBody;
use crate::domain::message::child::{child_depth, child_id, child_key};
use crate::domain::message::s3_event::uploaded_name;
use crate::heavy_work;

/// Creates the jobs of documents inside a document.
#[derive(Debug, Clone)]
pub(super) struct ChildJobs {
    pub jobs: Jobs,
    pub queue: JobsQueue,
    pub documents: Documents,
    pub bucket: String,
}

/// A document whose children become jobs.
pub(super) struct Parent<'a> {
    pub job: &'a Job,
    pub claim: &'a Claim,
    /// The object's key; `None` for a document that came in the message.
    pub key: Option<&'a str>,
}

impl ChildJobs {
    /// Creates the job of every child and sends its message, unless an earlier attempt did.
    /// Returns the ids and names of the children, in their order.
    ///
    /// # Errors
    /// Permanent if the parent is inside too many others or a child cannot be expanded;
    /// otherwise the error of a service.
    pub async fn create(&self, parent: &Parent<'_>, children: Children) -> Result<Vec<Value>, AttemptError> {
        let depth = child_depth(parent.key, &parent.job.job_id) + 1;
        if depth > CHILD_DEPTH_MAX {
            let message = format!(
                "a document may be inside at most {CHILD_DEPTH_MAX} ZIP files and mails; send the inner ones themselves"
            );
            return Err(AttemptError::Permanent(Failure::new(codes::DOCUMENT_TOO_LARGE, message)));
        }
        let children = Arc::new(children);
        let create = |number| self.create_one(parent, depth, children.clone(), number);
        stream::iter(0..children.len()).map(create).buffered(CONCURRENT_CHILDREN).try_collect().await
    }

    async fn create_one(
        &self,
        parent: &Parent<'_>,
        depth: usize,
        children: Arc<Children>,
        number: usize,
    ) -> Result<Value, AttemptError> {
        let id = child_id(&parent.job.job_id, number + 1);
        let described = |name: &str| json!({"job_id": id, "name": name});
        if let Some(row) = self.jobs.get(&id).await? {
            let name = row.document.key().and_then(uploaded_name).unwrap_or_default();
            let described = described(name);
            if !row.state.status().has_ended() {
                self.send(&row, parent).await?;
            }
            return Ok(described);
        }
        let read = heavy_work::run_within(READING_TIME, move || children.read(number)).await;
        let read = read.unwrap_or_else(|_| Err(too_slow(READING_TIME.as_secs())));
        let Some((name, bytes)) = read.map_err(AttemptError::Permanent)? else {
            return Ok(described(""));
        };
        let (key, size, sha256) =
            (child_key(&id, depth, parent.key.and_then(uploaded_name), &name), bytes.len(), sha256_hex(&bytes));
        let location = self.documents.store_bytes(&self.bucket, &key, bytes, sha256.clone()).await?;
        let new = NewJob {
            job_id: id.clone(),
            batch_id: parent.claim.batch_id.clone(),
            priority: parent.job.priority,
            analysis: parent.claim.analysis.as_deref().cloned(),
            metadata: parent.job.metadata.clone(),
            work_id: object_work_id(&location),
            document: Some(DocumentRecord::stored(&location, size)),
            async_request: None,
            request_hash: sha256,
        };
        let row = match self.jobs.create(new, now()).await? {
            Created::Existing(row) => *row,
            Created::New => self.jobs.get(&id).await?.ok_or_else(missing)?,
        };
        self.send(&row, parent).await?;
        Ok(described(&name))
    }

    async fn send(&self, row: &StoredJob, parent: &Parent<'_>) -> Result<(), AttemptError> {
        let Some(body) = MessageBody::of_stored(row, None) else { return Ok(()) };
        Ok(self.queue.send(&body, parent.job.priority, None).await?)
    }
}

fn missing() -> AttemptError {
    let message = "the job of a document inside this one vanished while it was created";
    AttemptError::Transient(Failure::new(codes::STORE_UNAVAILABLE, message))
}

/// The result of a document that has nothing but other documents: their jobs.
pub(super) fn folder_result(children: &[Value]) -> Value {
    json!({"children": children})
}
