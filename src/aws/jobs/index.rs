//! A batch's jobs, by the index over batch and status.
//!
//! The index follows the table by moments; what it tells of a job is never
//! older than it was there.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html>

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::Deserialize;

use super::table::{Jobs, unreadable};
use crate::aws::Unavailable;
use crate::aws::job_item::{Item, WITHOUT_RESULT, attribute, decode};
use crate::aws::update::text;
use crate::domain::batch::cursor::{Cursor, Select};
use crate::domain::batch::shard::shard_name;
use crate::domain::batch::tally::{Entry, Tally};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{Status, StoredJob, Usage};
use crate::domain::limits::{BATCH_GET_ROUNDS, BATCH_SHARDS};

/// The index over `batch_shard` and `status`.
pub const BATCH_INDEX: &str = "batch-index";
/// The index over `fingerprint`.
pub const FINGERPRINT_INDEX: &str = "fingerprint-index";

const QUERY: &str = "dynamodb:Query";

/// Keys of one BatchGetItem: fewer than the 100 that it takes, for an answer
/// ends at 16 MB and a row at 400 KB.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const KEYS_MAX: usize = 25;

#[derive(Deserialize)]
struct EntryItem {
    job_id: JobId,
    status: Status,
    #[serde(default)]
    usage: Usage,
    created_at: Timestamp,
    completed_at: Option<Timestamp>,
}

/// A page of a batch's jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// As the index tells of them.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

impl Jobs {
    /// Adds up a batch's jobs.
    pub async fn tally(&self, batch_id: &BatchId, now: Timestamp) -> Result<Tally, Unavailable> {
        let mut tally = Tally::default();
        tally.add(self.entries(batch_id).await?, now);
        Ok(tally)
    }

    /// All of a batch's jobs. Of every partition the unfinished are read first and
    /// again last: a job that ends meanwhile is found among the ended, and one that
    /// is given back or tried again is found among the unfinished.
    pub(super) async fn entries(&self, batch_id: &BatchId) -> Result<Vec<Entry>, Unavailable> {
        let shards = (0..BATCH_SHARDS).map(|shard| async move {
            let mut entries = self.whole(batch_id, shard, Select::Unfinished).await?;
            entries.extend(self.whole(batch_id, shard, Select::Ended).await?);
            entries.extend(self.whole(batch_id, shard, Select::Unfinished).await?);
            Ok::<_, Unavailable>(entries)
        });
        Ok(try_join_all(shards).await?.concat())
    }

    async fn whole(&self, batch_id: &BatchId, shard: u32, select: Select) -> Result<Vec<Entry>, Unavailable> {
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let (more, last) = self.query(batch_id, shard, select, after, None).await?;
            entries.extend(more);
            after = last;
            if after.is_none() {
                return Ok(entries);
            }
        }
    }

    /// A page of a batch's jobs, at most `limit`.
    pub async fn page(
        &self,
        batch_id: &BatchId,
        select: Select,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        let mut at = from.unwrap_or_default();
        let mut entries = Vec::new();
        while at.shard < BATCH_SHARDS {
            let after = at.after.take().map(|(status, job_id)| start_key(batch_id, at.shard, status, &job_id));
            let (more, last) = self.query(batch_id, at.shard, select, after, Some(limit - entries.len())).await?;
            entries.extend(more);
            if last.is_none() {
                at = Cursor { shard: at.shard + 1, after: None };
            } else if let Some(entry) = entries.last() {
                at.after = Some((entry.status, entry.job_id.clone()));
            }
            if entries.len() >= limit {
                break;
            }
        }
        Ok(Page { entries, next: (at.shard < BATCH_SHARDS).then_some(at) })
    }

    async fn query(
        &self,
        batch_id: &BatchId,
        shard: u32,
        select: Select,
        after: Option<Item>,
        limit: Option<usize>,
    ) -> Result<(Vec<Entry>, Option<Item>), Unavailable> {
        // In the alphabet `pending` and `processing` come after the others.
        let (condition, status) = match select {
            Select::All => ("#shard = :shard", None),
            Select::Only(status) => ("#shard = :shard AND #status = :status", Some(status)),
            Select::Unfinished => ("#shard = :shard AND #status >= :status", Some(Status::Pending)),
            Select::Ended => ("#shard = :shard AND #status < :status", Some(Status::Pending)),
        };
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BATCH_INDEX)
            .key_condition_expression(condition)
            .expression_attribute_names("#shard", "batch_shard")
            .expression_attribute_values(":shard", text(shard_name(batch_id, shard)))
            .set_exclusive_start_key(after)
            .set_limit(limit.and_then(|limit| limit.max(1).try_into().ok()));
        if let Some(status) = status {
            request = request
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":status", attribute(&status));
        }
        let answer = request.send().await.map_err(|error| Unavailable::new(QUERY, &error))?;
        let entries = answer.items.unwrap_or_default().into_iter().map(|item| {
            let EntryItem { job_id, status, usage, created_at, completed_at } =
                serde_dynamo::from_item(item).map_err(|_| unreadable())?;
            Ok(Entry { job_id, status, usage, created_at, completed_at })
        });
        Ok((entries.collect::<Result<_, _>>()?, answer.last_evaluated_key))
    }

    /// Reads many rows; one that is gone is left out. The order is not kept.
    pub async fn get_many(&self, job_ids: &[JobId]) -> Result<Vec<StoredJob>, Unavailable> {
        self.get_each(job_ids, &[]).await
    }

    /// Reads many rows without what may be large: a result on the row is told as
    /// null.
    pub async fn get_many_without_results(&self, job_ids: &[JobId]) -> Result<Vec<StoredJob>, Unavailable> {
        self.get_each(job_ids, &WITHOUT_RESULT).await
    }

    /// A job that moved while the index was read may be named twice, which the
    /// table refuses.
    async fn get_each(&self, job_ids: &[JobId], attributes: &[&str]) -> Result<Vec<StoredJob>, Unavailable> {
        let distinct: Vec<&JobId> = job_ids.iter().collect::<BTreeSet<_>>().into_iter().collect();
        let chunks = distinct.chunks(KEYS_MAX).map(|chunk| self.get_chunk(chunk, attributes));
        Ok(try_join_all(chunks).await?.into_iter().flatten().collect())
    }

    /// An answer ends at 16 MB, and names what it left out.
    async fn get_chunk(&self, job_ids: &[&JobId], attributes: &[&str]) -> Result<Vec<StoredJob>, Unavailable> {
        let keys = job_ids.iter().map(|id| Item::from([("job_id".to_owned(), text(id.as_str()))])).collect();
        let mut wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
        if !attributes.is_empty() {
            let names = attributes.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect();
            let placeholders: Vec<String> = attributes.iter().map(|name| format!("#{name}")).collect();
            wanted = wanted.projection_expression(placeholders.join(", ")).set_expression_attribute_names(Some(names));
        }
        let mut wanted = wanted.build().ok();
        let mut rows = Vec::with_capacity(job_ids.len());
        for _ in 0..BATCH_GET_ROUNDS {
            let Some(keys) = wanted.take() else { return Ok(rows) };
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, keys)
                .send()
                .await
                .map_err(|error| Unavailable::new("dynamodb:BatchGetItem", &error))?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                rows.push(decode(item).ok_or_else(unreadable)?);
            }
            wanted = answer.unprocessed_keys.unwrap_or_default().into_values().next();
        }
        match wanted {
            None => Ok(rows),
            Some(_) => Err(Unavailable { service: "dynamodb:BatchGetItem", code: "UnprocessedKeys".to_owned() }),
        }
    }

    /// A complete job whose document had been analysed the same way.
    pub async fn find_by_fingerprint(&self, fingerprint: &str) -> Result<Option<StoredJob>, Unavailable> {
        let answer = self
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
        let id = answer.items.unwrap_or_default().into_iter().next().and_then(|mut item| item.remove("job_id"));
        match id {
            Some(AttributeValue::S(id)) => self.get(&id.parse().map_err(|_| unreadable())?).await,
            _ => Ok(None),
        }
    }
}

fn start_key(batch_id: &BatchId, shard: u32, status: Status, job_id: &JobId) -> Item {
    Item::from([
        ("batch_shard".to_owned(), text(shard_name(batch_id, shard))),
        ("status".to_owned(), attribute(&status)),
        ("job_id".to_owned(), text(job_id.as_str())),
    ])
}
