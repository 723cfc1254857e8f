//! Reads and writes of the sweep: all unfinished jobs, and what the sweep stores on a job.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;

use super::index::read_job_id;
use super::keys::{UNFINISHED, UNFINISHED_INDEX};
use super::table::{Jobs, Write};
use crate::aws::Unavailable;
use crate::aws::job_item::{Item, attribute};
use crate::aws::update::{Update, number, text};
use crate::domain::document::DocumentRecord;
use crate::domain::failure::Failure;
use crate::domain::ids::JobId;
use crate::domain::job::stored::{Status, StoredJob};
use crate::domain::job::stranded::UnfinishedPosition;
use crate::domain::message::s3_event::uploaded_name;

impl Jobs {
    /// Reads at most `limit` unfinished jobs of all batches and outside batches, as the index
    /// shows them, and the position of the next ones.
    ///
    /// The index has the keys of unfinished jobs alone, so a scan of a stack at rest costs
    /// half a read unit.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html>
    pub async fn all_unfinished(
        &self,
        after: Option<UnfinishedPosition>,
        limit: usize,
    ) -> Result<(Vec<JobId>, Option<UnfinishedPosition>), Unavailable> {
        let start = after.map(|after| {
            Item::from([
                (UNFINISHED.to_owned(), text(&after.partition)),
                ("job_id".to_owned(), text(after.job_id.as_str())),
            ])
        });
        let response = self
            .client
            .scan()
            .table_name(&self.table)
            .index_name(UNFINISHED_INDEX)
            .set_exclusive_start_key(start)
            .limit(limit.try_into().unwrap_or(i32::MAX))
            .projection_expression("#job_id")
            .expression_attribute_names("#job_id", "job_id")
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:Scan", &error))?;
        let job_ids: Result<Vec<JobId>, _> = response.items.unwrap_or_default().iter().map(read_job_id).collect();
        let next = response.last_evaluated_key.and_then(|key| {
            let partition = key.get(UNFINISHED)?.as_s().ok()?.clone();
            Some(UnfinishedPosition { partition, job_id: read_job_id(&key).ok()? })
        });
        Ok((job_ids?, next))
    }

    /// Stores that a further message of an unfinished job is in the queue. A job that another
    /// worker or sweep changed in the meantime does not change.
    pub async fn mark_resent(&self, row: &StoredJob, now: Timestamp) -> Result<(), Unavailable> {
        let mut update = self
            .start_update(now)
            .set("resends", number(row.resends.saturating_add(1)))
            .set("resent_at", attribute(&now));
        let condition = as_read(row, &mut update);
        self.write(&row.job_id, update, condition, ReturnValue::None).await.map(drop)
    }

    /// Stores the uploaded document of a job that no worker has claimed yet. The time of the
    /// last change stays, because it says since when the job waits.
    pub async fn set_uploaded(&self, row: &StoredJob, document: &DocumentRecord) -> Result<(), Unavailable> {
        let mut update = Update::new()
            .set("document", attribute(document))
            .set_some("document_name", document.key().and_then(uploaded_name).map(text));
        let condition = as_read(row, &mut update);
        self.write(&row.job_id, update, condition, ReturnValue::None).await.map(drop)
    }

    /// Extends the time of a job that awaits its upload, because its caller has a new URL.
    pub async fn renew_upload(&self, row: &StoredJob, now: Timestamp) -> Result<(), Unavailable> {
        let mut update = self.start_update(now);
        let condition = as_read(row, &mut update);
        self.write(&row.job_id, update, condition, ReturnValue::None).await.map(drop)
    }

    /// Marks an unfinished job `failed` that no worker holds and that has no message. Returns
    /// whether it was written; a job that changed in the meantime does not change.
    pub async fn fail_stranded(&self, row: &StoredJob, error: &Failure, now: Timestamp) -> Result<bool, Unavailable> {
        let mut update = self
            .end_update(&row.job_id, Status::Failed, now)
            .set("error", attribute(error))
            .set("error_code", text(&error.code));
        let condition = as_read(row, &mut update);
        Ok(matches!(self.write(&row.job_id, update, condition, ReturnValue::None).await?, Write::Done(_)))
    }
}

/// The condition that a job has not changed since it was read.
fn as_read(row: &StoredJob, update: &mut Update) -> String {
    let [status, attempt, updated_at] = ["status", "attempt", "updated_at"].map(|name| update.name(name));
    let was = update.value("was", attribute(&row.state.status()));
    let fence = update.value("fence", number(row.attempt));
    let read = update.value("as_read", attribute(&row.updated_at));
    format!("{status} = {was} AND {attempt} = {fence} AND {updated_at} = {read}")
}
