//! The EventBridge bus that receives the events of jobs and batches.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use super::Unavailable;
use crate::domain::events::{OutboundEvent, SOURCE};
use crate::domain::limits::{PUT_EVENTS_MAX, PUT_EVENTS_MAX_BYTES};

const PUT: &str = "events:PutEvents";

/// The event bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    /// The bus with this name; every account has one with the name `default`.
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self { client: Client::new(config), name }
    }

    /// Publishes events in their order. Returns a result for each event, in the same
    /// order.
    ///
    /// After a request without a response, no further request is sent. The events of this
    /// request and all later ones have the same error.
    pub async fn put_events(&self, events: &[OutboundEvent]) -> Vec<Result<(), Unavailable>> {
        let mut results = Vec::with_capacity(events.len());
        for request in split_into_requests(events) {
            match self.send_request(request).await {
                Ok(published) => results.extend(published),
                Err(unavailable) => {
                    results.resize(events.len(), Err(unavailable));
                    break;
                }
            }
        }
        results
    }

    /// Sends one PutEvents. Its response has a result for each entry, in the order of the
    /// entries.
    ///
    /// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
    async fn send_request(&self, events: &[OutboundEvent]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        let entries = events.iter().map(|event| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(event.detail_type)
                .detail(&event.detail)
                .time(DateTime::from_millis(event.at.as_millisecond()))
                .build()
        });
        let request = self.client.put_events().set_entries(Some(entries.collect()));
        let response = request.send().await.map_err(|error| Unavailable::new(PUT, &error))?;
        let mut entries = response.entries.unwrap_or_default().into_iter();
        let results = events.iter().map(|_| match entries.next() {
            Some(entry) if entry.event_id.is_some() => Ok(()),
            entry => {
                let code = entry.and_then(|entry| entry.error_code).unwrap_or_else(|| "MissingResultEntry".to_owned());
                Err(Unavailable { service: PUT, code })
            }
        });
        Ok(results.collect())
    }
}

/// Splits events into the largest requests that EventBridge accepts, in their order.
fn split_into_requests(events: &[OutboundEvent]) -> impl Iterator<Item = &[OutboundEvent]> {
    let mut remaining = events;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = remaining.iter().take(PUT_EVENTS_MAX).take_while(|event| {
            bytes += size_bytes(event);
            bytes <= PUT_EVENTS_MAX_BYTES
        });
        // An event over the limit is sent alone, so that only this event fails.
        let count = fitting.count().max(1).min(remaining.len());
        let (request, after) = remaining.split_at(count);
        remaining = after;
        (!request.is_empty()).then_some(request)
    })
}

/// The size of an event as EventBridge counts it: 14 bytes for the time, and the texts.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html>
fn size_bytes(event: &OutboundEvent) -> usize {
    14 + SOURCE.len() + event.detail_type.len() + event.detail.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn requests(sizes: &[usize]) -> Vec<Vec<usize>> {
        let events = sizes.iter().map(|size| OutboundEvent {
            detail_type: "t",
            detail: "x".repeat(*size),
            at: Timestamp::UNIX_EPOCH,
        });
        let events: Vec<OutboundEvent> = events.collect();
        split_into_requests(&events).map(|request| request.iter().map(|event| event.detail.len()).collect()).collect()
    }

    #[test]
    fn events_are_split_at_the_limits_of_entries_and_bytes() {
        assert_eq!(requests(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(requests(&[1; 10]), [vec![1; 10]]);
        assert_eq!(requests(&[1; 21]), [vec![1; 10], vec![1; 10], vec![1]]);
        assert_eq!(requests(&[100_000; 5]), [vec![100_000; 2], vec![100_000; 2], vec![100_000]]);
        assert_eq!(requests(&[1, 300_000, 2]), [vec![1], vec![300_000], vec![2]]);
    }
}
