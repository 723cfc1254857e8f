//! Holds, and the jobs that wait for them or for a paused batch.
//!
//! A hold is an item of the jobs table under the key `hold/{target}`, which no job id can
//! equal. A sparse index over the attribute `waiting_for` has the waiting jobs, and the holds
//! themselves under one further partition.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use super::keys::{WAITING_INDEX, mark_unfinished};
use super::table::{Jobs, QUERY, UPDATE, Write, unreadable};
use super::work::require_work;
use crate::aws::Unavailable;
use crate::aws::job_item::{Item, attribute};
use crate::aws::update::{Update, number, text};
use crate::domain::batch::shard::Group;
use crate::domain::document::DocumentRecord;
use crate::domain::failure::Failure;
use crate::domain::hold::waiting::{shard_name, waiting_shard};
use crate::domain::hold::{Hold, HoldTarget, probe_delay};
use crate::domain::ids::JobId;
use crate::domain::job::Job;
use crate::domain::job::stored::{STORED_VERSION, Status, StoredJob};
use crate::domain::limits::WAITING_SHARDS;

/// The partition of the index that has the holds.
const HOLDS: &str = "holds";

/// The result of [`Jobs::park`].
#[derive(Debug, Clone, PartialEq)]
pub enum Parked {
    /// The stored job waits.
    Waiting,
    /// A worker holds the job, the job has ended, or it has another document; the stored job, which did not change.
    NotPending(Box<StoredJob>),
}

impl Jobs {
    /// Reads the holds of some targets, consistently.
    pub async fn get_holds(&self, targets: &[HoldTarget]) -> Result<HashMap<HoldTarget, Hold>, Unavailable> {
        let holds = try_join_all(targets.iter().map(|target| self.get_hold(target))).await?;
        Ok(holds.into_iter().flatten().map(|hold| (hold.target.clone(), hold)).collect())
    }

    /// Reads one hold, consistently.
    pub async fn get_hold(&self, target: &HoldTarget) -> Result<Option<Hold>, Unavailable> {
        let response = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("job_id", key(target))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:GetItem", &error))?;
        response.item.map(|item| decode(item).ok_or_else(unreadable)).transpose()
    }

    /// Lists all holds, as the index shows them.
    pub async fn list_holds(&self) -> Result<Vec<Hold>, Unavailable> {
        let keys = self.query_waiting(HOLDS.to_owned(), 100).await?;
        let targets: Vec<HoldTarget> = keys.iter().filter_map(|key| key.strip_prefix("hold/")?.parse().ok()).collect();
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let mut holds: Vec<Hold> = self.get_holds(&targets).await?.into_values().collect();
        holds.sort_by_key(|hold| hold.since);
        Ok(holds)
    }

    /// Stores a hold, unless one exists for its target. Returns whether it was stored.
    pub async fn open_hold(&self, hold: &Hold) -> Result<bool, Unavailable> {
        let mut item: Item = serde_dynamo::to_item(hold).map_err(|_| unreadable())?;
        item.insert("job_id".to_owned(), key(&hold.target));
        item.insert("waiting_for".to_owned(), text(HOLDS));
        Ok(self.put_new(item).await?.is_none())
    }

    /// Takes the lease of probe `number`. Returns whether this worker has it now.
    pub async fn take_probe(
        &self,
        target: &HoldTarget,
        number_of_probe: u32,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Unavailable> {
        let mut update = Update::new().set("probe_lease_until_ms", number(lease_until.as_millisecond()));
        let (probe, lease) = (update.name("probe"), update.name("probe_lease_until_ms"));
        let expected = update.value("expected", number(number_of_probe));
        let now = update.value("now", number(now.as_millisecond()));
        let condition = format!("{probe} = {expected} AND (attribute_not_exists({lease}) OR {lease} <= {now})");
        self.write_hold(target, update, condition).await
    }

    /// Lets a hold expect the probe after `hold.probe`, which failed with `reason`. The
    /// message of that probe must be in the queue first. Returns whether the hold still
    /// expected `hold.probe`.
    pub async fn expect_next_probe(&self, hold: &Hold, reason: &Failure, now: Timestamp) -> Result<bool, Unavailable> {
        let next = hold.probe.saturating_add(1);
        let mut update = Update::new()
            .set("probe", number(next))
            .set("next_probe_at", attribute(&(now + probe_delay(hold.kind, next))))
            .set("reason", attribute(reason))
            .remove(&["probe_lease_until_ms"]);
        let (probe, expected) = (update.name("probe"), update.value("expected", number(hold.probe)));
        self.write_hold(&hold.target, update, format!("{probe} = {expected}")).await
    }

    /// Ends a hold. Returns whether it existed.
    pub async fn end_hold(&self, target: &HoldTarget) -> Result<bool, Unavailable> {
        let response = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("job_id", key(target))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| Unavailable::new("dynamodb:DeleteItem", &error))?;
        Ok(response.attributes.is_some_and(|item| !item.is_empty()))
    }

    async fn write_hold(&self, target: &HoldTarget, update: Update, condition: String) -> Result<bool, Unavailable> {
        let response = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("job_id", key(target))
            .update_expression(update.expression())
            .condition_expression(condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .send()
            .await;
        let Err(error) = response else { return Ok(true) };
        let unavailable = Unavailable::new(UPDATE, &error);
        match error.into_service_error() {
            UpdateItemError::ConditionalCheckFailedException(_) => Ok(false),
            _ => Err(unavailable),
        }
    }

    /// Stores that a job waits which no worker holds, and stores the job if it has no item
    /// yet. `document` is the location of its document, from which a new message is made.
    pub async fn park(
        &self,
        job: &Job,
        target: &HoldTarget,
        document: Option<&DocumentRecord>,
        now: Timestamp,
    ) -> Result<Parked, Unavailable> {
        let group = Group::from_batch(job.batch_id.as_ref());
        let mut update = mark_unfinished(self.start_update(now), group, &job.job_id)
            .set("waiting_for", text(waiting_shard(target, &job.job_id)))
            .set_if_absent("version", Some(number(STORED_VERSION)))
            .set_if_absent("status", Some(attribute(&Status::Pending)))
            .set_if_absent("created_at", Some(attribute(&now)))
            .set_if_absent("priority", Some(attribute(&job.priority)))
            .set_if_absent("batch_id", job.batch_id.as_ref().map(attribute))
            .set_if_absent("batch_shard", job.batch_id.as_ref().map(|_| text(group.partition_of(&job.job_id))))
            .set_if_absent("analysis", job.analysis.as_ref().map(attribute))
            .set_if_absent("model_id", job.model_id.as_ref().map(text))
            .set_if_absent("metadata", job.metadata.as_ref().map(attribute));
        if let Some(document) = document {
            update = update.set("document", attribute(document));
        }
        let fits = require_work(&mut update, &job.work);
        let (job_id, status, lease) = (update.name("job_id"), update.name("status"), update.name("lease_until"));
        let pending = update.value("pending", attribute(&Status::Pending));
        let processing = update.value("processing", attribute(&Status::Processing));
        let now = update.value("now", number(now.as_millisecond()));
        // A worker that crashed leaves its job `processing`.
        let condition = format!(
            "(attribute_not_exists({job_id}) OR {status} = {pending} OR ({status} = {processing} AND {lease} <= {now})) \
             AND {fits}"
        );
        match self.write(&job.job_id, update, condition, ReturnValue::None).await? {
            Write::Done(_) => Ok(Parked::Waiting),
            Write::Refused(Some(row)) => Ok(Parked::NotPending(row)),
            Write::Refused(None) => Err(unreadable()),
        }
    }

    /// Stores that a job no longer waits, because its new message is in the queue. `row` is
    /// the stored job as it was before the message was sent. A job that changed since does
    /// not change: the new message may already wait again.
    pub async fn unpark(&self, row: &StoredJob, target: &HoldTarget) -> Result<(), Unavailable> {
        let mut update = Update::new().remove(&["waiting_for"]);
        let (waiting_for, updated_at) = (update.name("waiting_for"), update.name("updated_at"));
        let shard = update.value("shard", text(waiting_shard(target, &row.job_id)));
        let as_read = update.value("as_read", attribute(&row.updated_at));
        let condition = format!("{waiting_for} = {shard} AND {updated_at} = {as_read}");
        self.write(&row.job_id, update, condition, ReturnValue::None).await?;
        Ok(())
    }

    /// The ids of at most `limit` jobs that wait for a target, as the index shows them.
    pub async fn waiting_jobs(&self, target: &HoldTarget, limit: usize) -> Result<Vec<JobId>, Unavailable> {
        let mut found = Vec::new();
        for shard in 0..WAITING_SHARDS {
            if found.len() >= limit {
                break;
            }
            let keys = self.query_waiting(shard_name(target, shard), limit - found.len()).await?;
            found.extend(keys.iter().filter_map(|key| key.parse().ok()));
        }
        Ok(found)
    }

    /// At most `limit` keys of one partition of the index.
    async fn query_waiting(&self, shard: String, limit: usize) -> Result<Vec<String>, Unavailable> {
        let response = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(WAITING_INDEX)
            .key_condition_expression("#waiting_for = :waiting_for")
            .expression_attribute_names("#waiting_for", "waiting_for")
            .expression_attribute_values(":waiting_for", text(shard))
            .limit(limit.max(1).try_into().unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Unavailable::new(QUERY, &error))?;
        let keys = response.items.unwrap_or_default().into_iter();
        let keys = keys.filter_map(|mut item| match item.remove("job_id") {
            Some(AttributeValue::S(key)) => Some(key),
            _ => None,
        });
        Ok(keys.collect())
    }
}

fn key(target: &HoldTarget) -> AttributeValue {
    text(format!("hold/{target}"))
}

fn decode(item: Item) -> Option<Hold> {
    serde_dynamo::from_item(item).ok()
}
