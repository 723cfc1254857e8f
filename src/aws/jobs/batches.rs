//! Stored batches: the settings of a batch, and whether it was cancelled. Each is an
//! item of the jobs table under the key `batch/{batch_id}`, which no job id can equal.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use jiff::Timestamp;

use super::table::{Jobs, UPDATE, unreadable};
use crate::aws::Unavailable;
use crate::aws::job_item::{Item, attribute};
use crate::aws::update::{Update, number, text};
use crate::domain::batch::{Batch, Pause, PauseReason};
use crate::domain::ids::BatchId;

/// The result of [`Jobs::create_batch`].
#[derive(Debug, Clone, PartialEq)]
pub enum CreatedBatch {
    /// The batch was stored.
    New,
    /// A batch with this id was stored before; it did not change.
    Existing(Box<Batch>),
}

impl Jobs {
    /// Reads a stored batch, consistently. `None` if there is none: a batch whose jobs
    /// came by uploads alone is stored only when it is cancelled.
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

    /// Stores a batch, unless a batch with this id is stored.
    pub async fn create_batch(&self, batch: &Batch) -> Result<CreatedBatch, Unavailable> {
        let mut item: Item = serde_dynamo::to_item(batch).map_err(|_| unreadable())?;
        item.insert("job_id".to_owned(), key(&batch.batch_id));
        item.insert("expires_at".to_owned(), number(self.batch_expires_at(batch.created_at)));
        match self.put_new(item).await? {
            None => Ok(CreatedBatch::New),
            Some(item) => Ok(CreatedBatch::Existing(Box::new(decode(item).ok_or_else(unreadable)?))),
        }
    }

    /// Marks a batch cancelled, and stores it if it has no item yet. A repeated call
    /// keeps the time of the first one.
    pub async fn cancel_batch(&self, batch_id: &BatchId, now: Timestamp) -> Result<Batch, Unavailable> {
        let update = Update::new()
            .set("batch_id", attribute(batch_id))
            .set("expires_at", number(self.batch_expires_at(now)))
            .set_if_absent("created_at", Some(attribute(&now)))
            .set_if_absent("cancelled_at", Some(attribute(&now)));
        let response = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("job_id", key(batch_id))
            .update_expression(update.expression())
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(|error| Unavailable::new(UPDATE, &error))?;
        response.attributes.and_then(decode).ok_or_else(unreadable)
    }

    /// Pauses a batch, and stores it if it has no item yet. A repeated call keeps the first
    /// pause. `None` if the batch is cancelled.
    pub async fn pause_batch(&self, batch_id: &BatchId, now: Timestamp) -> Result<Option<Batch>, Unavailable> {
        let pause = Pause { reason: PauseReason::Requested, since: now };
        let mut update = Update::new()
            .set("batch_id", attribute(batch_id))
            .set("expires_at", number(self.batch_expires_at(now)))
            .set_if_absent("created_at", Some(attribute(&now)))
            .set_if_absent("paused", Some(attribute(&pause)));
        let condition = format!("attribute_not_exists({})", update.name("cancelled_at"));
        self.update_batch(batch_id, update, condition).await
    }

    /// Ends the pause of a batch. `None` if the batch has no item.
    pub async fn resume_batch(&self, batch_id: &BatchId) -> Result<Option<Batch>, Unavailable> {
        let mut update = Update::new().remove(&["paused"]);
        let condition = format!("attribute_exists({})", update.name("job_id"));
        self.update_batch(batch_id, update, condition).await
    }

    async fn update_batch(
        &self,
        batch_id: &BatchId,
        update: Update,
        condition: String,
    ) -> Result<Option<Batch>, Unavailable> {
        let response = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("job_id", key(batch_id))
            .update_expression(update.expression())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values((!update.values.is_empty()).then_some(update.values))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match response {
            Ok(output) => output.attributes.and_then(decode).ok_or_else(unreadable).map(Some),
            Err(error) => {
                let unavailable = Unavailable::new(UPDATE, &error);
                match error.into_service_error() {
                    UpdateItemError::ConditionalCheckFailedException(_) => Ok(None),
                    _ => Err(unavailable),
                }
            }
        }
    }

    /// A batch is kept for twice the retention. A job that changes last within the
    /// first retention thus expires no later than its batch.
    fn batch_expires_at(&self, now: Timestamp) -> i64 {
        self.expires_at(now).saturating_add_unsigned(self.retention.as_secs())
    }
}

fn key(batch_id: &BatchId) -> AttributeValue {
    text(format!("batch/{batch_id}"))
}

fn decode(item: Item) -> Option<Batch> {
    serde_dynamo::from_item(item).ok()
}
