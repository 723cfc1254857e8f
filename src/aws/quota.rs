//! The quotas' table: for each model the time until which its quota is used up.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate>

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};

use super::update::{Update, number, text};
use super::{Unavailable, dynamodb};
use crate::domain::limits::QUOTA_BURST;
use crate::domain::quota::gcra::{Slot, find_slot, used_until_after};

const KEY: &str = "quota";
const USED_UNTIL: &str = "used_until_us";
const USED_FRACTION: &str = "used_fraction";
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
        Self { client: dynamodb(config), table }
    }

    /// Reads the row, for half a read unit, so that a quota that is used up costs
    /// no write.
    pub async fn read(&self, model_id: &str) -> Result<QuotaRow, Unavailable> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(KEY, text(model_id))
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:GetItem", &error))?;
        let item = answer.item.unwrap_or_default();
        let used_fraction = item.get(USED_FRACTION).and_then(|used_fraction| used_fraction.as_n().ok()?.parse().ok());
        let used_fraction = used_fraction
            .filter(|used_fraction: &f64| used_fraction.is_finite() && (0.0001..=100.0).contains(used_fraction));
        Ok(QuotaRow { used_until: time(item.get(USED_UNTIL)), used_fraction })
    }

    /// Reserves so much of the quota's time, if the calls can begin by
    /// `latest_start`, by one conditional write after `read`; `used_fraction` is what to
    /// tell other functions.
    ///
    /// # Errors
    /// [`Unavailable`]: whether it was reserved is not known. If it was, the
    /// time passes unused.
    pub async fn reserve(&self, model_id: &str, read: QuotaRow, wanted: Reservation) -> Result<Slot, Unavailable> {
        let Reservation { reserved, now, latest_start, .. } = wanted;
        let mut used_until = read.used_until;
        for _ in 0..ROUNDS {
            let found = find_slot(used_until, now, latest_start);
            if let Slot::Reject { .. } = found {
                return Ok(found);
            }
            match self.write(model_id, used_until, wanted).await? {
                Written::Until(until) => return Ok(find_slot(Some(until - reserved), now, Timestamp::MAX)),
                Written::Refused(other) => used_until = other,
            }
        }
        Err(Unavailable { service: UPDATE, code: "QuotaContended".to_owned() })
    }

    /// A time that has not come is put off; one that is past begins anew.
    async fn write(
        &self,
        model_id: &str,
        used_until: Option<Timestamp>,
        Reservation { reserved, now, latest_start, used_fraction }: Reservation,
    ) -> Result<Written, Unavailable> {
        let mut update = Update::new();
        if let Some(used_fraction) = used_fraction {
            update = update.set(USED_FRACTION, number(used_fraction));
        }
        let (name, from) = (update.name(USED_UNTIL), update.value("now", micros(now)));
        let (update, condition) = if used_until.is_some_and(|until| until >= now) {
            let latest = update.value("latest", micros(latest_start + QUOTA_BURST));
            (
                update.step(USED_UNTIL, i64::try_from(reserved.as_micros()).unwrap_or(i64::MAX)),
                format!("{name} BETWEEN {from} AND {latest}"),
            )
        } else {
            let anew = micros(used_until_after(used_until, now, reserved));
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

/// A model's row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuotaRow {
    /// Until when the quota is used up.
    pub used_until: Option<Timestamp>,
    /// What used_fraction a call counts of what Bedrock takes when it begins, as other
    /// functions have seen it.
    pub used_fraction: Option<f64>,
}

/// What is to be reserved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reservation {
    /// Of the quota's time.
    pub reserved: SignedDuration,
    /// When it is asked for.
    pub now: Timestamp,
    /// When its calls must begin.
    pub latest_start: Timestamp,
    /// What used_fraction a call counts, to be told to other functions.
    pub used_fraction: Option<f64>,
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
