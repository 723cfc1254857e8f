//! The state that all requests of the page share.

use super::operations::Operations;
use super::reader::Reader;
use super::statistics::AllStatistics;
use super::upload_state::AllUploads;
use super::views::layout::Shell;
use crate::client::Client;

/// The state of one run.
pub(super) struct App {
    /// The stack.
    pub client: Client,
    /// The frame of every page.
    pub shell: Shell,
    /// Recent answers about batches.
    pub reader: Reader,
    /// Running and recent changes of many jobs.
    pub operations: Operations,
    /// The distributions of labels and confidences.
    pub statistics: AllStatistics,
    /// The uploads of recent batches.
    pub uploads: AllUploads,
}

impl App {
    /// The state of a new run.
    pub fn new(client: Client, is_writable: bool) -> Self {
        let place = match client.connection.is_local() {
            true => "local AWS".to_owned(),
            false => format!("{} in {}", client.connection.stack, client.connection.region()),
        };
        Self {
            client,
            shell: Shell { place, is_writable },
            reader: Reader::default(),
            operations: Operations::default(),
            statistics: AllStatistics::default(),
            uploads: AllUploads::default(),
        }
    }
}
