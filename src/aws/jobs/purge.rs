//! The writes of a purge. The first makes the stored job a tombstone: it fences all workers,
//! and removes the content. The last removes the places of the objects, once these are erased.

use aws_sdk_dynamodb::types::ReturnValue;
use jiff::Timestamp;

use super::batches;
use super::table::{Jobs, Write};
use super::waiting::INVOCATION;
use crate::aws::Unavailable;
use crate::aws::job_item::attribute;
use crate::aws::update::{Update, number, text};
use crate::domain::document::location::S3Location;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{Status, StoredJob};
use crate::domain::job::work_id::object_work_id;

/// The attributes with content of a caller, a document, a model or Bedrock, or with a hash of
/// it. `document` and `async_request` stay until their objects are erased.
const CONTENT: [&str; 18] = [
    "document_name",
    "metadata",
    "analysis",
    "request_hash",
    "work_id",
    "result",
    "result_packed",
    "result_s3",
    "label",
    "evidence",
    "evidence_leaves",
    "evidence_status",
    "fingerprint",
    "deduplicated_from",
    "error",
    "error_code",
    "last_error",
    "stop_reason",
];

/// The attributes that only an unfinished job needs.
const OF_UNFINISHED: [&str; 4] = ["owner", "not_before", "waiting", "unproven_errors"];

impl Jobs {
    /// Makes a stored job a tombstone: `cancelled`, and without content. The purge ends at
    /// `until` at the earliest. A repeated call keeps the first time.
    ///
    /// `row` is the stored job as it was read. Returns whether the job was unchanged since;
    /// if not, the caller reads it again.
    pub async fn begin_purge(&self, row: &StoredJob, until: Timestamp, now: Timestamp) -> Result<bool, Unavailable> {
        let mut update = self
            .end_update(&row.job_id, Status::Cancelled, now)
            .set("purge_until", attribute(&until))
            .remove(&CONTENT)
            .remove(&OF_UNFINISHED)
            .remove(&INVOCATION);
        let (updated_at, begun) = (update.name("updated_at"), update.name("purge_until"));
        let as_read = update.value("as_read", attribute(&row.updated_at));
        let condition = format!("{updated_at} = {as_read} AND attribute_not_exists({begun})");
        match self.write(&row.job_id, update, condition, ReturnValue::None).await? {
            Write::Done(_) => Ok(true),
            // This write itself, whose response was lost, or that of another delivery.
            Write::Refused(Some(stored)) => Ok(stored.purge_until.is_some()),
            Write::Refused(None) => Ok(false),
        }
    }

    /// Ends a purge: all objects of the job are erased.
    pub async fn finish_purge(&self, job_id: &JobId, now: Timestamp) -> Result<(), Unavailable> {
        let mut update =
            self.start_update(now).set("purged_at", attribute(&now)).remove(&["document", "async_request"]);
        let begun = update.name("purge_until");
        self.write(job_id, update, format!("attribute_exists({begun})"), ReturnValue::None).await?;
        Ok(())
    }

    /// Cancels a batch, and removes its settings and metadata.
    pub async fn purge_batch(&self, batch_id: &BatchId, now: Timestamp) -> Result<(), Unavailable> {
        self.cancel_batch(batch_id, now).await?;
        let update = Update::new().set("purged_at", attribute(&now)).remove(&["metadata", "analysis", "request_hash"]);
        self.update_item(batches::key(batch_id), update).await
    }

    /// Records that an object was purged, for other jobs with the same document.
    pub async fn mark_purged_object(&self, at: &S3Location, now: Timestamp) -> Result<(), Unavailable> {
        let update = Update::new().set("purged_at", attribute(&now)).set("expires_at", number(self.expires_at(now)));
        self.update_item(purged_key(at), update).await
    }

    /// Whether an object was purged.
    pub async fn is_purged_object(&self, at: &S3Location) -> Result<bool, Unavailable> {
        let request = self.client.get_item().table_name(&self.table).key("job_id", purged_key(at));
        let response = request.consistent_read(true).send().await;
        Ok(response.map_err(|error| Unavailable::new("dynamodb:GetItem", &error))?.item.is_some())
    }
}

/// The key of a purged object's mark, which no job can have.
fn purged_key(at: &S3Location) -> aws_sdk_dynamodb::types::AttributeValue {
    text(format!("purged/{}", object_work_id(at)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::de::{Deserialize, Deserializer, Error, Visitor, value};

    use super::*;
    use crate::aws::job_item::StoredJobItem;

    /// The other attributes: ids, counts, times and codes, and the places that the end of the
    /// purge removes.
    const KEPT: [&str; 32] = [
        "job_id",
        "version",
        "status",
        "attempt",
        "charged_attempts",
        "lease_until",
        "claimed_from",
        "possible_duplicate_call",
        "batch_id",
        "batch_shard",
        "unfinished",
        "priority",
        "document",
        "generation",
        "async_request",
        "suspect",
        "ran_alone",
        "waiting_for",
        "attempts",
        "resends",
        "resent_at",
        "purge_until",
        "purged_at",
        "created_at",
        "updated_at",
        "completed_at",
        "model_id",
        "usage",
        "repaired",
        "model_latency_ms",
        "chunks",
        "expires_at",
    ];

    /// A deserializer that only hears the names of a struct's fields.
    struct Names<'a>(&'a mut Vec<&'static str>);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.extend(fields);
            Err(Self::Error::custom("the names are enough"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(Self::Error::custom("no struct"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    #[test]
    fn purge_removes_or_names_every_attribute() {
        let mut names = Vec::new();
        assert!(StoredJobItem::deserialize(Names(&mut names)).is_err());
        let removed = CONTENT.iter().chain(&OF_UNFINISHED).chain(&INVOCATION);
        let known: BTreeSet<&str> = removed.chain(&KEPT).copied().collect();
        let unknown: Vec<&str> = names.into_iter().filter(|name| !known.contains(name)).collect();
        assert_eq!(unknown, [""; 0], "a new attribute is content, or it is kept");
    }
}
