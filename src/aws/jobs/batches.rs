//! Stored batches: the settings of a batch, and whether it was cancelled. Each is an
//! item of the jobs table under the key `batch/{batch_id}`, which no job id can equal.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;

use super::keys::BATCH_LIST;
use super::table::{Jobs, UPDATE, unreadable};
use crate::aws::Unavailable;
use crate::aws::job_item::{Item, attribute};
use crate::aws::update::{Update, number, text};
use crate::domain::batch::list::ListPosition;
use crate::domain::batch::{Batch, Pause, PauseReason};
use crate::domain::ids::BatchId;
use crate::domain::job::stored::STORED_VERSION;

/// The result of [`Jobs::create_batch`].
#[derive(Debug, Clone, PartialEq)]
pub enum CreatedBatch {
    /// The batch was stored.
    New(Box<Batch>),
    /// A batch with this id was stored before; it did not change.
    Existing(Box<Batch>),
}

/// The result of a conditional write of a batch.
enum BatchWrite {
    /// The batch after the write.
    Done(Batch),
    /// The stored batch, which failed the condition; `None` if there is none.
    Refused(Option<Batch>),
}

impl BatchWrite {
    /// The batch after the write; `None` if the condition failed.
    fn done(self) -> Option<Batch> {
        match self {
            Self::Done(batch) => Some(batch),
            Self::Refused(_) => None,
        }
    }
}

impl Jobs {
    /// Reads a stored batch, consistently. `None` if there is none: a batch that only jobs
    /// or uploads name is stored by the first claim of a job, or by its cancellation.
    pub async fn get_batch(&self, batch_id: &BatchId) -> Result<Option<Batch>, Unavailable> {
        let response = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("job_id", key(batch_id))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:GetItem", &error))?;
        response.item.map(|item| decode(item).ok_or_else(unreadable)).transpose()
    }

    /// Stores a batch. A batch that was stored without a request, by
    /// [`register_batch`](Self::register_batch), receives the settings and keeps its
    /// `created_at`. Any other stored batch does not change.
    pub async fn create_batch(&self, batch: &Batch) -> Result<CreatedBatch, Unavailable> {
        let mut update = self
            .start_batch(&batch.batch_id, batch.created_at)
            .set_some("analysis", batch.analysis.as_ref().map(attribute))
            .set_some("metadata", batch.metadata.as_ref().map(attribute))
            .set_some("deduplicate", batch.deduplicate.as_ref().map(attribute))
            .set_some("request_hash", batch.request_hash.as_ref().map(text));
        let (job_id, hash, cancelled) =
            (update.name("job_id"), update.name("request_hash"), update.name("cancelled_at"));
        let condition = format!(
            "attribute_not_exists({job_id}) OR (attribute_not_exists({hash}) AND attribute_not_exists({cancelled}))"
        );
        Ok(match self.update_batch(&batch.batch_id, update, Some(condition)).await? {
            BatchWrite::Done(batch) => CreatedBatch::New(Box::new(batch)),
            BatchWrite::Refused(batch) => CreatedBatch::Existing(Box::new(batch.ok_or_else(unreadable)?)),
        })
    }

    /// Stores a batch that only jobs or uploads name, without settings, so that it is
    /// listed. A stored batch does not change.
    pub async fn register_batch(&self, batch_id: &BatchId, now: Timestamp) -> Result<(), Unavailable> {
        let mut update = self.start_batch(batch_id, now);
        let condition = format!("attribute_not_exists({})", update.name("job_id"));
        self.update_batch(batch_id, update, Some(condition)).await?;
        Ok(())
    }

    /// Marks a batch cancelled, and stores it if it has no item yet. A repeated call
    /// keeps the time of the first one.
    pub async fn cancel_batch(&self, batch_id: &BatchId, now: Timestamp) -> Result<(), Unavailable> {
        let update = self.start_batch(batch_id, now).set_if_absent("cancelled_at", Some(attribute(&now)));
        self.update_batch(batch_id, update, None).await?;
        Ok(())
    }

    /// Begins an update that stores the batch if it has no item yet.
    fn start_batch(&self, batch_id: &BatchId, now: Timestamp) -> Update {
        Update::new()
            .set("batch_id", attribute(batch_id))
            .set_if_absent("version", Some(number(STORED_VERSION)))
            .set("batch_list", text(BATCH_LIST))
            .set("expires_at", number(self.batch_expires_at(now)))
            .set_if_absent("created_at", Some(attribute(&now)))
            .set_if_absent("batch_list_key", Some(text(ListPosition::new(now, batch_id).sort_key())))
    }

    /// Pauses a batch, and stores it if it has no item yet. A repeated call keeps the first
    /// pause. `None` if the batch is cancelled.
    pub async fn pause_batch(&self, batch_id: &BatchId, now: Timestamp) -> Result<Option<Batch>, Unavailable> {
        let pause = Pause { reason: PauseReason::Requested, since: now };
        let mut update = self.start_batch(batch_id, now).set_if_absent("paused", Some(attribute(&pause)));
        let condition = format!("attribute_not_exists({})", update.name("cancelled_at"));
        Ok(self.update_batch(batch_id, update, Some(condition)).await?.done())
    }

    /// Ends the pause of a batch. `None` if the batch has no item.
    pub async fn resume_batch(&self, batch_id: &BatchId) -> Result<Option<Batch>, Unavailable> {
        let mut update = Update::new().remove(&["paused"]);
        let condition = format!("attribute_exists({})", update.name("job_id"));
        Ok(self.update_batch(batch_id, update, Some(condition)).await?.done())
    }

    /// Updates an item that is no stored job, without a condition.
    pub(super) async fn update_item(&self, key: AttributeValue, update: Update) -> Result<(), Unavailable> {
        let request = self.client.update_item().table_name(&self.table).key("job_id", key);
        let request = request.update_expression(update.expression());
        let request = request.set_expression_attribute_names(Some(update.names));
        let response = request.set_expression_attribute_values(Some(update.values)).send().await;
        response.map(drop).map_err(|error| Unavailable::new(UPDATE, &error))
    }

    async fn update_batch(
        &self,
        batch_id: &BatchId,
        update: Update,
        condition: Option<String>,
    ) -> Result<BatchWrite, Unavailable> {
        let response = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("job_id", key(batch_id))
            .update_expression(update.expression())
            .set_condition_expression(condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values((!update.values.is_empty()).then_some(update.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match response {
            Ok(output) => return output.attributes.and_then(decode).map(BatchWrite::Done).ok_or_else(unreadable),
            Err(error) => error,
        };
        let unavailable = Unavailable::new(UPDATE, &error);
        match error.into_service_error() {
            UpdateItemError::ConditionalCheckFailedException(refused) => {
                let stored = refused.item.map(|item| decode(item).ok_or_else(unreadable)).transpose()?;
                Ok(BatchWrite::Refused(stored))
            }
            _ => Err(unavailable),
        }
    }

    /// A batch is kept for twice the retention. A job that changes last within the
    /// first retention thus expires no later than its batch.
    fn batch_expires_at(&self, now: Timestamp) -> i64 {
        self.expires_at(now).saturating_add_unsigned(self.retention.as_secs())
    }
}

pub(super) fn key(batch_id: &BatchId) -> AttributeValue {
    text(format!("batch/{batch_id}"))
}

/// Reads a batch; `None` if the item is no batch, or one of a newer version.
fn decode(item: Item) -> Option<Batch> {
    let version = item.get("version").and_then(|version| version.as_n().ok()?.parse::<u32>().ok());
    if version.is_some_and(|version| version > STORED_VERSION) {
        return None;
    }
    serde_dynamo::from_item(item).ok()
}
