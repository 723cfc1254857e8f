//! Reads of the indexes over jobs: the pages of a batch, its counts, and unfinished jobs.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::keys::{BATCH_INDEX, ENDED, STATUS_INDEX, UNFINISHED, UNFINISHED_INDEX, ended_key, ended_prefix};
use super::table::{Jobs, QUERY, unreadable};
use crate::aws::Unavailable;
use crate::aws::job_item::{Item, attribute};
use crate::aws::update::text;
use crate::domain::batch::cursor::{Cursor, Page, Select, ShardRead, Walk};
use crate::domain::batch::filter::Filter;
use crate::domain::batch::shard::Group;
use crate::domain::batch::tally::{Entry, Tally};
use crate::domain::evidence::EvidenceStatus;
use crate::domain::ids::{BatchId, JobId};
use crate::domain::job::stored::{Status, Usage};
use crate::domain::limits::CONCURRENT_SHARD_READS;

#[derive(Deserialize)]
struct EntryItem {
    job_id: JobId,
    status: Status,
    #[serde(default)]
    usage: Usage,
    created_at: Timestamp,
    completed_at: Option<Timestamp>,
    evidence_status: Option<EvidenceStatus>,
}

/// The query of an index partition for the jobs that match a filter.
#[derive(Debug)]
struct Query<'a> {
    index: &'static str,
    partition_key: &'static str,
    /// The status of a query of [`STATUS_INDEX`].
    ended: Option<Status>,
    /// The statuses that are selected after the read; none selects all.
    statuses: &'static [Status],
    filter: Option<&'a Filter>,
}

impl<'a> Query<'a> {
    /// The query of all jobs of a batch.
    const ALL: Self =
        Self { index: BATCH_INDEX, partition_key: "batch_shard", ended: None, statuses: &[], filter: None };

    /// The query of unfinished jobs.
    const UNFINISHED: Self = Self { index: UNFINISHED_INDEX, partition_key: UNFINISHED, ..Self::ALL };

    /// The query that reads the fewest entries for a filter of a batch's jobs.
    fn for_filter(filter: &'a Filter) -> Self {
        let filtered = Self { filter: (!filter.is_by_status_alone()).then_some(filter), ..Self::ALL };
        match filter.possible_statuses() {
            Select::All => filtered,
            Select::Unfinished if filter.is_by_status_alone() => Self::UNFINISHED,
            Select::Unfinished => Self { statuses: &[Status::Pending, Status::Processing], ..filtered },
            Select::Ended => Self { statuses: &[Status::Complete, Status::Failed, Status::Cancelled], ..filtered },
            Select::Only(Status::Pending) => Self { statuses: &[Status::Pending], ..filtered },
            Select::Only(Status::Processing) => Self { statuses: &[Status::Processing], ..filtered },
            Select::Only(ended) => Self { index: STATUS_INDEX, ended: Some(ended), ..filtered },
        }
    }

    /// The values of the filter: attribute, whether a part of it suffices, and value.
    fn filtered_attributes(&self) -> impl Iterator<Item = (&'static str, bool, &'a str)> {
        let attributes = self.filter.map(|filter| {
            [
                ("label", false, filter.label.as_deref()),
                ("error_code", false, filter.error_code.as_deref()),
                ("evidence_status", false, filter.evidence.map(EvidenceStatus::as_str)),
                ("document_name", true, filter.name_contains.as_deref()),
            ]
        });
        attributes.into_iter().flatten().filter_map(|(name, is_part, value)| Some((name, is_part, value?)))
    }

    /// Whether a read returns entries that are filtered afterwards.
    fn is_filtered(&self) -> bool {
        self.filter.is_some() || !self.statuses.is_empty()
    }

    /// The key of the position directly after a job, which need not be in the index.
    fn start_key(&self, partition: &str, after: &JobId) -> Item {
        let mut key =
            Item::from([(self.partition_key.to_owned(), text(partition)), ("job_id".to_owned(), text(after.as_str()))]);
        if let Some(status) = self.ended {
            key.insert(ENDED.to_owned(), ended_key(status, after));
        }
        key
    }
}

impl Jobs {
    /// Counts a batch's jobs, as the index shows them.
    pub async fn tally(&self, batch_id: &BatchId, now: Timestamp) -> Result<Tally, Unavailable> {
        let mut tally = Tally::default();
        tally.add(self.entries(batch_id).await?, now);
        Ok(tally)
    }

    /// Reads all jobs of a batch, as the index shows them. Each job occurs once, because
    /// no change moves it in the index.
    pub(super) async fn entries(&self, batch_id: &BatchId) -> Result<Vec<Entry>, Unavailable> {
        let group = Group::Batch(batch_id);
        let shards = (0..group.shards()).map(|shard| self.shard_entries(group.partition(shard)));
        let entries: Vec<Vec<Entry>> = stream::iter(shards).buffered(CONCURRENT_SHARD_READS).try_collect().await?;
        Ok(entries.concat())
    }

    async fn shard_entries(&self, partition: String) -> Result<Vec<Entry>, Unavailable> {
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let request = self.query(&Query::ALL, &partition).set_exclusive_start_key(after);
            let response = request.send().await.map_err(|error| Unavailable::new(QUERY, &error))?;
            for item in response.items.unwrap_or_default() {
                let EntryItem { job_id, status, usage, created_at, completed_at, evidence_status: evidence } =
                    serde_dynamo::from_item(item).map_err(|_| unreadable())?;
                entries.push(Entry { job_id, status, usage, created_at, completed_at, evidence });
            }
            after = response.last_evaluated_key;
            if after.is_none() {
                return Ok(entries);
            }
        }
    }

    /// Reads a page of a batch's jobs that match a filter, at most `limit`, from the cursor
    /// `from` on.
    ///
    /// A job that matches throughout the reads of all pages is on one page, and no job
    /// is on two. A page may have fewer jobs than `limit` although another page follows.
    pub async fn get_page(
        &self,
        batch_id: &BatchId,
        filter: &Filter,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        self.read_group(Group::Batch(batch_id), &Query::for_filter(filter), from, limit).await
    }

    /// Reads a page of the unfinished jobs of a batch or outside batches, at most `limit`,
    /// from the cursor `from` on.
    ///
    /// A job that is unfinished throughout the reads of all pages is on one page, and no
    /// job is on two. The index may still show a job that has ended since.
    pub async fn get_unfinished(
        &self,
        group: Group<'_>,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        self.read_group(group, &Query::UNFINISHED, from, limit).await
    }

    async fn read_group(
        &self,
        group: Group<'_>,
        query: &Query<'_>,
        from: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        let mut walk = Walk::new(from, group.shards(), limit);
        loop {
            let reads = walk.next_reads();
            if reads.is_empty() {
                return Ok(walk.into_page());
            }
            let limit = walk.remaining();
            let reads = reads.into_iter().map(|at| self.read_shard(group.partition(at.shard), query, at.after, limit));
            walk.add_reads(stream::iter(reads).buffered(CONCURRENT_SHARD_READS).try_collect().await?);
        }
    }

    /// Reads a partition once. A filter selects from all entries that the read returns,
    /// at most 1 MB; without a filter, the read ends at `limit` jobs.
    async fn read_shard(
        &self,
        partition: String,
        query: &Query<'_>,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<ShardRead, Unavailable> {
        let response = self
            .query(query, &partition)
            .set_exclusive_start_key(after.map(|job_id| query.start_key(&partition, &job_id)))
            .set_limit((!query.is_filtered()).then(|| limit.try_into().unwrap_or(i32::MAX)))
            .projection_expression("#job_id")
            .expression_attribute_names("#job_id", "job_id")
            .send()
            .await
            .map_err(|error| Unavailable::new(QUERY, &error))?;
        let job_ids: Result<Vec<JobId>, _> = response.items.unwrap_or_default().iter().map(read_job_id).collect();
        Ok(ShardRead { job_ids: job_ids?, last: response.last_evaluated_key.as_ref().map(read_job_id).transpose()? })
    }

    /// Begins the query of an index partition.
    fn query(&self, query: &Query<'_>, partition: &str) -> QueryFluentBuilder {
        let condition = match query.ended {
            None => "#partition = :partition",
            Some(_) => "#partition = :partition AND begins_with(#ended, :ended)",
        };
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(query.index)
            .key_condition_expression(condition)
            .expression_attribute_names("#partition", query.partition_key)
            .expression_attribute_values(":partition", text(partition));
        if let Some(status) = query.ended {
            request = request
                .expression_attribute_names("#ended", ENDED)
                .expression_attribute_values(":ended", text(ended_prefix(status)));
        }
        let mut conditions = Vec::new();
        if !query.statuses.is_empty() {
            let names: Vec<String> = query.statuses.iter().map(|status| format!(":{}", status.as_str())).collect();
            conditions.push(format!("#status IN ({})", names.join(", ")));
            request = request.expression_attribute_names("#status", "status");
            for (name, status) in names.into_iter().zip(query.statuses) {
                request = request.expression_attribute_values(name, attribute(status));
            }
        }
        for (name, is_part, value) in query.filtered_attributes() {
            conditions.push(if is_part { format!("contains(#{name}, :{name})") } else { format!("#{name} = :{name}") });
            request = request
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), text(value));
        }
        request.set_filter_expression((!conditions.is_empty()).then(|| conditions.join(" AND ")))
    }
}

pub(super) fn read_job_id(item: &Item) -> Result<JobId, Unavailable> {
    let id = item.get("job_id").and_then(|id| id.as_s().ok());
    id.and_then(|id| id.parse().ok()).ok_or_else(unreadable)
}
