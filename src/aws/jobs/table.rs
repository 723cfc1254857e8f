//! The table itself: one read and one conditional write, which every operation uses.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;

use crate::aws::job_item::{attribute, decode};
use crate::aws::update::{Update, number, text};
use crate::aws::{Unavailable, dynamodb};
use crate::domain::ids::JobId;
use crate::domain::job::stored::StoredJob;

pub(super) const UPDATE: &str = "dynamodb:UpdateItem";

/// The table of jobs.
#[derive(Debug, Clone)]
pub struct Jobs {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) retention: Duration,
}

impl Jobs {
    /// `retention` is how long a row is kept after its last change.
    pub fn new(config: &SdkConfig, table: String, retention: Duration) -> Self {
        Self { client: dynamodb(config), table, retention }
    }

    /// Reads a row, as it was last written.
    pub async fn get(&self, job_id: &JobId) -> Result<Option<StoredJob>, Unavailable> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("job_id", text(job_id.as_str()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:GetItem", &error))?;
        answer.item.map(|item| decode(item).ok_or_else(unreadable)).transpose()
    }

    /// `wanted` is what a write that is done gives back: a row may be 400 KB.
    pub(super) async fn write(
        &self,
        job_id: &JobId,
        update: Update,
        condition: String,
        wanted: ReturnValue,
    ) -> Result<Write, Unavailable> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("job_id", text(job_id.as_str()))
            .update_expression(update.expression())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values(wanted)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
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

    pub(super) fn changed(&self, now: Timestamp) -> Update {
        Update::new().set("updated_at", attribute(&now)).set("expires_at", number(self.expires_at(now)))
    }

    pub(super) fn expires_at(&self, now: Timestamp) -> i64 {
        now.as_second().saturating_add_unsigned(self.retention.as_secs())
    }
}

/// The answer to a conditional write.
pub(super) enum Write {
    Done(Box<UpdateItemOutput>),
    /// The row that was found instead; `None` when there is none.
    Refused(Option<Box<StoredJob>>),
}

pub(super) fn unreadable() -> Unavailable {
    Unavailable { service: UPDATE, code: "UnreadableRow".to_owned() }
}
