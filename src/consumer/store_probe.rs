//! The probe of the documents bucket: a small object that is written again and again.

use serde_json::json;

use crate::aws::json_objects::JsonObjects;
use crate::domain::failure::{Failure, codes};

/// The key of the probe's object. It is under the prefix of results, whose writes it
/// represents. No job id is `hold-probe`'s folder, because the key has no further level.
const KEY: &str = "results/hold-probe.json";

/// Asks whether the documents bucket accepts writes.
#[derive(Debug, Clone)]
pub(super) struct StoreProbe {
    pub objects: JsonObjects,
}

impl StoreProbe {
    /// Writes the probe's object.
    ///
    /// # Errors
    /// The service and the code of the refusal.
    pub async fn ask(&self) -> Result<(), Failure> {
        match self.objects.store(KEY, &json!({"probe": true})).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::new(codes::STORE_UNAVAILABLE, error.cause())),
        }
    }
}
