//! Holds and pauses in the API: what unfinished jobs wait for, and the pause and the resume
//! of a batch.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::{Answer, Producer};
use crate::clock::now;
use crate::domain::batch::Pause;
use crate::domain::hold::{Hold, HoldTarget};
use crate::domain::ids::BatchId;
use crate::domain::message::control::Control;

impl Producer {
    /// `POST /batches/{batch_id}/pause`. A repeated request keeps the first pause.
    pub(super) async fn pause_batch(&self, batch_id: &BatchId) -> Result<Answer, Problem> {
        self.batch_view(batch_id).await?;
        if self.jobs.pause_batch(batch_id, now()).await?.is_none() {
            let detail = "the batch is cancelled, so no job of it starts; there is nothing to pause";
            return Err(Problem::invalid_state(None, detail));
        }
        Ok(Answer::json(200, self.batch_view(batch_id).await?))
    }

    /// `POST /batches/{batch_id}/resume`: ends the pause, then sends the message that resends
    /// the waiting jobs. A caller repeats a request that failed between the two.
    pub(super) async fn resume_batch(&self, batch_id: &BatchId) -> Result<Answer, Problem> {
        self.batch_view(batch_id).await?;
        self.jobs.resume_batch(batch_id).await?;
        let resend = Control::Resend { target: HoldTarget::Batch(batch_id.clone()), last_look: false };
        self.queue.send_control(&resend, Duration::ZERO).await?;
        Ok(Answer::json(200, self.batch_view(batch_id).await?))
    }

    /// The hold of the store, or of a model; `None` for `model_id` selects the function's
    /// model. `None` if neither has one.
    pub(super) async fn find_hold(&self, model_id: Option<&str>) -> Result<Option<Hold>, Problem> {
        let model_id = model_id.or(self.allowed.analysis.first().map(String::as_str));
        let mut targets = vec![HoldTarget::Store];
        targets.extend(model_id.map(|model_id| HoldTarget::Model(model_id.to_owned())));
        let holds = self.jobs.get_holds(&targets).await?;
        Ok(targets.iter().find_map(|target| holds.get(target)).cloned())
    }
}

/// A hold as the API returns it.
pub(super) fn hold_view(hold: &Hold) -> Value {
    let mut view = Map::new();
    view.insert("kind".to_owned(), json!(hold.kind));
    if let HoldTarget::Model(model_id) = &hold.target {
        view.insert("model_id".to_owned(), json!(model_id));
    }
    view.insert("code".to_owned(), json!(hold.reason.code));
    view.insert("reason".to_owned(), json!(hold.reason.message));
    view.insert("since".to_owned(), json!(hold.since));
    view.insert("next_probe_at".to_owned(), json!(hold.next_probe_at));
    Value::Object(view)
}

/// A pause as the API returns it.
pub(super) fn pause_view(pause: &Pause) -> Value {
    json!({"reason": pause.reason, "since": pause.since})
}
