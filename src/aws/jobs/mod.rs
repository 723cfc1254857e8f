//! The jobs table: the claim, the fenced writes that end it, and what is read
//! and changed from outside.
//!
//! Each is one conditional UpdateItem that gives back the row it was refused
//! by (`ReturnValuesOnConditionCheckFailure`), so that what was found is known
//! in the same round trip.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html>

mod batches;
mod claim;
mod create;
mod endings;
mod finished;
mod index;
mod waiting;
mod withdraw;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;

pub use self::batches::CreatedBatch;
pub use self::claim::ClaimAnswer;
pub use self::create::{Created, NewJob};
pub use self::endings::{CompleteError, Fenced};
pub use self::index::{BATCH_INDEX, FINGERPRINT_INDEX, Page};
pub use self::withdraw::Changed;
use super::row_item::{attribute, decode};
use super::update::{Update, number, text};
use super::{Unavailable, dynamodb};
use crate::domain::ids::JobId;
use crate::domain::row::Row;

const UPDATE: &str = "dynamodb:UpdateItem";

/// The table of jobs.
#[derive(Debug, Clone)]
pub struct Jobs {
    client: Client,
    table: String,
    retention: Duration,
}

impl Jobs {
    /// `retention` is how long a row is kept after its last change.
    pub fn new(config: &SdkConfig, table: String, retention: Duration) -> Self {
        Self { client: dynamodb(config), table, retention }
    }

    /// Reads a row, as it was last written.
    pub async fn get(&self, job_id: &JobId) -> Result<Option<Row>, Unavailable> {
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
    async fn write(
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

    fn changed(&self, now: Timestamp) -> Update {
        Update::new().set("updated_at", attribute(&now)).set("expires_at", number(self.expires_at(now)))
    }

    fn expires_at(&self, now: Timestamp) -> i64 {
        now.as_second().saturating_add_unsigned(self.retention.as_secs())
    }
}

/// The answer to a conditional write.
enum Write {
    Done(Box<UpdateItemOutput>),
    /// The row that was found instead; `None` when there is none.
    Refused(Option<Box<Row>>),
}

fn unreadable() -> Unavailable {
    Unavailable { service: UPDATE, code: "UnreadableRow".to_owned() }
}
