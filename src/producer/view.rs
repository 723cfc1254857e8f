//! A job as the API returns it: the request, the status, the result. Internal fields,
//! such as the owner and the document's bucket, are left out.

use serde_json::{Map, Value, json};

use super::holds::{hold_view, pause_view};
use super::problem::Problem;
use super::{Answer, Producer};
use crate::domain::evidence::Evidence;
use crate::domain::hold::HoldTarget;
use crate::domain::ids::JobId;
use crate::domain::job::stored::{State, Status, StoredJob, StoredResult};
use crate::domain::message::s3_event::uploaded_name;

impl Producer {
    /// `GET /jobs/{job_id}`.
    pub(super) async fn get_job(&self, job_id: &JobId) -> Result<Answer, Problem> {
        let row = self.jobs.get(job_id).await?.ok_or_else(Problem::no_such_job)?;
        let waits = match row.state.status().has_ended() {
            true => None,
            false => self.waits(&row).await?,
        };
        let mut view = self.load_result(row).await?;
        if let Some((name, value)) = waits {
            view[name] = value;
        }
        Ok(Answer::json(200, view))
    }

    /// The field `hold` or `paused` of an unfinished job, if it waits for one.
    async fn waits(&self, row: &StoredJob) -> Result<Option<(&'static str, Value)>, Problem> {
        if let Some(batch_id) = &row.batch_id
            && let Some(batch) = self.jobs.get_batch(batch_id).await?
            && let Some(pause) = &batch.paused
        {
            return Ok(Some(("paused", pause_view(pause))));
        }
        let of_job = row.model_id.as_deref().or(row.analysis.as_ref().and_then(|own| own.model_id.as_deref()));
        let waiting_for = match &row.waiting_for {
            Some(HoldTarget::Model(model_id)) => Some(model_id.as_str()),
            _ => of_job,
        };
        Ok(self.find_hold(waiting_for).await?.map(|hold| ("hold", hold_view(&hold))))
    }

    /// Loads a result that is stored in S3, and returns the job's view with it.
    pub(super) async fn load_result(&self, mut row: StoredJob) -> Result<Value, Problem> {
        if let State::Complete(done) = &mut row.state
            && let StoredResult::Bucket(at) = &done.result
        {
            match self.objects.load(at).await {
                Ok(result) => done.result = StoredResult::Inline(result),
                // The object's retention is over, and the stored job's ends soon.
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Value::Object(job_view(row)))
    }
}

/// The note on a cancelled job whose invocation has begun.
const INVOCATION_CONTINUES: &str =
    "Bedrock cannot stop an invocation: it may continue and is then charged; its output is in the bucket when it ends";

/// The view of a job. A result that is stored in S3 is left out.
pub(super) fn job_view(row: StoredJob) -> Map<String, Value> {
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            view.insert(name.to_owned(), value);
        }
    };
    put("job_id", json!(row.job_id));
    put("status", json!(row.state.status()));
    put("batch_id", json!(row.batch_id));
    put("priority", json!(row.priority));
    put("metadata", json!(row.metadata));
    put("attempt", json!(row.attempt));
    put("charged_attempts", json!(row.charged_attempts));
    if row.possible_duplicate_call {
        put("possible_duplicate_call", json!(true));
    }
    put("created_at", json!(row.created_at));
    put("updated_at", json!(row.updated_at));
    put("purged_at", json!(row.purged_at));
    put("document", document_view(&row));
    if !row.state.status().has_ended() {
        put("last_error", json!(row.last_error));
    }
    if !row.attempts.is_empty() {
        put("attempts", json!(row.attempts));
    }
    if let Some(started) = &row.invocation {
        put("invocation_arn", json!(started.arn));
        if row.state.status() == Status::Cancelled {
            put("note", json!(INVOCATION_CONTINUES));
        }
    }
    match row.state {
        State::Pending | State::Processing { .. } => {}
        State::Cancelled { completed_at } => put("completed_at", json!(completed_at)),
        State::Failed { error, completed_at } => {
            put("completed_at", json!(completed_at));
            put("error", json!(error));
        }
        State::Complete(done) => {
            put("completed_at", json!(done.completed_at));
            put("label", json!(done.label));
            if let Some(evidence) = &done.evidence {
                put("verified", json!(evidence.summary()));
                put("evidence", evidence_view(evidence));
            }
            put("model_id", json!(done.model_id));
            put("model_latency_ms", json!(done.model_latency_ms));
            if done.repaired {
                put("repaired", json!(true));
            }
            put("chunks", json!(done.chunks));
            put("usage", json!(done.usage));
            put("stop_reason", json!(done.stop_reason));
            put("deduplicated_from", json!(done.deduplicated_from));
            if let StoredResult::Inline(result) = done.result {
                put("result", result);
            }
        }
    }
    view
}

/// The evidence of a result. A list has the counts alone.
fn evidence_view(evidence: &Evidence) -> Value {
    let mut view = json!({"status": evidence.status(), "verified": evidence.verified, "of": evidence.of});
    if !evidence.leaves.is_empty() {
        view["unverified"] = json!(evidence.unverified_paths().collect::<Vec<_>>());
        view["leaves"] = json!(evidence.leaves);
    }
    view
}

fn document_view(row: &StoredJob) -> Value {
    let record = &row.document;
    let mut view = Map::new();
    for (name, value) in [
        ("name", json!(record.key().and_then(uploaded_name))),
        ("size_bytes", json!(record.size_bytes)),
        ("sha256", json!(record.sha256)),
        ("encoding", json!(record.facts.encoding)),
        ("encoding_guessed", json!(record.facts.encoding_guessed.then_some(true))),
        ("replaced_characters", json!(record.facts.replaced_characters)),
        ("pages", json!(record.facts.pages)),
        ("children", json!(record.facts.children)),
    ] {
        if !value.is_null() {
            view.insert(name.to_owned(), value);
        }
    }
    Value::Object(view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::document::DocumentRecord;
    use crate::domain::document::location::S3Location;
    use crate::domain::failure::Failure;
    use crate::domain::ids::Owner;
    use jiff::Timestamp;

    #[test]
    fn job_view_has_no_internal_fields() {
        let location = S3Location { bucket: "BUCKET".into(), key: "k".into(), version_id: None, sha256: None };
        let row = StoredJob {
            state: State::Failed { error: Failure::new("c", "m"), completed_at: Timestamp::UNIX_EPOCH },
            attempt: 2,
            charged_attempts: 1,
            owner: Some(Owner::new("OWNER")),
            document: DocumentRecord::stored(&location, 7),
            request_hash: Some("HASH".into()),
            ..StoredJob::new("j".parse().unwrap(), Timestamp::UNIX_EPOCH)
        };
        let view = Value::Object(job_view(row));
        assert_eq!(view["status"], "failed");
        assert_eq!(view["error"], json!({"code": "c", "message": "m"}));
        assert_eq!(view["document"]["size_bytes"], 7);
        assert_eq!(view.get("batch_id"), None);
        for internal in ["OWNER", "BUCKET", "HASH"] {
            assert!(!view.to_string().contains(internal), "{view}");
        }
    }
}
