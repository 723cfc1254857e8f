//! The quotas table: one item a model, with the timestamp `used_until` until which the
//! model's quota is reserved. `domain::quota::gcra` explains the timestamp.
//!
//! All execution environments of all stacks that share a quota reserve quota time in the
//! same item.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate>

use std::ops::RangeInclusive;

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
const COUNTED_FRACTION: &str = "counted_fraction";
const UPDATE: &str = "dynamodb:UpdateItem";

/// Stored counted fractions outside this range are ignored.
const COUNTED_FRACTIONS: RangeInclusive<f64> = 0.0001..=100.0;

/// Most writes for one reservation. Each further write follows a reservation of another
/// environment that changed the item in between.
const WRITE_ATTEMPTS: u32 = 4;

/// The quotas table.
#[derive(Debug, Clone)]
pub struct Quotas {
    client: Client,
    table: String,
}

impl Quotas {
    /// The table with this name. Its key is `quota`, the model's id.
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: dynamodb(config), table }
    }

    /// Reads a model's quota. The read is eventually consistent and costs half a read
    /// unit; a rejection by its result costs no write.
    pub async fn read(&self, model_id: &str) -> Result<StoredQuota, Unavailable> {
        let response = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(KEY, text(model_id))
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:GetItem", &error))?;
        let item = response.item.unwrap_or_default();
        let counted_fraction = item.get(COUNTED_FRACTION).and_then(|fraction| fraction.as_n().ok()?.parse().ok());
        let counted_fraction =
            counted_fraction.filter(|fraction: &f64| fraction.is_finite() && COUNTED_FRACTIONS.contains(fraction));
        Ok(StoredQuota { used_until: read_timestamp(item.get(USED_UNTIL)), counted_fraction })
    }

    /// Reserves quota time, if the calls may begin by `latest_start`. `stored` is the
    /// result of [`read`](Self::read).
    ///
    /// # Errors
    /// [`Unavailable`]: the reservation may have been stored or not. The quota time of a
    /// stored reservation passes unused.
    pub async fn reserve(
        &self,
        model_id: &str,
        stored: StoredQuota,
        reservation: Reservation,
    ) -> Result<Slot, Unavailable> {
        let Reservation { reserved, now, latest_start, .. } = reservation;
        let mut used_until = stored.used_until;
        for _ in 0..WRITE_ATTEMPTS {
            let slot = find_slot(used_until, now, latest_start);
            if let Slot::Reject { .. } = slot {
                return Ok(slot);
            }
            match self.write(model_id, used_until, reservation).await? {
                Write::Done { used_until } => return Ok(find_slot(Some(used_until - reserved), now, Timestamp::MAX)),
                Write::Rejected { stored } => used_until = stored,
            }
        }
        Err(Unavailable { service: UPDATE, code: "QuotaContended".to_owned() })
    }

    /// Moves `used_until` forward by the reservation.
    ///
    /// ```text
    /// read value    write                        condition on the stored value
    /// ≥ now         used_until + reserved        from now to latest_start + burst
    /// < now, none   now + reserved               < now, or none
    /// ```
    ///
    /// The first form allows reservations of other environments since the read, as long
    /// as the calls may still begin by `latest_start`.
    async fn write(
        &self,
        model_id: &str,
        used_until: Option<Timestamp>,
        Reservation { reserved, now, latest_start, counted_fraction }: Reservation,
    ) -> Result<Write, Unavailable> {
        let mut update = Update::new();
        if let Some(counted_fraction) = counted_fraction {
            update = update.set(COUNTED_FRACTION, number(counted_fraction));
        }
        let (name, from) = (update.name(USED_UNTIL), update.value("now", microseconds(now)));
        let (update, condition) = if used_until.is_some_and(|until| until >= now) {
            let latest = update.value("latest", microseconds(latest_start + QUOTA_BURST));
            (
                update.step(USED_UNTIL, i64::try_from(reserved.as_micros()).unwrap_or(i64::MAX)),
                format!("{name} BETWEEN {from} AND {latest}"),
            )
        } else {
            let restarted = microseconds(used_until_after(used_until, now, reserved));
            (update.set(USED_UNTIL, restarted), format!("attribute_not_exists({name}) OR {name} < {from}"))
        };
        let response = self
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
        match response {
            Ok(output) => {
                let used_until = output.attributes.as_ref().and_then(|item| read_timestamp(item.get(USED_UNTIL)));
                let unreadable = || Unavailable { service: UPDATE, code: "UnreadableItem".into() };
                Ok(Write::Done { used_until: used_until.ok_or_else(unreadable)? })
            }
            Err(error) => {
                let unavailable = Unavailable::new(UPDATE, &error);
                match error.into_service_error() {
                    UpdateItemError::ConditionalCheckFailedException(rejected) => {
                        let stored = rejected.item.as_ref().and_then(|item| read_timestamp(item.get(USED_UNTIL)));
                        Ok(Write::Rejected { stored })
                    }
                    _ => Err(unavailable),
                }
            }
        }
    }
}

/// A model's item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoredQuota {
    /// The time until which the quota is reserved; `None` before the first reservation.
    pub used_until: Option<Timestamp>,
    /// The fraction of the deducted quota time that a call counts, as an environment has
    /// learned it.
    pub counted_fraction: Option<f64>,
}

/// A reservation of quota time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reservation {
    /// The quota time to reserve.
    pub reserved: SignedDuration,
    /// The time of the reservation.
    pub now: Timestamp,
    /// The latest time at which the calls of the reservation may begin.
    pub latest_start: Timestamp,
    /// The counted fraction to store for other environments; `None` leaves the stored one.
    pub counted_fraction: Option<f64>,
}

enum Write {
    Done {
        /// The timestamp after the reservation.
        used_until: Timestamp,
    },
    Rejected {
        /// The timestamp that failed the condition; `None` without an item.
        stored: Option<Timestamp>,
    },
}

fn microseconds(at: Timestamp) -> AttributeValue {
    number(at.as_microsecond())
}

fn read_timestamp(value: Option<&AttributeValue>) -> Option<Timestamp> {
    let micros = value?.as_n().ok()?.parse().ok()?;
    Timestamp::from_microsecond(micros).ok()
}
