//! The probe of the documents bucket: small objects that are written again and again.

use serde_json::json;

use crate::aws::json_objects::JsonObjects;
use crate::domain::failure::{Failure, codes};

/// The keys of the probe's objects, one under each prefix of paid answers. No job id is
/// `hold-probe`'s folder, because the keys have no further level.
const KEYS: [&str; 2] = ["results/hold-probe.json", "chunks/hold-probe.json"];

/// Asks whether the documents bucket accepts writes.
#[derive(Debug, Clone)]
pub(super) struct StoreProbe {
    pub objects: JsonObjects,
}

impl StoreProbe {
    /// Writes the probe's objects.
    ///
    /// # Errors
    /// The service and the code of the refusal.
    pub async fn ask(&self) -> Result<(), Failure> {
        for key in KEYS {
            if let Err(error) = self.objects.store(key, &json!({"probe": true})).await {
                return Err(Failure::new(codes::STORE_UNAVAILABLE, error.cause()));
            }
        }
        Ok(())
    }
}
