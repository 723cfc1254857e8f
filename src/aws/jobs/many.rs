//! Reads of several jobs from the table itself, consistently.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::future::try_join_all;

use super::keys::FINGERPRINT_INDEX;
use super::table::{Jobs, QUERY, unreadable};
use crate::aws::Unavailable;
use crate::aws::job_item::{Item, WITHOUT_RESULT, decode};
use crate::aws::update::text;
use crate::domain::ids::JobId;
use crate::domain::job::stored::StoredJob;
use crate::domain::limits::BATCH_GET_ROUNDS;

/// Keys of one BatchGetItem. The operation accepts 100 keys, but its response ends
/// at 16 MB and an item may have 400 KB.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const KEYS_MAX: usize = 25;

impl Jobs {
    /// Reads stored jobs by their ids, consistently. The order of the ids is not
    /// kept, and ids without a stored job are left out.
    pub async fn get_many(&self, job_ids: &[JobId]) -> Result<Vec<StoredJob>, Unavailable> {
        self.get_attributes(job_ids, &[]).await
    }

    /// Reads stored jobs as [`get_many`](Self::get_many) does, without their large
    /// attributes. A result that is stored in the item reads as null, and the analysis
    /// reads as `None`.
    pub async fn get_many_without_results(&self, job_ids: &[JobId]) -> Result<Vec<StoredJob>, Unavailable> {
        self.get_attributes(job_ids, &WITHOUT_RESULT).await
    }

    /// The ids may repeat, and BatchGetItem refuses a repeated key.
    async fn get_attributes(&self, job_ids: &[JobId], attributes: &[&str]) -> Result<Vec<StoredJob>, Unavailable> {
        let distinct: Vec<&JobId> = job_ids.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let requests = distinct.chunks(KEYS_MAX).map(|ids| self.batch_get(ids, attributes));
        Ok(try_join_all(requests).await?.into_iter().flatten().collect())
    }

    /// A response ends at 16 MB and names the keys that it did not process; a further
    /// round reads these, at most [`BATCH_GET_ROUNDS`].
    async fn batch_get(&self, job_ids: &[&JobId], attributes: &[&str]) -> Result<Vec<StoredJob>, Unavailable> {
        let keys = job_ids.iter().map(|id| Item::from([("job_id".to_owned(), text(id.as_str()))])).collect();
        let mut keys_and_attributes = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
        if !attributes.is_empty() {
            let names = attributes.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect();
            let placeholders: Vec<String> = attributes.iter().map(|name| format!("#{name}")).collect();
            keys_and_attributes = keys_and_attributes
                .projection_expression(placeholders.join(", "))
                .set_expression_attribute_names(Some(names));
        }
        let mut unprocessed = keys_and_attributes.build().ok();
        let mut stored_jobs = Vec::with_capacity(job_ids.len());
        for _ in 0..BATCH_GET_ROUNDS {
            let Some(keys) = unprocessed.take() else { return Ok(stored_jobs) };
            let response = self
                .client
                .batch_get_item()
                .request_items(&self.table, keys)
                .send()
                .await
                .map_err(|error| Unavailable::new("dynamodb:BatchGetItem", &error))?;
            for item in response.responses.unwrap_or_default().into_values().flatten() {
                stored_jobs.push(decode(item).ok_or_else(unreadable)?);
            }
            unprocessed = response.unprocessed_keys.unwrap_or_default().into_values().next();
        }
        match unprocessed {
            None => Ok(stored_jobs),
            Some(_) => Err(Unavailable { service: "dynamodb:BatchGetItem", code: "UnprocessedKeys".to_owned() }),
        }
    }

    /// Finds a complete job that analysed the same document in the same way.
    pub async fn find_by_fingerprint(&self, fingerprint: &str) -> Result<Option<StoredJob>, Unavailable> {
        let response = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(FINGERPRINT_INDEX)
            .key_condition_expression("#fingerprint = :fingerprint")
            .expression_attribute_names("#fingerprint", "fingerprint")
            .expression_attribute_values(":fingerprint", text(fingerprint))
            .limit(1)
            .send()
            .await
            .map_err(|error| Unavailable::new(QUERY, &error))?;
        let id = response.items.unwrap_or_default().into_iter().next().and_then(|mut item| item.remove("job_id"));
        match id {
            Some(AttributeValue::S(id)) => self.get(&id.parse().map_err(|_| unreadable())?).await,
            _ => Ok(None),
        }
    }
}
