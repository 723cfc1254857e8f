//! `DELETE` with `purge=true`: asks the purger to erase a job or a batch. The producer itself
//! may delete nothing.

use lambda_http::Request;
use serde_json::json;

use super::pages::query_parameter;
use super::problem::Problem;
use super::{Answer, Producer};
use crate::domain::ids::{BatchId, JobId};
use crate::domain::purge::PurgeMessage;

impl Producer {
    /// `DELETE /jobs/{job_id}`: cancels the job, or purges it.
    pub(super) async fn delete_job(&self, request: &Request, job_id: &JobId) -> Result<Answer, Problem> {
        if asks_for_purge(request)? { self.purge_job(job_id).await } else { self.cancel_job(job_id).await }
    }

    /// `DELETE /batches/{batch_id}`: cancels the batch, or purges it.
    pub(super) async fn delete_batch(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        if asks_for_purge(request)? {
            self.purge_batch(request, batch_id).await
        } else {
            self.cancel_batch(request, batch_id).await
        }
    }

    /// `DELETE /jobs/{job_id}?purge=true`.
    async fn purge_job(&self, job_id: &JobId) -> Result<Answer, Problem> {
        let row = self.jobs.get(job_id).await?.ok_or_else(Problem::no_such_job)?;
        let mut view = json!({"job_id": job_id, "purge": "requested"});
        match row.purged_at {
            // A repeated request is answered like the first one.
            Some(purged_at) => {
                view["purge"] = json!("complete");
                view["purged_at"] = json!(purged_at);
            }
            None => self.purges.send(&PurgeMessage::Job { job_id: job_id.clone() }).await?,
        }
        Ok(Answer::json(202, view))
    }

    /// `DELETE /batches/{batch_id}?purge=true`. A repeated request purges jobs that joined the
    /// batch later.
    async fn purge_batch(&self, request: &Request, batch_id: &BatchId) -> Result<Answer, Problem> {
        refuse_filter(request)?;
        self.check_batch_exists(batch_id).await?;
        self.purges.send(&PurgeMessage::Batch { batch_id: batch_id.clone(), is_repeated: false, cursor: None }).await?;
        Ok(Answer::json(202, json!({"batch_id": batch_id, "purge": "requested"})))
    }
}

/// Whether a request asks for a purge by its query.
fn asks_for_purge(request: &Request) -> Result<bool, Problem> {
    match query_parameter(request, "purge")?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::invalid("purge", "`purge` must be true or false")),
    }
}

/// A purge erases the whole batch. A filter that it ignored would erase more than the caller
/// selected.
fn refuse_filter(request: &Request) -> Result<(), Problem> {
    for name in ["status", "label", "error_code", "evidence", "name_contains"] {
        if query_parameter(request, name)?.is_some() {
            return Err(Problem::invalid(name, format!("`{name}` has no effect on a purge of the batch; remove it")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use lambda_http::{Body, RequestExt};

    use super::*;

    #[test]
    fn purge_with_a_filter_is_refused() {
        let refuses = |name: &str| {
            let pairs = HashMap::from([(name.to_owned(), vec!["x".to_owned()])]);
            refuse_filter(&Request::new(Body::Empty).with_query_string_parameters(pairs)).is_err()
        };
        assert!(["status", "label", "error_code", "evidence", "name_contains"].into_iter().all(refuses));
        assert!(!refuses("purge"));
    }

    #[test]
    fn purge_is_asked_by_true_alone() {
        let asks = |value: Option<&str>| {
            let pairs = value.map(|value| ("purge".to_owned(), vec![value.to_owned()]));
            asks_for_purge(&Request::new(Body::Empty).with_query_string_parameters(HashMap::from_iter(pairs)))
        };
        assert_eq!((asks(None), asks(Some("false")), asks(Some("true"))), (Ok(false), Ok(false), Ok(true)));
        for wrong in ["", "True", "1", "yes"] {
            assert_eq!(asks(Some(wrong)).expect_err(wrong).status(), 422);
        }
    }
}
