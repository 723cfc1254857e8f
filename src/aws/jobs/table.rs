//! The jobs table itself: one read and one conditional write, which the other
//! operations use.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;

use super::keys::{ENDED, UNFINISHED, ended_key};
use crate::aws::job_item::{attribute, decode};
use crate::aws::update::{Update, number, text};
use crate::aws::{Unavailable, dynamodb};
use crate::domain::ids::JobId;
use crate::domain::job::stored::{STORED_VERSION, Status, StoredJob};

pub(super) const UPDATE: &str = "dynamodb:UpdateItem";
pub(super) const QUERY: &str = "dynamodb:Query";

/// The table of jobs.
#[derive(Debug, Clone)]
pub struct Jobs {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) retention: Duration,
}

impl Jobs {
    /// The table with this name. A stored job expires after `retention` without a change.
    pub fn new(config: &SdkConfig, table: String, retention: Duration) -> Self {
        Self { client: dynamodb(config), table, retention }
    }

    /// Reads a stored job, consistently; `None` if there is none.
    pub async fn get(&self, job_id: &JobId) -> Result<Option<StoredJob>, Unavailable> {
        let response = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("job_id", text(job_id.as_str()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:GetItem", &error))?;
        response.item.map(|item| decode(item).ok_or_else(unreadable)).transpose()
    }

    /// Updates a stored job if `condition` holds and the job has no newer version: see
    /// [`STORED_VERSION`]. `return_values` says whether a successful
    /// write returns the item, which may have 400 KB.
    ///
    /// # Errors
    /// [`Unavailable`]: the write may have been stored or not.
    pub(super) async fn write(
        &self,
        job_id: &JobId,
        mut update: Update,
        condition: String,
        return_values: ReturnValue,
    ) -> Result<Write, Unavailable> {
        // A refused item of a newer version is unreadable below.
        let version = update.name("version");
        let own_version = update.value("own_version", number(STORED_VERSION));
        let condition = format!("({condition}) AND (attribute_not_exists({version}) OR {version} <= {own_version})");
        let response = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("job_id", text(job_id.as_str()))
            .update_expression(update.expression())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values(return_values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match response {
            Ok(output) => Ok(Write::Done(Box::new(output))),
            Err(error) => {
                let unavailable = Unavailable::new(UPDATE, &error);
                match error.into_service_error() {
                    UpdateItemError::ConditionalCheckFailedException(refused) => Ok(Write::Refused(
                        refused.item.map(|item| decode(item).map(Box::new).ok_or_else(unreadable)).transpose()?,
                    )),
                    _ => Err(unavailable),
                }
            }
        }
    }

    /// Begins an update with the attributes that every change sets.
    pub(super) fn start_update(&self, now: Timestamp) -> Update {
        Update::new().set("updated_at", attribute(&now)).set("expires_at", number(self.expires_at(now)))
    }

    /// Begins an update that ends a job with `status`. Every write that ends a job begins
    /// so: it removes the job from the indexes over unfinished and waiting jobs.
    pub(super) fn end_update(&self, job_id: &JobId, status: Status, completed_at: Timestamp) -> Update {
        self.start_update(completed_at)
            .set("status", attribute(&status))
            .set("completed_at", attribute(&completed_at))
            .set(ENDED, ended_key(status, job_id))
            .remove(&["lease_until", "waiting_for", UNFINISHED])
    }

    /// The value of the table's TTL attribute, in epoch seconds.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html>
    pub(super) fn expires_at(&self, now: Timestamp) -> i64 {
        now.as_second().saturating_add_unsigned(self.retention.as_secs())
    }
}

/// The result of a conditional write.
pub(super) enum Write {
    /// The item was written.
    Done(Box<UpdateItemOutput>),
    /// The condition failed for this stored job; `None` if there is none.
    Refused(Option<Box<StoredJob>>),
}

/// The error of an item that is no stored job of this version.
pub(super) fn unreadable() -> Unavailable {
    Unavailable { service: UPDATE, code: "UnreadableItem".to_owned() }
}
