//! Structured outputs compile a schema at its first use, which takes up to minutes. One
//! call of an environment uses a new schema first, and the others wait for its answer.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html>

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::aws::model::Call;
use crate::clock::until;
use crate::domain::analysis::answer_form::AnswerForm;
use crate::domain::document::sha256_hex;
use crate::domain::job::ending::AttemptError;
use crate::domain::limits::KNOWN_SCHEMAS_MAX;

/// The schemas that the models of this environment have answered, by model and hash. Clones
/// share them.
#[derive(Debug, Clone, Default)]
pub(super) struct SchemaPrimer(Arc<Mutex<Schemas>>);

type Schemas = HashMap<(String, String), Arc<Schema>>;

#[derive(Debug, Default)]
struct Schema {
    is_known: AtomicBool,
    /// The lock of the first call.
    turn: Arc<AsyncMutex<()>>,
}

/// A call that may be the first with its schema. Others wait until it is dropped.
#[derive(Debug, Default)]
pub(super) struct Priming(Option<(Arc<Schema>, OwnedMutexGuard<()>)>);

impl Priming {
    /// The model has answered: later calls with the schema do not wait.
    pub fn finish(self) {
        if let Some((schema, _turn)) = self.0 {
            schema.is_known.store(true, Ordering::Relaxed);
        }
    }
}

impl SchemaPrimer {
    /// Waits until the schema of a call is known, or the call is the one that primes it.
    ///
    /// # Errors
    /// [`AttemptError::NoTime`] at `latest_start`.
    pub async fn wait(
        &self,
        call: &Call<'_>,
        form: AnswerForm,
        latest_start: Timestamp,
    ) -> Result<Priming, AttemptError> {
        if form != AnswerForm::JsonSchema {
            return Ok(Priming::default());
        }
        let schema = self.schema(call);
        if schema.is_known.load(Ordering::Relaxed) {
            return Ok(Priming::default());
        }
        let turn = tokio::time::timeout(until(latest_start), schema.turn.clone().lock_owned()).await;
        let turn = turn.map_err(|_| AttemptError::NoTime)?;
        if schema.is_known.load(Ordering::Relaxed) {
            return Ok(Priming::default());
        }
        Ok(Priming(Some((schema, turn))))
    }

    fn schema(&self, call: &Call<'_>) -> Arc<Schema> {
        let key = (call.model_id.to_owned(), sha256_hex(call.analysis.answer_schema().to_string().as_bytes()));
        let mut schemas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if schemas.len() >= KNOWN_SCHEMAS_MAX {
            schemas.clear();
        }
        schemas.entry(key).or_default().clone()
    }
}
