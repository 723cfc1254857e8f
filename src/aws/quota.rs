//! The quotas' table: for each model the time until which its quota is used up.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate>

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};

use super::Unavailable;
use super::update::{Update, number, text};
use crate::domain::limits::QUOTA_BURST;
use crate::domain::quota::{Slot, slot, used_until_after};

const KEY: &str = "quota";
const USED_UNTIL: &str = "used_until_us";
const UPDATE: &str = "dynamodb:UpdateItem";

/// Conditional writes of one reservation: each further one follows another's
/// that came between.
const ROUNDS: u32 = 4;

/// The table that all functions with a share in a quota write to.
#[derive(Debug, Clone)]
pub struct Quotas {
    client: Client,
    table: String,
}

impl Quotas {
    /// By the table's name. Its key is `quota`, the model's id.
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }

    /// Reserves so much of the quota's time, if the calls can begin by
    /// `latest_start`. One read of half a unit, so that a quota that is used up
    /// costs no write, and one conditional write.
    ///
    /// # Errors
    /// [`Unavailable`]: whether it was reserved is not known. If it was, the
    /// time passes unused.
    pub async fn reserve(
        &self,
        model_id: &str,
        taken: SignedDuration,
        now: Timestamp,
        latest_start: Timestamp,
    ) -> Result<Slot, Unavailable> {
        let mut used_until = self.used_until(model_id).await?;
        for _ in 0..ROUNDS {
            let found = slot(used_until, now, latest_start);
            if let Slot::Full(_) = found {
                return Ok(found);
            }
            match self.write(model_id, used_until, taken, now, latest_start).await? {
                Written::Until(until) => return Ok(slot(Some(until - taken), now, Timestamp::MAX)),
                Written::Refused(other) => used_until = other,
            }
        }
        Err(Unavailable { service: UPDATE, code: "QuotaContended".to_owned() })
    }

    async fn used_until(&self, model_id: &str) -> Result<Option<Timestamp>, Unavailable> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(KEY, text(model_id))
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:GetItem", &error))?;
        Ok(answer.item.as_ref().and_then(|item| time(item.get(USED_UNTIL))))
    }

    /// A time that has not come is put off; one that is past begins anew.
    async fn write(
        &self,
        model_id: &str,
        used_until: Option<Timestamp>,
        taken: SignedDuration,
        now: Timestamp,
        latest_start: Timestamp,
    ) -> Result<Written, Unavailable> {
        let mut update = Update::default();
        let (name, from) = (update.name(USED_UNTIL), update.value("now", micros(now)));
        let (update, condition) = if used_until.is_some_and(|until| until >= now) {
            let latest = update.value("latest", micros(latest_start + QUOTA_BURST));
            (
                update.step(USED_UNTIL, i64::try_from(taken.as_micros()).unwrap_or(i64::MAX)),
                format!("{name} BETWEEN {from} AND {latest}"),
            )
        } else {
            let anew = micros(used_until_after(used_until, now, taken));
            (update.set(USED_UNTIL, anew), format!("attribute_not_exists({name}) OR {name} < {from}"))
        };
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, text(model_id))
            .update_expression(update.expression())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(output) => {
                let until = output.attributes.as_ref().and_then(|item| time(item.get(USED_UNTIL)));
                until.map(Written::Until).ok_or_else(|| Unavailable { service: UPDATE, code: "UnreadableRow".into() })
            }
            Err(error) => {
                let unavailable = Unavailable::new(UPDATE, &error);
                match error.into_service_error() {
                    UpdateItemError::ConditionalCheckFailedException(refused) => {
                        Ok(Written::Refused(refused.item.as_ref().and_then(|item| time(item.get(USED_UNTIL)))))
                    }
                    _ => Err(unavailable),
                }
            }
        }
    }
}

enum Written {
    Until(Timestamp),
    /// What was found instead.
    Refused(Option<Timestamp>),
}

fn micros(at: Timestamp) -> AttributeValue {
    number(at.as_microsecond())
}

fn time(value: Option<&AttributeValue>) -> Option<Timestamp> {
    let micros = value?.as_n().ok()?.parse().ok()?;
    Timestamp::from_microsecond(micros).ok()
}
