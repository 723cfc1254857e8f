//! The event bus.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use super::Unavailable;
use crate::domain::events::{OutboundEvent, SOURCE};
use crate::domain::limits::{PUT_EVENTS_MAX, PUT_EVENTS_MAX_BYTES};

const PUT: &str = "events:PutEvents";

/// The bus that the news goes to.
#[derive(Debug, Clone)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    /// By its name; `default` is every account's own.
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self { client: Client::new(config), name }
    }

    /// Puts news on the bus, in its order, and says of each whether the bus has
    /// it. After a request that was not answered no further one is made: the
    /// rest is refused with it.
    pub async fn put(&self, news: &[OutboundEvent]) -> Vec<Result<(), Unavailable>> {
        let mut answers = Vec::with_capacity(news.len());
        for chunk in chunks(news) {
            match self.put_chunk(chunk).await {
                Ok(taken) => answers.extend(taken),
                Err(unavailable) => {
                    answers.resize(news.len(), Err(unavailable));
                    break;
                }
            }
        }
        answers
    }

    /// The bus answers for each entry by its place.
    ///
    /// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
    async fn put_chunk(&self, news: &[OutboundEvent]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        let entries = news.iter().map(|news| {
            PutEventsRequestEntry::builder()
                .event_bus_name(&self.name)
                .source(SOURCE)
                .detail_type(news.detail_type)
                .detail(&news.detail)
                .time(DateTime::from_millis(news.at.as_millisecond()))
                .build()
        });
        let request = self.client.put_events().set_entries(Some(entries.collect()));
        let answer = request.send().await.map_err(|error| Unavailable::new(PUT, &error))?;
        let mut entries = answer.entries.unwrap_or_default().into_iter();
        let taken = news.iter().map(|_| match entries.next() {
            Some(entry) if entry.event_id.is_some() => Ok(()),
            entry => {
                let code = entry.and_then(|entry| entry.error_code).unwrap_or_else(|| "NoAnswer".to_owned());
                Err(Unavailable { service: PUT, code })
            }
        });
        Ok(taken.collect())
    }
}

/// The news in requests that the bus takes, the order kept.
fn chunks(news: &[OutboundEvent]) -> impl Iterator<Item = &[OutboundEvent]> {
    let mut rest = news;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest.iter().take(PUT_EVENTS_MAX).take_while(|news| {
            bytes += size(news);
            bytes <= PUT_EVENTS_MAX_BYTES
        });
        // One that were too large by itself goes alone, and is refused alone.
        let count = fitting.count().max(1).min(rest.len());
        let (chunk, after) = rest.split_at(count);
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// As the bus counts it: 14 bytes for the time, and the texts.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html>
fn size(news: &OutboundEvent) -> usize {
    14 + SOURCE.len() + news.detail_type.len() + news.detail.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn chunked(sizes: &[usize]) -> Vec<Vec<usize>> {
        let news = sizes.iter().map(|size| OutboundEvent {
            detail_type: "t",
            detail: "x".repeat(*size),
            at: Timestamp::UNIX_EPOCH,
        });
        let news: Vec<OutboundEvent> = news.collect();
        chunks(&news).map(|chunk| chunk.iter().map(|news| news.detail.len()).collect()).collect()
    }

    #[test]
    fn a_request_has_no_more_entries_and_bytes_than_the_bus_takes() {
        assert_eq!(chunked(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(chunked(&[1; 10]), [vec![1; 10]]);
        assert_eq!(chunked(&[1; 21]), [vec![1; 10], vec![1; 10], vec![1]]);
        assert_eq!(chunked(&[100_000; 5]), [vec![100_000; 2], vec![100_000; 2], vec![100_000]]);
        assert_eq!(chunked(&[1, 300_000, 2]), [vec![1], vec![300_000], vec![2]]);
    }
}
