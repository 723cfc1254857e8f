//! The list of stored batches.

use super::keys::{BATCH_LIST, BATCH_LIST_INDEX};
use super::table::{Jobs, QUERY, unreadable};
use crate::aws::Unavailable;
use crate::aws::job_item::Item;
use crate::aws::update::text;
use crate::domain::batch::list::{BatchPage, ListPosition, ListedBatch};

impl Jobs {
    /// Reads a page of the stored batches, newest first, at most `limit`, from the batch
    /// after `from` on. The index is eventually consistent.
    pub async fn list_batches(&self, from: Option<&ListPosition>, limit: usize) -> Result<BatchPage, Unavailable> {
        let response = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BATCH_LIST_INDEX)
            .key_condition_expression("#list = :list")
            .expression_attribute_names("#list", "batch_list")
            .expression_attribute_values(":list", text(BATCH_LIST))
            .scan_index_forward(false)
            .set_exclusive_start_key(from.map(start_key))
            .limit(limit.max(1).try_into().unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| Unavailable::new(QUERY, &error))?;
        let items = response.items.unwrap_or_default().into_iter();
        let batches: Result<Vec<ListedBatch>, _> =
            items.map(|item| serde_dynamo::from_item(item).map_err(|_| unreadable())).collect();
        let batches = batches?;
        let last = batches.last().filter(|_| response.last_evaluated_key.is_some());
        let next = last.map(|batch| ListPosition::new(batch.created_at, &batch.batch_id));
        Ok(BatchPage { batches, next })
    }
}

fn start_key(position: &ListPosition) -> Item {
    Item::from([
        ("batch_list".to_owned(), text(BATCH_LIST)),
        ("batch_list_key".to_owned(), text(position.sort_key())),
        ("job_id".to_owned(), super::batches::key(&position.batch_id)),
    ])
}
